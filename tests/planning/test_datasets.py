"""Datasets of params.yaml: a new one is one entry, and two of one layout coexist."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from raw_data import caption_file, write_cub

from t2i_repro.errors import ReproError
from t2i_repro.planning.evaluation import cell
from t2i_repro.planning.graph import Graph

MINE = {"layout": "cub", "folder": "mine", "year": None, "captions_per_image": 10, "boxes": True}


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """What the planner reads, and a folder `data` with CUB twice."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    shutil.copytree(write_cub(tmp_path / "data"), tmp_path / "data/mine")
    return tmp_path


def graph(copy: Path, **overrides: Any) -> Graph:
    return Graph(copy, {"data_root": str(copy / "data"), "datasets": {"mine": MINE}, **overrides})


def test_two_datasets_of_one_layout_coexist(copy: Path) -> None:
    caption_file(copy / "data/mine", 0).write_text("another caption\n")
    both = graph(copy)
    cub, mine = both.prepare("cub", 64), both.prepare("mine", 64)
    assert cub.locations == {"raw_root": str(copy / "data/CUB_200_2011")}
    assert mine.locations == {"raw_root": str(copy / "data/mine")}
    assert mine.name == "mine-64"
    assert {key for key in cub.spec if cub.spec[key] != mine.spec[key]} == {"manifest"}


def test_a_folder_is_a_place_and_not_part_of_the_data(copy: Path) -> None:
    same = graph(copy)
    assert same.prepare("mine", 64) is same.prepare("cub", 64)
    (copy / "data/mine").rename(copy / "data/moved")
    moved = graph(copy, datasets={"mine": {**MINE, "folder": "moved"}})
    assert moved.prepare("mine", 64).digest == same.prepare("cub", 64).digest


def test_values_by_dataset_have_a_default_for_a_new_one(copy: Path) -> None:
    known = graph(copy)
    assert known.text_encoder("damsm", "mine").spec["words"] == 18
    assert known.text_encoder("char-cnn-rnn", "mine").spec["epochs"] == 4  # the smoke scale's
    with pytest.raises(ReproError, match=r"systems\.ssa-gan\.train\.epochs has no entry for dataset 'mine'"):
        known.train("ssa-gan", "mine", 0)


@pytest.mark.parametrize("name", ["My_birds", "raw-birds", "default", "birds_2"])
def test_names_that_files_and_rules_could_not_have_are_refused(copy: Path, name: str) -> None:
    with pytest.raises(ReproError, match=r"params\.yaml with --config: datasets: .*does not match"):
        Graph(copy, {"datasets": {name: MINE}})


def test_a_cell_on_an_unknown_dataset_says_so(copy: Path) -> None:
    row = {"label": "A", "system": "ssa-gan"}
    reasons = [
        cell(graph(copy), "a", row, {"protocol": "fid:tf", "dataset": dataset})[1] for dataset in ("celeba", "mine")
    ]
    assert reasons == ["not run: params.yaml has no dataset celeba", "not run: scale smoke leaves out mine"]
