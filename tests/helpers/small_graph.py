"""A project with a graph of every kind of job, but few of each: two systems, one table and one figure."""

from typing import Any

import yaml
from project_copy import Copy

from t2i_repro.core.config import merged

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
