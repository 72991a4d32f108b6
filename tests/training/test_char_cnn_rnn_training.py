"""The char-CNN-RNN's training: schedule, exact resume, that it learns; the embeddings it leaves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow import build
from tiny import CPU, FakeBatches, digests, schedule

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters
from t2i_repro.models.encoders.loading import GROUP, embed_texts
from t2i_repro.models.state import load_torch
from t2i_repro.training.char_cnn_rnn import CharCnnRnnTraining
from t2i_repro.training.loop import train

SPEC = {"dim": 6, "width": 8, "lr": 7e-4, "decay": 0.5, "form": "code", "seed": 0}
COLOURS = ("red", "green", "blue")


def system(**changes: Any) -> CharCnnRnnTraining:
    torch.manual_seed(2)
    trunk = build_backbone("standin", 1)
    return CharCnnRnnTraining(SPEC | changes, trunk, lambda number: f"caption {number}", 5, CPU)


def test_a_step_trains_both_sides_and_not_the_trunk() -> None:
    training = system()
    before = {name: {k: v.clone() for k, v in m.state_dict().items()} for name, m in training.modules().items()}
    trunk = {name: value.clone() for name, value in training.trunk.state_dict().items()}
    training.step(FakeBatches().batch(0), 0)
    for name, module in training.modules().items():
        still = [key for key, value in module.state_dict().items() if torch.equal(value, before[name][key])]
        assert not still, f"{name}: {still}"
    assert set(training.modules()) == {"encoder", "project"}
    assert all(torch.equal(value, trunk[name]) for name, value in training.trunk.state_dict().items())


def test_the_rate_decays_by_epoch() -> None:
    training = system()
    rates = []
    for step in (0, 4, 5, 10):
        training.step(FakeBatches().batch(step), step)
        rates.append(training.optimisers()["encoders"].param_groups[0]["lr"])
    assert rates == [7e-4, 7e-4, 3.5e-4, 1.75e-4]


@pytest.mark.parametrize("stop", [3, 5])
def test_resume_is_exact(tmp_path: Path, stop: int) -> None:
    def run(out: Path, steps: int) -> None:
        train(system(), FakeBatches(), out, schedule(steps=steps, checkpoint_every=1, grid_every=100))  # type: ignore[arg-type]

    run(tmp_path / "uninterrupted", 8)
    run(tmp_path / "parts", stop)
    run(tmp_path / "parts", 8)
    assert digests(tmp_path / "uninterrupted") == digests(tmp_path / "parts")


def test_it_learns_which_caption_is_of_which_class() -> None:
    """Three classes of one colour each, whose captions say it; a trunk that sees nothing but colours."""
    batch = FakeBatches(6).batch(0)
    batch.class_ids = torch.arange(6) % 3
    batch.images = torch.eye(3)[batch.class_ids][:, :, None, None].expand(6, 3, 8, 8)
    training = system(lr=3e-3)
    training.caption = lambda number: f"a {COLOURS[number % 3]} bird, number {number}"
    training.trunk = lambda images: (images, images.mean((2, 3)).repeat(1, 3)[:, :8])  # type: ignore[assignment]

    class Same(FakeBatches):
        def batch(self, step: int) -> object:  # type: ignore[override]
            return batch

    before = training.retrieval(Same(steps_per_epoch=1))  # type: ignore[arg-type]
    for _ in range(80):
        training.step(batch, 0)
    assert training.retrieval(Same(steps_per_epoch=1)) == 1 > before  # type: ignore[arg-type]


def test_a_text_does_not_depend_on_its_companions() -> None:
    torch.manual_seed(0)
    encoder = CharCnnRnn(6, 8)
    texts = [f"bird number {number}" for number in range(GROUP)]
    together = embed_texts(encoder, texts, CPU)
    assert np.array_equal(embed_texts(encoder, texts[:3], CPU), together[:3])
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(together), encoder(characters(texts)))
    assert encoder.training


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Node]]:
    folder = tmp_path_factory.mktemp("char-cnn-rnn")
    layout = {"layout": "cub", "captions_per_image": 10}
    classes = {"train_classes": 3, "test_classes": 2, "images_per_class": 4, "side": 40, "seed": 0}
    raw = build(folder, "standin", {**layout, **classes})
    prepare = {**layout, "year": None, "boxes": True, "image_size": 16, "manifest": None}
    data = build(folder, "prepare", prepare, {"raw": raw})
    classifier = {"image_size": 16, "width": 1, "batch": 4, "epochs": 1, "lr": 1e-3, "seed": 0}
    trunk = build(folder, "classifier", {**classifier, "split": "train", "trunk": "standin"}, {"data": data})
    spec = {**SPEC, "image_size": 16, "batch": 4, "epochs": 1}
    node = build(folder, "char-cnn-rnn", spec, {"data": data, "trunk": trunk})
    return folder, {"data": data, "trunk": trunk, "text": node}


def test_the_verb_leaves_an_embedding_of_every_caption(trained: tuple[Path, dict[str, Node]]) -> None:
    folder, _ = trained
    prepared = Prepared(folder / "prepare")
    embeddings = np.load(folder / "char-cnn-rnn/embeddings.npy", mmap_mode="r")
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (len(prepared.caption_image), SPEC["dim"])
    encoder = CharCnnRnn(6, 8)
    encoder.load_state_dict(load_torch(folder / "char-cnn-rnn/encoder.pt"))
    last = len(embeddings) - 1  # the last group is not a full one
    for number in (0, GROUP, last):
        assert np.array_equal(embeddings[number], embed_texts(encoder, [prepared.caption(number)], CPU)[0])
    facts = read_record(folder / "char-cnn-rnn")["facts"]
    assert facts["standin"]
    assert facts["steps"] == 3
    assert facts["trunk"] == {"kind": "standin", "width": 1}
    assert 0 <= facts["retrieval"]["accuracy"] <= 1
