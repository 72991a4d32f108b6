"""What comes from outside, a store above all, writes and removes nothing outside of its place (docs/security.md)."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from t2i_repro.cli import main
from t2i_repro.core import store
from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.record import Build, building, parse_record, write_json
from t2i_repro.errors import ReproError

NAME = "store/data/prepare-cub-16"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artefact and a store that holds it, and a folder next to the project that is nobody's business."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/thesis.tex").write_text("years")
    made, shelf = artefact(), leaf()
    with building(made, Path(made.folder)):
        (Path(made.folder) / "sub").mkdir()
        (Path(made.folder) / "sub/array.npy").write_bytes(b"array")
    with building(shelf, Path(shelf.folder)) as work:
        store.run(shelf, Path(shelf.folder), work)
    return folder


def artefact() -> Node:
    return Node("prepare", "cub-16", "smoke", {"image_size": 16})


def leaf() -> Node:
    return Node("store", "data", "smoke", {}, {"prepare-cub-16": artefact().as_input()})


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def everything(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below one, but for the project's results."""
    found = {path.relative_to(folder): path for path in folder.rglob("*")}
    outside = {name: path for name, path in found.items() if name.parts[:2] != ("project", "results")}
    return {str(name): path.read_bytes() if path.is_file() else None for name, path in outside.items()}


def test_a_store_comes_back(project: Path) -> None:
    shutil.rmtree(artefact().folder)
    assert main(["restore"]) == 0
    assert (Path(artefact().folder) / "sub/array.npy").read_bytes() == b"array"
    assert main(["restore"]) == 0


NAMES = ["../../../../victim", "/tmp/victim", "..", "a/b", "a\n", ""]


@pytest.mark.parametrize("key", ["name", "scale", "kind"])
@pytest.mark.parametrize("name", NAMES)
def test_restore_writes_and_removes_nothing_outside(
    key: str, name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 81: names are not covered by the digest."""
    shutil.rmtree(artefact().folder)
    change(project / "results/smoke" / NAME / "record.json", **{key: name})
    before = everything(project.parent)
    assert main(["restore"]) == 2
    assert everything(project.parent) == before
    assert f"{NAME}/record.json: artefact" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../../victim/thesis.tex", "/etc/passwd", "sub/../../x", "", "."])
def test_files_of_a_record_stay_in_its_folder(name: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(artefact().folder)
    record = project / "results/smoke" / NAME / "record.json"
    change(record, files={name: {"size": 5, "sha256": "0" * 64}})
    before = everything(project.parent)
    assert main(["restore"]) == 2
    assert "names a file outside its folder" in capsys.readouterr().err
    assert everything(project.parent) == before
    with pytest.raises(ReproError, match="names a file outside"):
        parse_record(record)


def test_a_link_in_results_does_not_lead_outside(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("results/smoke/data")
    (project / "results/smoke/data").symlink_to(project.parent / "victim")
    before = everything(project.parent)
    assert main(["restore"]) == 2
    assert "which is outside of" in capsys.readouterr().err
    assert everything(project.parent) == before


def test_what_has_no_record_is_not_removed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupted training, say, with the state from which it resumes."""
    folder = Path(artefact().folder)
    (folder / "record.json").unlink()
    (folder / ".state").mkdir()
    assert main(["restore"]) == 2
    assert "is there without a record" in capsys.readouterr().err
    assert (folder / ".state").is_dir()
    assert (folder / "sub/array.npy").exists()


@pytest.mark.parametrize("content", ["", "{", "null", "[" * 100_000, '{"digest": "x"}', '{"digest": "x", "inputs": 3}'])
def test_damaged_records_of_a_store_are_named_and_keep_no_other_back(
    content: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(artefact().folder)
    damaged = project / "results/smoke/store/data/a-damaged/record.json"
    damaged.parent.mkdir()
    damaged.write_text(content)
    assert main(["restore"]) == 2
    assert "a-damaged/record.json: damaged record" in capsys.readouterr().err
    assert Path(artefact().record).exists()


def test_links_in_a_store_are_followed_and_compared(project: Path) -> None:
    """As DVC makes them with cache.type symlink; and a link to something else is not the recorded file."""
    held = project / "results/smoke" / NAME / "sub/array.npy"
    cached = project.parent / "cached"
    held.rename(cached)
    held.symlink_to(cached)
    shutil.rmtree(artefact().folder)
    assert main(["restore"]) == 0
    restored = Path(artefact().folder) / "sub/array.npy"
    assert not restored.is_symlink()
    assert restored.stat().st_ino != cached.stat().st_ino
    shutil.rmtree(artefact().folder)
    held.unlink()
    held.symlink_to(project.parent / "victim/thesis.tex")
    assert main(["restore"]) == 2
    assert not Path(artefact().folder).exists()


def test_a_restored_record_can_be_written_whatever_dvc_made_of_it(project: Path) -> None:
    shutil.rmtree(artefact().folder)
    for path in (project / "results/smoke" / NAME).rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    assert main(["restore"]) == 0
    record = Path(artefact().record)
    assert record.stat().st_mode & 0o200
    assert record.stat().st_nlink == 1


def test_a_store_takes_no_damaged_file(project: Path) -> None:
    """What DVC pushes is what was built."""
    shelf = leaf()
    file = Path(artefact().folder) / "sub/array.npy"
    shutil.rmtree(shelf.folder)
    file.unlink()
    file.write_bytes(b"arraz")
    with (
        pytest.raises(ReproError, match=r"array\.npy: SHA-256"),
        building(shelf, Path(shelf.folder)) as work,
    ):
        store.run(shelf, Path(shelf.folder), work)
    assert not Path(shelf.record).exists()


def test_a_store_removes_only_artefacts(project: Path) -> None:
    out = Path(leaf().folder)
    (out / "notes").mkdir()
    (out / "notes/mine.txt").write_text("mine")
    (out / "linked").symlink_to(project.parent / "victim")
    shutil.copytree(out / "prepare-cub-16", out / "prepare-old-16")
    (out / ".prepare-cub-16.new.partial").mkdir()
    store.run(leaf(), out, Build(leaf()))
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["linked", "notes", "prepare-cub-16"]
    assert (project.parent / "victim/thesis.tex").exists()
    bad = Node("store", "data", "smoke", {}, {"../../x": artefact().as_input()})
    with pytest.raises(ReproError, match="expected <kind>-<name>"):
        store.run(bad, out, Build(bad))


@pytest.mark.parametrize("kind", ["store", "report"])
def test_a_leaf_does_not_replace_a_folder_of_others(kind: str, project: Path) -> None:
    """`report --out ~/thesis` would remove what is in it."""
    node, out = Node(kind, "data", "smoke", {"n": 1}), project.parent / "victim"
    with pytest.raises(ReproError, match="no record of ours"), building(node, out):
        raise AssertionError
    assert (out / "thesis.tex").exists()
    empty = project.parent / "empty"
    empty.mkdir()
    with building(node, empty):
        pass


def test_what_a_build_writes_never_reaches_a_file_that_it_is_linked_to(project: Path) -> None:
    """Fault 45: a training resumes where files are links into DVC's cache, and appends to its logs."""
    node = Node("train", "cub-gan-s0", "smoke", {})
    out, cache = Path(node.folder), project.parent / "cache"
    for folder in (out / "sub", out / ".state", cache):
        folder.mkdir(parents=True)
    for name in ("hard", "soft", "plain"):
        (cache / name).write_text("kept\n")
    os.link(cache / "hard", out / "losses.csv")
    (out / "sub/events").symlink_to(cache / "soft")
    (out / "dangling").symlink_to(cache / "absent")
    (out / "plain").write_text("own\n")
    (cache / "hard").chmod(0o444)
    inode = (out / "plain").stat().st_ino
    with building(node, out):
        for name in ("losses.csv", "sub/events", "plain", "dangling"):
            with (out / name).open("a") as file:
                file.write("more\n")
    assert [(cache / name).read_text() for name in ("hard", "soft", "plain")] == ["kept\n"] * 3
    assert not (cache / "absent").exists()
    assert (out / "losses.csv").read_text() == (out / "sub/events").read_text() == "kept\nmore\n"
    assert (out / "plain").stat().st_ino == inode  # no copy where none is needed


def test_inputs_outside_of_a_project_are_read_and_never_written(project: Path) -> None:
    elsewhere = Input(path="../victim", digest="0" * 10, kind="prepare")
    node = Node("train", "cub-gan-s0", "smoke", {}, {"data": elsewhere})
    before = everything(project.parent)
    with pytest.raises(ReproError, match=r"victim: no record\.json"), building(node, Path(node.folder)):
        raise AssertionError
    assert everything(project.parent) == before


def test_specs_with_names_of_paths_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = project / "spec.json"
    for name in NAMES:
        write_json(spec, {**artefact().to_json(), "name": name})
        assert main(["prepare", "--spec", str(spec)]) == 2
        assert "expected lower-case letters" in capsys.readouterr().err
