"""dvc.yaml: what is versioned, and the way to a remote and back."""

import shutil
from pathlib import Path

import pytest
import yaml
from project_copy import Copy, finished


def test_a_push_and_a_pull_bring_the_store_back_and_nobody_has_anything_to_do(reproduced: Copy) -> None:
    leaves = reproduced.folder / "results/smoke/store"
    before = {path: path.read_bytes() for path in leaves.rglob("*") if path.is_file()}
    assert len(before) > 20
    reproduced.run("dvc", "remote", "add", "--local", "--default", "shelf", str(reproduced.home / "shelf"))
    reproduced.run("dvc", "push")

    shutil.rmtree(leaves)
    shutil.rmtree(reproduced.folder / ".dvc/cache")
    reproduced.run("dvc", "pull")
    assert {path: path.read_bytes() for path in leaves.rglob("*") if path.is_file()} == before
    assert reproduced.is_idle()
    assert "Running stage" not in reproduced.run("dvc", "repro").stdout


def test_a_clone_with_pulled_leaves_needs_no_intermediate_and_can_go_on_from_them(reproduced: Copy) -> None:
    reproduced.run("dvc", "remote", "add", "--default", "shelf", str(reproduced.home / "shelf"))
    reproduced.run("dvc", "push")
    reproduced.run("git", "clone", "--quiet", ".", "../clone")
    clone = Copy(reproduced.folder.parent / "clone", reproduced.home)
    shutil.copy2(reproduced.folder / ".dvc/config", clone.folder / ".dvc/config")
    clone.run("dvc", "pull")
    assert not (clone.folder / "results/smoke/runs").exists()
    assert clone.is_idle()

    # A parameter that the leaves were not built with: that they are there must not be enough.
    clone.edit("params.yaml", "sample: {images: 120}", "sample: {images: 60}")
    assert not clone.is_idle()
    store = clone.folder / "results/smoke/store/checkpoints/train-cub-df-gan-s0"
    content = (store / "artefact.txt").read_text()
    (store / "artefact.txt").write_text("not what was trained")
    restore = ("python", "-m", "t2i_repro", "restore")
    refused = clone.run(*restore, check=False, PYTHONPATH="src")
    assert refused.returncode == 2
    assert "artefact.txt" in refused.stderr
    (store / "artefact.txt").write_text(content)
    clone.run(*restore, PYTHONPATH="src")
    assert set(finished(clone.fast("page"))) == {"sample", "embed", "score", "table", "figure", "report"}


def test_the_lock_file_is_not_ignored_by_git(reproduced: Copy) -> None:
    assert "dvc.lock" in reproduced.run("git", "ls-files").stdout.split()


def test_every_out_is_a_leaf_that_dvc_must_not_delete(project: Path) -> None:
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    outs = [out for stage in stages.values() for out in stage["outs"]]
    assert [next(iter(out)) for out in outs] == [
        *(f"results/${{scale}}/store/{name}" for name in ("data", "encoders", "checkpoints")),
        "results/${scale}/report",
    ]
    assert all(next(iter(out.values())) == {"persist": True} for out in outs)


@pytest.mark.slow
def test_a_stage_fails_when_its_out_is_not_what_was_built(reproduced: Copy) -> None:
    file = reproduced.folder / "results/smoke/store/checkpoints/train-cub-df-gan-s0/artefact.txt"
    content = file.read_bytes()
    file.unlink()  # a link
    file.write_bytes(content[:-2] + b"?\n")
    lock = (reproduced.folder / "dvc.lock").read_bytes()
    done = reproduced.run("dvc", "repro", "--force", "--single-item", "checkpoints", check=False)
    assert done.returncode != 0
    assert "artefact.txt" in done.stdout + done.stderr
    assert (reproduced.folder / "dvc.lock").read_bytes() == lock
    file.write_bytes(content)
    reproduced.run("dvc", "repro", "--force", "--single-item", "checkpoints")


@pytest.mark.slow
def test_a_rebuild_changes_nothing_in_a_cache_of_hard_links(reproduced: Copy) -> None:
    """Fault 45: `restore` and the store link files, and so does DVC on request."""
    reproduced.run("dvc", "config", "cache.type", "hardlink")
    reproduced.run("dvc", "checkout", "--relink")
    runs = reproduced.folder / "results/smoke/runs"
    shutil.rmtree(runs)
    reproduced.run("python", "-m", "t2i_repro", "restore", PYTHONPATH="src")
    cache = {path: path.read_bytes() for path in (reproduced.folder / ".dvc/cache/files").rglob("*") if path.is_file()}
    records = list(runs.glob("*/record.json"))
    assert records
    for record in records:
        record.unlink()
    reproduced.run("snakemake", "--cores", "2", *(str(record.relative_to(reproduced.folder)) for record in records))
    assert all(record.exists() for record in records)
    assert {path: path.read_bytes() for path in cache} == cache
