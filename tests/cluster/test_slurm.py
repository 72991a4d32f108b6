"""profiles/slurm on a real SLURM: the same graph, the same bytes, and trainings that survive being stopped."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from project_copy import Copy, make_copy

from t2i_repro.core.config import merged

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

# What the test's cluster lacks (accounts, accounting), and patience (its jobs take seconds).
FLAGS = (
    *("--workflow-profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10"),
)
# One number of threads, here and there: floating-point sums depend on it.
THREADS = ("--set-threads", "train=1", "pretrain=1")
TINY: dict[str, Any] = {
    "label": "tiny scale for a test",
    "standin": {"train_classes": 4, "test_classes": 2, "images_per_class": 4, "side": 96, "seed": 0},
    "damsm": {"epochs": 1, "batch": 8},
    "classifier": {"epochs": 1, "batch": 8},
    "train": {"epochs": 1, "batch": 4},
    "sample": {"images": 40},
}


def shrink(copy: Copy) -> None:
    """Two systems, one table and one figure, at a scale of seconds."""
    path = copy.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["scale"] = "tiny"
    params["scales"]["tiny"] = merged(params["scales"]["smoke"], TINY)
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    path = copy.folder / "papers/ssa-gan.yaml"
    paper = yaml.safe_load(path.read_text())
    paper["claims"] = {}  # they speak of the tables that go
    table = paper["tables"]["table2"]
    paper["tables"] = {"table2": {**table, "rows": {row: table["rows"][row] for row in ("id0", "id2")}}}
    paper["figures"] = {"fig5": paper["figures"]["fig5"]}
    path.write_text(yaml.safe_dump(paper, sort_keys=False))


def results(copy: Copy) -> dict[str, dict[str, str]]:
    """SHA-256 of every file of every artefact but the leaves, by the record's path."""
    found = {}
    for path in sorted((copy.folder / "results").rglob("record*.json")):
        record = json.loads(path.read_text())
        if record["kind"] not in ("report", "store") and "store" not in path.relative_to(copy.folder).parts:
            found[str(path.relative_to(copy.folder))] = {name: file["sha256"] for name, file in record["files"].items()}
    return found


def test_the_graph_gives_the_bytes_of_a_local_run(project: Path, tmp_path: Path, slurm_commands: Path) -> None:
    """The real verbs, from procedural data to the page."""
    local, remote = (make_copy(project, tmp_path / name, fakes=False) for name in ("local", "remote"))
    shrink(local)
    shrink(remote)
    local.snakemake(*THREADS)
    remote.run("snakemake", *FLAGS, *THREADS, PATH=remote.path(slurm_commands))
    there = results(remote)
    assert {Path(name).parts[2] for name in there} >= {
        "data",
        "encoders",
        "runs",
        "samples",
        "features",
        "metrics",
        "tables",
    }
    assert all(files for files in there.values())
    assert there == results(local)
    assert remote.is_idle()


def test_a_training_told_to_stop_saves_and_goes_on_where_it_was(
    project: Path, tmp_path: Path, slurm_commands: Path
) -> None:
    """SLURM warns a job before its time is over (--signal in the profile); the next attempt resumes."""
    copy = make_copy(project, tmp_path)
    shrink(copy)
    copy.fast("encoders")
    (copy.folder / "results/patience").write_text("60")
    path = copy.path(slurm_commands)
    run = next(node for node in copy.plan().values() if node.kind == "train")
    command = ["snakemake", *FLAGS, "--", run.record]
    with subprocess.Popen(
        command, cwd=copy.folder, env=copy.environment(PATH=path), stderr=subprocess.PIPE
    ) as snakemake:
        started = wait_for(copy, "train started")[0]
        time.sleep(1)
        copy.run("scancel", "--signal=TERM", started["slurm_job"], PATH=path)
        _, said = snakemake.communicate(timeout=120)
    assert snakemake.returncode == 0, said.decode()
    (first, second), (finished,) = wait_for(copy, "train started"), wait_for(copy, "train")
    assert first["first_step"] == 0
    assert 5 <= second["first_step"] == finished["first_step"] < 60
    assert first["slurm_job"] != second["slurm_job"]


def wait_for(copy: Copy, verb: str, seconds: float = 60) -> list[dict[str, Any]]:
    """Lines of the fake verbs' journal, as soon as there are some."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if lines := [line for line in copy.journal() if line["verb"] == verb]:
            return lines
        time.sleep(0.1)
    raise AssertionError(f"no {verb!r} in {seconds} s: {copy.journal()[-3:]}")
