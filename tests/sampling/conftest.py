"""A trained run for the tests that sample from one."""

from pathlib import Path
from typing import Any

import pytest
from flow import build
from tiny import SWITCHES

from t2i_repro.core.artefact import Node


@pytest.fixture(scope="session")
def flow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Node]]:
    """Every verb from raw data to a trained run whose text encoder was tuned, in a few seconds."""
    folder = tmp_path_factory.mktemp("flow")
    layout = {"layout": "cub", "captions_per_image": 10}
    nodes: dict[str, Node] = {}
    classes = {"train_classes": 3, "test_classes": 2, "images_per_class": 4, "side": 40, "seed": 0}
    nodes["raw"] = build(folder, "standin", {**layout, **classes})
    prepare = {**layout, "year": None, "boxes": True, "image_size": 16, "manifest": None}
    nodes["data"] = build(folder, "prepare", prepare, {"raw": nodes["raw"]})
    classifier = {"image_size": 16, "width": 1, "batch": 4, "epochs": 1, "lr": 1e-3, "seed": 0}
    nodes["trunk"] = build(
        folder, "classifier", {**classifier, "split": "train", "trunk": "standin"}, {"data": nodes["data"]}
    )
    gammas = {"gamma1": 5.0, "gamma2": 5.0, "gamma3": 10.0}
    encoders: dict[str, Any] = {"embedding": 8, "hidden": 8, "dim": 16, "dropout": 0.5, "batch_norm": "frozen"}
    training = {
        "batch": 6,
        "epochs": 1,
        "lr": 2e-3,
        "decay": 0.98,
        "clip": 0.25,
        "seed": 0,
        "words": 6,
        "image_size": 16,
    }
    inputs = {"data": nodes["data"], "trunk": nodes["trunk"]}
    nodes["text"] = build(folder, "damsm", {**encoders, **training, **gammas}, inputs)
    system = {
        "kind": "one-stage",
        "block": "semantic-spatial",
        "width": 2,
        "masks": 5,
        "text": "tuned",
        "matching": {"damsm": 0.1, **gammas},
        "switches": SWITCHES,
    }
    run = {
        "image_size": 16,
        "base_size": 1,
        "batch": 4,
        "words": 6,
        "epochs": 2,
        "snapshots": 2,
        "betas": [0.0, 0.9],
        "ema": 0.9,
        "seed": 0,
    }
    inputs = {"data": nodes["data"], "text": nodes["text"]}
    nodes["run"] = build(folder, "train", {"system": system, **run, "lr_g": 1e-2, "lr_d": 1e-2}, inputs)
    return folder, nodes
