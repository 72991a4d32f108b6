"""One system of each paper on photographs of the dataset that it is about: raw files to samples, by Snakemake.

SSA-GAN, whose tables and page are built from real birds, stands in test_end_to_end.py.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from project_copy import Copy, make_copy

from t2i_repro.core.artefact import Node
from t2i_repro.data.prepared import Prepared
from t2i_repro.planning.plan import Planner

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

# System, its dataset, sides of the images of its stages at a quarter of 256 px, kinds of pre-training below it.
SYSTEMS = [
    ("gr-gan", "coco", [16, 32, 64], {"clip", "itm"}),
    ("msmt-gan", "cub", [16, 32, 64], {"classifier", "damsm"}),
    ("hdgan", "oxford", [16, 32, 64], {"classifier", "char-cnn-rnn"}),
    ("icsd-gan", "oxford", [16, 32, 64], {"classifier", "damsm"}),
]
SPLITS = {
    "cub": {"train": 598, "test": 234},
    "oxford": {"train": 702, "test": 182},
    "coco": {"train": 77, "test": 257},
}
SAMPLES = 24
ONCE = {"epochs": 1}
OVERRIDES: dict[str, Any] = {
    "papers": ["gr-gan", "msmt-gan", "hdgan", "icsd-gan"],
    "datasets": {"coco": {"year": 2017}},
    "scales": {
        "smoke": {
            "datasets": ["cub", "oxford", "coco"],
            **dict.fromkeys(("damsm", "itm", "clip", "char_cnn_rnn", "classifier"), ONCE),
            "system": {"multi-stage": {"train": ONCE}},
            "train": ONCE,
            "sample": {"images": SAMPLES},
        }
    },
}


def captions_of(shared: Path, dataset: str) -> dict[str, str]:
    """All that people wrote of each image, by the image's number in the raw files."""
    data = shared / "data"
    if dataset == "coco":
        found: dict[str, str] = {}
        for file in (data / "coco/annotations").glob("captions_*2017.json"):
            for entry in json.loads(file.read_text(encoding="utf-8"))["annotations"]:
                number = f"{entry['image_id']:012d}"
                found[number] = found.get(number, "") + entry["caption"].replace("\n", " ") + "\n"
        return found
    folder = data / {"cub": "CUB_200_2011", "oxford": "oxford102"}[dataset] / "text_c10"
    return {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*/*.txt")}


@pytest.fixture(scope="module")
def built(project: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, dict[str, Node]]:
    """The project with a sample of each system, by the system's name."""
    copy = make_copy(project, tmp_path_factory.mktemp("real"), fakes=False)
    overrides = {**OVERRIDES, "data_root": str(shared / "data")}
    planner = Planner(copy.folder, overrides)
    samples = {name: planner.sample(planner.train(name, dataset, 0)) for name, dataset, _, _ in SYSTEMS}
    given = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in overrides.items()]
    targets = [node.record for node in samples.values()]
    copy.snakemake("--resources", "gpu=2", "--config", *given, "--", *targets)
    return copy, samples


def record(copy: Copy, node: Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((copy.folder / node.record).read_text())
    return found


@pytest.mark.parametrize(("name", "dataset", "sides", "pretrained"), SYSTEMS, ids=[row[0] for row in SYSTEMS])
def test_a_system_trains_on_its_dataset(
    built: tuple[Copy, dict[str, Node]], shared: Path, name: str, dataset: str, sides: list[int], pretrained: set[str]
) -> None:
    copy, samples = built
    sample = samples[name]
    run, data = (copy.folder / sample.inputs[role].path for role in ("run", "data"))

    prepared = Prepared(data)
    assert not prepared.raw_is_standin
    assert {split: len(members) for split, members in prepared.splits.items()} == SPLITS[dataset]

    trained = json.loads((run / "record.json").read_text())
    assert not trained["facts"]["standin"]
    assert trained["facts"]["steps"] == SPLITS[dataset]["train"] // 12
    assert all(np.isfinite(value) for value in trained["facts"]["losses"].values())

    folder = copy.folder / sample.folder
    for side in sides:
        images = np.load(folder / ("images.npy" if side == max(sides) else f"images-{side}.npy"))
        assert images.shape == (SAMPLES, side, side, 3)
        assert (images.std((1, 2, 3)) > 1).all(), "an image without content"
        assert len(np.unique(images.reshape(SAMPLES, -1), axis=0)) == SAMPLES
    written = captions_of(shared, dataset)
    test = {prepared.image_ids[number] for number in prepared.splits["test"]}
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SAMPLES
    for row in rows:
        assert row["image_id"] in test
        assert row["caption"] in written[Path(row["image_id"]).stem]
