"""Stands in for every verb in chaos.py. An artefact is a function of its spec and of every byte of its inputs.

Its files are written slowly and with the project's own means: what is disturbed are those, the records, the store and
the front ends. A training is a chain of hashes, so that a step that is lost, done twice or resumed from a damaged state
gives other bytes.
"""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

from t2i_repro.core import store
from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import canonical_json
from t2i_repro.core.record import STATE, Build, atomic_write, read_record
from t2i_repro.errors import Interrupted

STEPS, SAVE_EVERY, SECONDS = 40, 7, 0.02
BLOCKS = 1500  # of 32 bytes: more than a file may have when the disk is full
NAMES = {
    "table": ("table.json", "table.html"),
    "figure": ("figure.json", "figure.png"),
    "sample": ("images.npy", "preview.png"),
    "report": ("index.html",),
}


def run(node: Node, out: Path, build: Build) -> None:
    if node.kind == "store":
        store.run(node, out, build)
        return
    told = hashlib.sha256(canonical_json(node.spec).encode())
    for role, given in sorted(node.inputs.items()):
        for name in sorted(read_record(Path(given.path))["files"]):
            told.update(f"{role} {name} ".encode() + (Path(given.path) / name).read_bytes())
    content = told.digest()
    if node.verb in ("train", "pretrain"):
        content = train(out / STATE, node.digest, content)
    for name in NAMES.get(node.kind, ("first.npy", "second.json")):
        with atomic_write(out / name) as file:
            for block in range(BLOCKS):
                content = hashlib.sha256(content).digest()
                file.write(content)
                if block % 500 == 0:
                    time.sleep(SECONDS)


def train(state: Path, digest: str, content: bytes) -> bytes:
    """Hash ``STEPS`` times; saves its state as trainings do, and stops on SIGTERM."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    state.mkdir(exist_ok=True)
    first, content = restore(state, digest, content)
    for step in range(first + 1, STEPS + 1):
        time.sleep(SECONDS)
        content = hashlib.sha256(content + str(step).encode()).digest()
        if step % SAVE_EVERY == 0 or stop:
            save(state, digest, step, content)
        if stop and step < STEPS:
            raise Interrupted(f"saved at step {step}")
    return content


def restore(state: Path, digest: str, content: bytes) -> tuple[int, bytes]:
    """The newest state that is intact: step and content."""
    for name in ("checkpoint", "previous"):
        try:
            saved = json.loads((state / name).read_text())
            check = saved.pop("check")
            if check == hashlib.sha256(canonical_json(saved).encode()).hexdigest() and saved["digest"] == digest:
                return int(saved["step"]), bytes.fromhex(saved["content"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return 0, content


def save(state: Path, digest: str, step: int, content: bytes) -> None:
    saved = {"digest": digest, "step": step, "content": content.hex()}
    check = hashlib.sha256(canonical_json(saved).encode()).hexdigest()
    with atomic_write(state / "next") as file:
        file.write(json.dumps({**saved, "check": check}).encode())
    if (state / "checkpoint").exists():
        os.replace(state / "checkpoint", state / "previous")
    os.replace(state / "next", state / "checkpoint")
