"""Stands in for every verb of the flow in the workflow tests: an artefact is the digest of what it is built from.

What is under test there is which jobs run, not what they compute; the store and the records are the real ones.
"""

import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from t2i_repro.core import store
from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import canonical_json
from t2i_repro.core.record import Build
from t2i_repro.errors import Diverged, Interrupted

JOURNAL = Path("results/journal.jsonl")
PAUSE = Path("results/pause")  # kinds: their jobs wait until the file `go` is there
PATIENCE = Path("results/patience")  # number of steps of a training; absent: none
FAIL = Path("results/fail")  # "KIND STATUS": jobs of this kind fail with this status
ON_THE_GPU = ("pretrain", "train", "sample", "embed")
# A one-pixel PNG: `snakemake --report` looks at the type of what it embeds.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
FILES = {
    "table": ("table.html", "table.csv", "table.md", "table.tex"),
    "figure": ("figure.png",),
    "sample": ("preview.png",),
    "report": ("index.html",),
}


def run(node: Node, out: Path, build: Build) -> None:
    """Write files that depend on the spec and on every byte of the inputs, and a line into the journal."""
    started = time.time()
    pause(node)
    fail(node)
    if node.kind == "store":
        store.run(node, out, build)
        return
    first_step = train(out) if node.verb == "train" and PATIENCE.exists() else 0
    told = hashlib.sha256(canonical_json(node.spec).encode())
    for role, given in sorted(node.inputs.items()):
        for file in sorted(path for path in Path(given.path).rglob("*") if path.is_file() and path.suffix != ".json"):
            told.update(role.encode() + file.name.encode() + file.read_bytes())
    content = told.hexdigest()
    (out / "artefact.txt").write_text(content + "\n")
    for name in FILES.get(node.kind, ()):
        text = f"<table><caption>{node.name}</caption><tr><td>{content}</td></tr></table>\n"
        (out / name).write_bytes(PICTURE if name.endswith(".png") else text.encode())
    if node.verb in ON_THE_GPU:
        time.sleep(0.1)
    note(verb=node.verb, name=node.name, digest=node.digest, started=started, ended=time.time(), first_step=first_step)


def pause(node: Node) -> None:
    """Wait for the test, if this is a job of a kind that it wants to see running."""
    if PAUSE.exists() and node.kind in PAUSE.read_text().split():
        note(verb="paused", kind=node.kind, record=node.record)
        while not PAUSE.with_name("go").exists():
            time.sleep(0.05)


def fail(node: Node) -> None:
    kind, status = FAIL.read_text().split() if FAIL.exists() else ("", "")
    if node.kind == kind:
        note(verb="failed", name=node.name, digest=node.digest)
        raise (Interrupted if int(status) == Interrupted.exit_code else Diverged)("as the test wants it")


def note(**line: Any) -> None:
    """One line of the journal; jobs write it side by side."""
    line |= {"prefix": sys.prefix, "slurm_job": os.environ.get("SLURM_JOB_ID")}
    with JOURNAL.open("a") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        journal.write(json.dumps(line) + "\n")


def train(out: Path) -> int:
    """Count steps as a training does: on SIGTERM it takes its time to save, and the next one goes on from there.

    Returns the step it started at.
    """
    state, told_to_stop = out / ".state", []
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.append(True))
    first = int(state.read_text()) if state.exists() else 0
    for step in range(first, int(PATIENCE.read_text())):
        if told_to_stop:
            time.sleep(1)
            state.write_text(str(step))
            raise Interrupted(f"saved at step {step}")
        if step == first:
            note(verb="train started", name=out.name, first_step=first)
        time.sleep(0.1)
    state.unlink(missing_ok=True)
    return first
