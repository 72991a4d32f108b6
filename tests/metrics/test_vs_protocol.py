"""VS similarity through the DAG's verbs: char-CNN-RNN sentences, a ranking network, samples and real images."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_project import EvaluationProject, built

from t2i_repro.cli import main
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import write_json
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.extractors import open_extractor
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluationProject:
    monkeypatch.chdir(tmp_path)
    return EvaluationProject()


def sentences(world: EvaluationProject) -> tuple[Node, CharCnnRnn]:
    torch.manual_seed(1)
    encoder = CharCnnRnn(dim=6, width=8)
    node = world.node("char-cnn-rnn", "cub-char-cnn-rnn", {"dim": 6, "width": 8}, data=world.data)
    facts = {"trunk": {"kind": "standin", "width": 2}}
    return built(node, lambda folder: torch.save(encoder.state_dict(), folder / "encoder.pt"), facts), encoder.eval()


def made(world: EvaluationProject, kind: str, name: str, spec: dict[str, Any], **inputs: Node) -> Node:
    node = world.node(kind, name, spec, **inputs)
    write_json(Path("spec.json"), node.to_json())
    assert main([kind, "--spec", "spec.json"]) == 0
    return node


def test_char_cnn_rnn_embeds_captions_and_no_images(world: EvaluationProject) -> None:
    artefact, encoder = sentences(world)
    network = open_extractor(Path(artefact.folder), torch.device("cpu"))
    assert network.embed_captions is not None
    data = Prepared(Path(world.data.folder))
    with torch.no_grad():
        expected = encoder(characters([data.caption(number) for number in (3, 7)]))
    torch.testing.assert_close(network.embed_captions(data, (3, 7)), expected)
    assert network.standin
    with pytest.raises(ReproError, match="reads captions and sees no images"):
        network.extract(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_samples_and_real_images_are_scored_alike(world: EvaluationProject) -> None:
    text, _ = sentences(world)
    data = Prepared(Path(world.data.folder))
    crops = np.stack([data.pixels(index)[1:17, 4:20] for index in range(6, 12)])
    sample = world.node("sample", "crops", {"images": 6}, run=world.run, data=world.data)

    def write(folder: Path) -> None:
        np.save(folder / "images.npy", crops)
        with (folder / "captions.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("index", "caption_id"), *((row, row + 6) for row in range(6))])

    built(sample, write)
    seen: dict[str, Node] = {}
    for role, images, split, captions in (
        ("images", world.data, "train", False),
        ("real", world.data, "test", False),
        ("fake", sample, None, False),
        ("texts", world.data, "train", True),
        ("captions", world.data, "test", True),
    ):
        network = text if captions else world.network
        spec = {"split": split, "network": network.name, "standin": True} | ({"captions": True} if captions else {})
        seen[role] = made(world, "embed", role, spec, images=images, network=network)
    ranking = {"joint": 4, "batch": 6, "epochs": 2, "lr": 1e-3, "margin": 0.2, "loss": "code", "seed": 0}
    ranked = made(world, "judge", "ranking", ranking, images=seen["images"], captions=seen["texts"])
    protocol, found = {"protocol": "vs-similarity", "metric": "vs-similarity"}, {}
    for role, images in (("fake", {"images": 6}), ("real", {})):
        inputs = {"features": seen[role], "captions": seen["captions"], "judge": ranked}
        node = made(world, "score", role, protocol | images, **inputs)
        found[role] = json.loads((Path(node.folder) / "metric.json").read_text())
    assert found["real"]["value"] == found["fake"]["value"]
    assert (found["real"]["n"], found["real"]["run"]) == (6, None)
    assert found["fake"]["run"] is not None
    assert found["real"]["protocol"] == "vs-similarity:standin"
