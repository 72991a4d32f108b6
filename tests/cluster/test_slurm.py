"""profiles/slurm on a real SLURM: the same graph, the same bytes, and trainings that survive being stopped."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from project_copy import Copy, make_copy
from small_graph import shrink

from t2i_repro.core.artefact import Node

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

# What the test's cluster lacks (accounts, accounting), and patience (its jobs take seconds).
FLAGS = (
    *("--workflow-profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"),
)
# One number of threads, here and there: floating-point sums depend on it.
THREADS = ("--set-threads", "train=1", "pretrain=1")


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


@dataclass
class Training:
    """A training with fake verbs on SLURM."""

    copy: Copy
    commands: Path

    @property
    def node(self) -> Node:
        return next(node for node in self.copy.plan().values() if node.kind == "train")

    def start(self, steps: int, *options: str) -> subprocess.Popen[bytes]:
        """Ask Snakemake for a training of so many steps of 0.1 s."""
        (self.copy.folder / "results/patience").write_text(str(steps))
        command = ["snakemake", *FLAGS, *options, "--", self.node.record]
        environment = self.copy.environment(PATH=self.copy.path(self.commands))
        return subprocess.Popen(command, cwd=self.copy.folder, env=environment, stderr=subprocess.PIPE)

    def slurm(self, *command: str, check: bool = True) -> str:
        return self.copy.run(*command, check=check, PATH=self.copy.path(self.commands)).stdout

    def pid(self) -> int:
        """The process that trains."""
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if (entry / "cwd").resolve() == self.copy.folder and b"-m\0t2i_repro\0train" in command:
                    return int(entry.name)
        raise AssertionError("no training runs")

    def started(self, times: int = 1) -> list[dict[str, Any]]:
        """The attempts, as soon as there are so many."""
        return wait_for(self.copy, "train started", times)


@pytest.fixture(scope="session")
def ready_to_train(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    copy = make_copy(project, tmp_path_factory.mktemp("ready"))
    shrink(copy)
    copy.fast("encoders")
    return copy


@pytest.fixture
def training(ready_to_train: Copy, tmp_path: Path, slurm_commands: Path) -> Training:
    return Training(ready_to_train.again(tmp_path / "training"), slurm_commands)


def test_a_training_that_is_killed_requeued_or_preempted_goes_on_each_time(training: Training) -> None:
    snakemake = training.start(120)
    training.started()
    os.kill(training.pid(), signal.SIGKILL)  # as the kernel does when a job needs too much memory; it saves nothing

    second = training.started(2)[1]
    time.sleep(1)
    training.slurm("scontrol", "requeue", second["slurm_job"])
    deadline = time.monotonic() + 60
    while len(training.started()) < 3 and time.monotonic() < deadline:  # else SLURM waits for two minutes
        training.slurm("scontrol", "update", f"JobId={second['slurm_job']}", "StartTime=now", check=False)
        time.sleep(1)

    # A job of a partition that goes first takes the card; the training has 30 seconds.
    training.started(3)
    time.sleep(1)
    urgent = ("--partition=urgent", "--gres=gpu:1", f"--chdir={training.copy.folder}", "--output=urgent.log")
    training.slurm("sbatch", *urgent, "--wrap", "sleep 3")
    _, said = snakemake.communicate(timeout=240)
    assert snakemake.returncode == 0, said.decode()

    jobs, steps = zip(*((line["slurm_job"], line["first_step"]) for line in training.started(4)), strict=True)
    assert jobs[0] != jobs[1] == jobs[2]  # a requeued job keeps its number
    assert 0 == steps[0] == steps[1] < steps[2] < steps[3]
    assert wait_for(training.copy, "train")[0]["first_step"] == steps[3]


def test_a_mistake_is_made_once(training: Training) -> None:
    (training.copy.folder / "results/fail").write_text("train 76")
    snakemake = training.start(20, "--retries", "1")
    snakemake.communicate(timeout=240)
    assert snakemake.returncode == 1
    assert [line["verb"] for line in training.copy.journal() if line["verb"] == "failed"] == ["failed"]
    assert len(list((training.copy.folder / "results/slurm-logs").rglob("*.log"))) == 2


def test_a_training_outlives_its_time_limit_and_its_snakemake(training: Training) -> None:
    of_profile = "train:slurm_extra='--signal=TERM@300'"  # --set-resources takes the place of all that the profile sets
    limit = ("--set-resources", "train:runtime=1", of_profile)
    snakemake = training.start(1000, *limit)
    training.started(2)  # after SLURM's signal
    time.sleep(1)
    snakemake.send_signal(signal.SIGINT)  # it cancels its jobs
    snakemake.communicate(timeout=120)
    assert snakemake.returncode == 1
    deadline = time.monotonic() + 60
    while training.slurm("squeue", "--noheader").strip():
        assert time.monotonic() < deadline, "jobs are left"
        time.sleep(0.5)

    saved = int((training.copy.folder / training.node.folder / ".state").read_text())
    snakemake = training.start(saved + 20, *limit)
    _, said = snakemake.communicate(timeout=240)
    assert snakemake.returncode == 0, said.decode()
    steps = [attempt["first_step"] for attempt in training.started(3)]
    assert 0 == steps[0] < steps[1] < saved == steps[2]


def wait_for(copy: Copy, verb: str, times: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
    """Lines of the fake verbs' journal, as soon as there are so many."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lines = [line for line in copy.journal() if line["verb"] == verb]
        if len(lines) >= times:
            return lines
        time.sleep(0.1)
    raise AssertionError(f"no {verb!r} in {seconds} s: {copy.journal()[-3:]}")
