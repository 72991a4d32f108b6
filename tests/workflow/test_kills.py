"""SIGKILL of Snakemake or DVC while a job of each kind runs: the same command then builds all that was asked.

The job goes on alone and ends well, as jobs of a killed Snakemake do; on a cluster that is the rule.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from project_copy import Copy

from t2i_repro.core.artefact import Node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OF_A_TABLE = {"standin", "prepare", "classifier", "damsm", "train", "sample", "embed", "score", "table"}
KINDS = {*OF_A_TABLE, "figure", "store", "report"}
SNAKEMAKE = ("snakemake", "--cores", "2", "--resources", "gpu=8", "--set-threads", "train=1", "pretrain=1", "--")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Processes below one, the nearest first."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(below for child in found for below in children(child))]


def is_front_end(pid: int) -> bool:
    """Whether a process is DVC, its shell, or a Snakemake that schedules; not one that runs a single job."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    return (b"dvc" in command or b"snakemake" in command) and b"--mode" not in command and b"t2i_repro" not in command


def kill_while_jobs_run(copy: Copy, kinds: set[str], *command: str) -> set[str]:
    """Start a command, kill it when jobs of ``kinds`` run, let those end, unlock. Returns their kinds: none when the
    command ended before."""
    results = copy.folder / "results"
    results.mkdir(exist_ok=True)
    (results / "go").unlink(missing_ok=True)
    (results / "pause").write_text(" ".join(kinds))
    before = len(copy.journal())

    def paused() -> list[dict[str, str]]:
        return [line for line in copy.journal()[before:] if line["verb"] == "paused"]

    with (copy.home / "killed.log").open("w") as log:
        process = subprocess.Popen(command, cwd=copy.folder, env=copy.environment(), stdout=log, stderr=log)
        wait_for(lambda: bool(paused()) or process.poll() is not None, f"no job of {kinds} began")
        if process.poll() is None:
            for pid in [process.pid, *(pid for pid in children(process.pid) if is_front_end(pid))]:
                os.kill(pid, signal.SIGKILL)
        process.wait()
    (results / "go").touch()
    (results / "pause").unlink()
    for line in paused():
        wait_for((copy.folder / line["record"]).exists, f"{line['record']} did not end")
    copy.run("snakemake", "--unlock")
    return {line["kind"] for line in paused()}


def missing(copy: Copy, nodes: list[Node]) -> list[str]:
    return [node.record for node in nodes if not (copy.folder / node.record).exists()]


@pytest.mark.parametrize(
    ("command", "kinds"),
    [((*SNAKEMAKE, "ssa-gan-table2"), OF_A_TABLE), (SNAKEMAKE, KINDS), (("dvc", "repro"), KINDS)],
    ids=["target", "all", "dvc"],
)
def test_a_killed_command_builds_what_was_asked_when_it_is_given_again(
    fresh: Copy, command: tuple[str, ...], kinds: set[str]
) -> None:
    left = set(kinds)
    while left:
        killed = kill_while_jobs_run(fresh, left, *command)
        assert killed, f"the command ended, and no job of {left} ran"
        left -= killed
    fresh.run(*command)
    nodes = list(fresh.plan().values())
    if kinds == OF_A_TABLE:
        nodes = [node for node in nodes if node.name == "ssa-gan-table2"]
    assert nodes
    assert not missing(fresh, nodes)


def test_a_run_that_left_something_out_fails_and_the_next_one_builds_it(built: Copy) -> None:
    """Jobs that the user forces hide what is missing behind them."""
    target = "ssa-gan-table2"
    table = next(node for node in built.plan().values() if node.name == target)
    shutil.rmtree(built.folder / table.folder)
    first = built.run(*SNAKEMAKE[:-1], "--forcerun", "train", "--", target, check=False)
    assert first.returncode == 1
    assert "Give the same command again" in first.stdout + first.stderr
    assert missing(built, [table])
    built.run(*SNAKEMAKE, target)
    assert not missing(built, [table])
