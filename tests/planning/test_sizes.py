"""Splits that are too small for a plan are refused before anything is built."""

import json
from pathlib import Path

import pytest

from t2i_repro.data.layout import StandinSize
from t2i_repro.data.layouts.cub import CUB
from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.sizes import CACHE


def raw_cub(folder: Path, test_classes: int = 2) -> Path:
    """Drawn birds that count as the user's own: 40 of the training split, 8 of each test class."""
    size = StandinSize(5, test_classes, 8, captions_per_image=10, side=32, seed=0)
    CUB.draw_standin(folder / "CUB_200_2011", size, None)
    return folder


def small(project: Path, tmp_path: Path) -> Path:
    for name in ("params.yaml", "papers"):
        (tmp_path / name).symlink_to(project / name)
    params = tmp_path / "params.yaml"
    text = params.read_text()
    params.unlink()
    before, smoke, after = text.partition("\n  smoke:\n")
    params.write_text(before + smoke + after.replace("datasets: [cub, oxford, coco]", "datasets: [cub]", 1))
    return tmp_path


def test_a_split_smaller_than_a_batch_names_the_key(project: Path, tmp_path: Path) -> None:
    own = {"data_root": str(raw_cub(tmp_path / "raw")), "papers": ["ssa-gan"]}
    folder = small(project, tmp_path)
    with pytest.raises(ReproError, match=r"classifier\.batch: found 24, but the test split of cub has 16 images"):
        Planner(folder, own)
    assert list(json.loads((folder / CACHE).read_text()).values()) == [{"train": 40, "test": 16}]
    Planner(folder, {**own, "classifier": {"batch": 16}})
    with pytest.raises(ReproError, match=r"damsm\.batch: found 41, but the train split of cub has 40 images"):
        Planner(folder, {**own, "classifier": {"batch": 16}, "damsm": {"batch": 41}})
    scale = {"scales": {"smoke": {"train": {"batch": 41}}}}
    with pytest.raises(ReproError, match=r"params\.yaml: scales\.smoke\.train\.batch \(for cub-.*\): found 41"):
        Planner(folder, {**own, "classifier": {"batch": 16}, **scale})


def test_a_stand_in_smaller_than_a_batch_is_refused_too(project: Path) -> None:
    with pytest.raises(ReproError, match=r"classifier\.batch: found 24, but the test split of \w+ has 12 images"):
        Planner(project, {"standin": {"images_per_class": 2, "train_classes": 30}})


def test_an_empty_split_is_refused(project: Path, tmp_path: Path) -> None:
    base = raw_cub(tmp_path / "raw")
    folder = small(project, tmp_path)
    (lists,) = {path.parent for path in base.rglob("testclasses.txt")}
    names = (lists / "testclasses.txt").read_text()
    (lists / "testclasses.txt").write_text("")
    (lists / "trainvalclasses.txt").write_text((lists / "trainvalclasses.txt").read_text() + names)
    with pytest.raises(ReproError, match="the test split of cub has no image"):
        Planner(folder, {"data_root": str(base), "papers": ["ssa-gan"], "classifier": {"batch": 16}})
