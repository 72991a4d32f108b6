"""A tiny project of artefacts to evaluate: prepared data, a run, a classifier, samples; built in the current folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import building, write_json
from t2i_repro.metrics import embed as embed_verb
from t2i_repro.metrics import score as score_verb
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.classifier import Classifier

SIZE, SHORT = 16, 19


def built(node: Node, write: Any, facts: dict[str, Any] | None = None) -> Node:
    with building(node, Path(node.folder)) as build:
        write(Path(node.folder))
        build.facts |= facts or {}
    return node


def write_prepared(folder: Path, standin: bool) -> None:
    """Twelve images of 19 x 24 px, one caption each; the second half is the test split."""
    rng = np.random.default_rng(0)
    count = 12
    shapes = np.tile(np.array([[SHORT, 24]], dtype=np.int32), (count, 1))
    arrays = {
        "class_ids": np.arange(count, dtype=np.int64),
        "shapes": shapes,
        "pixels": rng.integers(0, 256, count * SHORT * 24 * 3, dtype=np.uint8),
        "offsets": np.arange(count, dtype=np.int64) * SHORT * 24 * 3,
        "caption_start": np.arange(count + 1, dtype=np.int64),
        "tokens": np.ones(count, dtype=np.int32),
        "token_start": np.arange(count + 1, dtype=np.int64),
        "text": np.frombuffer(b"bird" * count, dtype=np.uint8),
        "text_start": np.arange(count + 1, dtype=np.int64) * 4,
        "split": (np.arange(count) >= 6).astype(np.uint8),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    index = {
        "format": 1,
        "layout": "cub",
        "image_size": SIZE,
        "short_side": SHORT,
        "raw_is_standin": standin,
        "image_ids": [f"image {number}" for number in range(count)],
        "class_names": {},
    }
    write_json(folder / "index.json", index)
    write_json(folder / "vocabulary.json", ["<end>", "bird"])


class EvaluationProject:
    """Artefacts of a tiny project in the current folder."""

    def __init__(self, scale: str = "smoke", standin_data: bool = True) -> None:
        self.scale = scale
        self.data = built(self.node("prepare", "cub-16", {}), lambda folder: write_prepared(folder, standin_data))
        self.run = built(self.node("train", "cub-gan-s0", {}), lambda folder: None)

        def write_classifier(folder: Path) -> None:
            torch.manual_seed(0)
            classifier = Classifier(build_backbone("standin", 2), classes=5)
            with torch.no_grad():
                classifier.head.weight *= 20
            torch.save(classifier.state_dict(), folder / "classifier.pt")

        spec = {"trunk": "standin", "width": 2, "split": "test"}
        self.network = built(self.node("classifier", "cub-standin-test-classes", spec), write_classifier)

    def node(self, kind: str, name: str, spec: dict[str, Any], **inputs: Node) -> Node:
        roles = {role: node.as_input() for role, node in inputs.items()}
        return Node(kind=kind, name=name, scale=self.scale, spec=spec, inputs=roles)

    def sample(self, images: np.ndarray, name: str = "cub-gan-s0") -> Node:
        node = self.node("sample", name, {"images": len(images)}, run=self.run, data=self.data)
        return built(node, lambda folder: np.save(folder / "images.npy", images))

    def embed(self, images: Node, split: str | None = None) -> Node:
        spec = {"split": split, "network": self.network.name, "standin": True}
        node = self.node("embed", f"{images.name}-{split or 'samples'}", spec, images=images, network=self.network)
        with building(node, Path(node.folder)) as build:
            embed_verb.run(node, Path(node.folder), build)
        return node

    def score(self, features: Node, reference: Node | None = None, **spec: Any) -> dict[str, Any]:
        metric = "inception-score" if reference is None else "frechet-distance"
        protocol = "is:finetuned" if reference is None else "fid:tf"
        inputs = {"features": features} | ({} if reference is None else {"reference": reference})
        node = self.node("score", "score", {"protocol": protocol, "metric": metric, "splits": 2, **spec}, **inputs)
        with building(node, Path(node.folder)) as build:
            score_verb.run(node, Path(node.folder), build)
        return json.loads((Path(node.folder) / "metric.json").read_text())


def noise(count: int, seed: int = 1, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
