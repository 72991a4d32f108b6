"""`t2i-repro status` and `t2i-repro clean`, on results laid out by hand."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_copy import one_paper

from t2i_repro.cli import main
from t2i_repro.core.artefact import Node
from t2i_repro.core.failure import NOTE
from t2i_repro.core.record import write_json
from t2i_repro.errors import ReproError
from t2i_repro.planning import clean, status
from t2i_repro.planning.artefacts import log_of
from t2i_repro.planning.plan import Planner, write_specs

CODE = {"commit": "0" * 40, "dirty": False}


@pytest.fixture
def planner(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planner:
    """SSA-GAN on CUB at smoke scale, with its specs written, in the current folder."""
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text())
    one_paper(tmp_path / "params.yaml")
    (tmp_path / "papers").symlink_to(project / "papers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(status.shutil, "which", lambda name: None)  # no SLURM
    found = Planner(Path("."))
    write_specs(found)
    return found


def build(node: Node, seconds: float = 3600.0) -> Path:
    folder = Path(node.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "content.bin").write_bytes(b"x" * 2_000_000)
    write_json(Path(node.record), {**node.to_json(), "code": CODE, "wall_seconds": seconds, "files": {}})
    return folder


def node_of(planner: Planner, kind: str, name: str = "") -> Node:
    return next(node for node in planner.nodes.values() if node.kind == kind and name in node.name)


def states(planner: Planner) -> dict[str, status.Standing]:
    return {one.node.record: one for one in status.all_standings(planner)}


def run_status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["status", *arguments])
    return int(str(caught.value.code))


@pytest.fixture
def locked() -> Iterator[list[int]]:
    """File descriptors to close at the end."""
    held: list[int] = []
    yield held
    for each in held:
        os.close(each)


def hold(folder: Path, held: list[int]) -> None:
    """As a process that builds in a folder does (core/record.py: alone)."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    held.append(opened)


def test_each_state_is_told(planner: Planner, locked: list[int]) -> None:
    raw, data = node_of(planner, "standin"), node_of(planner, "prepare")
    assert states(planner)[raw.record].state == "ready"
    assert states(planner)[data.record].state == "waiting"
    build(raw)
    assert states(planner)[raw.record].state == "built"
    assert states(planner)[data.record].state == "ready"
    hold(Path(data.folder), locked)
    assert states(planner)[data.record].state == "running"

    damsm, run = node_of(planner, "damsm"), node_of(planner, "train")
    write_json(Path(data.folder) / "x.json", {})
    Path(damsm.folder).mkdir(parents=True)
    write_json(Path(damsm.folder) / NOTE, {"status": 2, "message": "the disk burnt"})
    log_of(damsm).parent.mkdir(parents=True)
    log_of(damsm).write_text("".join(f"line {at}\n" for at in range(50)))
    failed = states(planner)[damsm.record]
    assert (failed.state, failed.about, failed.lines[-1]) == ("failed", "the disk burnt", "line 49")

    (Path(run.folder) / ".state").mkdir(parents=True)
    (Path(run.folder) / "losses.csv").write_text("step,d_loss\n10,0.5\n20,0.4\n3")
    os.utime(Path(run.folder) / "losses.csv", (0, 0))
    stopped = states(planner)[run.record]
    assert stopped.state == "interrupted"
    assert re.match(r"step 20 of \d+ \(\d+%\)$", stopped.about)


def test_progress_tells_the_time_that_is_left(planner: Planner, locked: list[int]) -> None:
    run = Path(node_of(planner, "train").folder)
    hold(run, locked)
    (run / "grids").mkdir()
    (run / "losses.csv").write_text("step,d_loss\n30,0.5\n")
    for step, at in ((10, 1000), (30, 1600)):  # 30 s a step
        path = run / f"grids/step-{step:06d}.png"
        path.touch()
        os.utime(path, (at, at))
    total = int(re.search(r"of (\d+)", status.progress(run, 60))[1])  # type: ignore[index]
    assert total == 60
    assert status.progress(run, 60).endswith("15.0 min to go")


def test_a_traceback_in_a_log_is_a_failure(planner: Planner) -> None:
    raw = node_of(planner, "standin")
    log_of(raw).parent.mkdir(parents=True)
    log_of(raw).write_text("Traceback (most recent call last):\n  File\nKeyError: 'x'\n")
    assert states(planner)[raw.record].about == "KeyError: 'x'"


def test_jobs_of_slurm_are_found_by_their_comment(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, run = node_of(planner, "standin"), node_of(planner, "train")
    comments = {f"rule_standin_wildcards_smoke_{raw.name}-{raw.digest}": "PENDING", f"x-{run.digest}": "RUNNING"}
    monkeypatch.setattr(status, "slurm_jobs", lambda: comments)
    found = states(planner)
    assert (found[raw.record].state, found[run.record].state) == ("queued", "running")


def test_the_exit_status_is_for_scripts(
    planner: Planner, locked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_status() == 12
    raw = node_of(planner, "standin")
    hold(Path(raw.folder), locked)
    assert run_status() == 11
    damsm = node_of(planner, "damsm")
    Path(damsm.folder).mkdir(parents=True)
    write_json(Path(damsm.folder) / NOTE, {"status": 2, "message": "no"})
    assert run_status() == 10
    for node in planner.nodes.values():
        build(node)
    capsys.readouterr()
    assert run_status("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["state"] for one in found["artefacts"]} == {"built"}


def test_other_code_and_orphans_are_listed(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    run = build(node_of(planner, "train"))
    orphan = build(Planner(Path("."), {"seeds": [7]}).train("ssa-gan", "cub", 7))
    run_status("--json")
    found = json.loads(capsys.readouterr().out)
    assert found["other_code"] == {run.as_posix(): "0" * 10}
    assert found["orphaned"] == [orphan.as_posix()]


def test_looking_removes_and_writes_nothing(planner: Planner) -> None:
    build(node_of(planner, "train"))
    build(Planner(Path("."), {"seeds": [7]}).train("ssa-gan", "cub", 7))
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    run_status()
    assert main(["clean"]) == 0
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_orphans_go_and_the_plan_stays(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    kept = build(node_of(planner, "train"))
    orphan = build(Planner(Path("."), {"seeds": [7]}).train("ssa-gan", "cub", 7), seconds=7200)
    foreign = Path("results/smoke/runs/somebodys-own-0123456789")  # no record of ours
    foreign.mkdir()
    assert main(["clean", "orphans"]) == 0
    assert re.search(rf"orphans +2\.0 MB +{orphan} +took 2\.0 h", capsys.readouterr().out)
    assert main(["clean", "orphans", "--yes"]) == 0
    assert not orphan.exists()
    assert kept.exists()
    assert foreign.exists()


def test_what_a_running_job_reads_stays(planner: Planner, locked: list[int]) -> None:
    other = Planner(Path("."), {"seeds": [7], "damsm": {"epochs": 3}})  # another plan, whose training runs
    write_specs(other)
    damsm = build(node_of(other, "damsm"))
    hold(Path(node_of(other, "train", "ssa-gan-s7").folder), locked)
    assert main(["clean", "orphans", "states", "leftovers", "--yes"]) == 0
    assert damsm.exists()


def test_nothing_goes_while_a_running_job_is_unknown(planner: Planner, locked: list[int]) -> None:
    orphan = build(Planner(Path("."), {"seeds": [7]}).train("ssa-gan", "cub", 7))
    hold(Path("results/smoke/runs/cub-x-s0-0123456789"), locked)
    with pytest.raises(ReproError, match="no file in specs/ says what it reads"):
        list(clean.removable(planner))
    assert main(["clean", "orphans", "--yes"]) == 2
    assert orphan.exists()


def test_nothing_goes_while_snakemake_runs(planner: Planner) -> None:
    orphan = build(Planner(Path("."), {"seeds": [7]}).train("ssa-gan", "cub", 7))
    Path(".snakemake/locks").mkdir(parents=True)
    Path(".snakemake/locks/0.input.lock").touch()
    assert main(["clean", "orphans", "--yes"]) == 2
    assert orphan.exists()


def test_stores_links_and_names_outside_stay(planner: Planner, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("report", "checkpoints"):
        build(planner.targets[name])
    outside = tmp_path_factory.mktemp("outside")
    (outside / "record.json").write_text("{}")
    Path("results/smoke/runs").mkdir(parents=True, exist_ok=True)
    link = Path("results/smoke/runs/cub-linked-s0-0123456789")
    link.symlink_to(outside)
    assert main(["clean", *clean.CLASSES, "--yes"]) == 0
    assert link.is_symlink()
    assert (outside / "record.json").exists()
    for name in ("report", "checkpoints"):
        assert Path(planner.targets[name].record).exists()


def test_leftovers_states_and_samples(planner: Planner) -> None:
    run, sample = node_of(planner, "train", "ssa-gan-s0"), node_of(planner, "sample", "ssa-gan-s0")
    folder = build(run)
    (folder / ".state").mkdir()
    (folder / ".state/checkpoint.pt").touch()
    (folder / ".generator.pt.123.partial").touch()
    half = Path(node_of(planner, "train", "df-gan").folder)
    (half / ".state").mkdir(parents=True)
    build(sample)
    assert {(one.kind, one.path) for one in clean.removable(planner)} == {
        ("leftovers", folder / ".state"),
        ("leftovers", folder / ".generator.pt.123.partial"),
        ("states", half / ".state"),
    }
    assert main(["clean", "leftovers", "--yes"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["content.bin", "record.json"]
    assert (half / ".state").exists()
    for node in planner.nodes.values():
        if any(link.path == sample.folder for link in node.inputs.values()):
            build(node)
    assert [one.path for one in clean.removable(planner) if one.kind == "samples"] == [Path(sample.folder)]


def test_what_to_remove_has_to_be_named(planner: Planner) -> None:
    assert main(["clean", "--yes"]) == 2
    assert main(["clean", "everything"]) == 2
