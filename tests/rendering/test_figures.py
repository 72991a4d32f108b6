import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import LABELS, build, node

from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.rendering import painters
from t2i_repro.rendering.figures import render_figure
from t2i_repro.spec.node import Node
from t2i_repro.spec.record import Build, write_json
from t2i_repro.training.text import Caption

CAPTIONS = ["a red bird", "a blue bird with a red wing"]
VOCABULARY = ["<end>", "a", "bird", "blue", "red", "wing", "with"]


class FakeRun:
    """Images and masks that tell which caption and noise they are of. Several stages, 2 px and up."""

    def __init__(self, noise: int = 3, masks: int = 2, stages: int = 1, reads_any_word: bool = False) -> None:
        self.noise, self.masks, self.count = noise, masks, stages
        self.spec = {"words": 4, "seed": 0}
        self.text = SimpleNamespace(reads_any_word=reads_any_word)
        self.seen: list[Caption] = []
        self.noises: list[np.ndarray] = []

    def generate(self, captions: list[Caption], noise: np.ndarray) -> np.ndarray:
        return self.stages(captions, noise)[-1]

    def stages(self, captions: list[Caption], noise: np.ndarray) -> list[np.ndarray]:
        assert noise.shape == (len(captions), self.noise)
        self.seen += captions
        self.noises += list(noise)
        sums = [int(caption.tokens.sum()) for caption in captions]
        return [
            np.stack([np.full((2 << stage, 2 << stage, 3), total, dtype=np.uint8) for total in sums])
            for stage in range(self.count)
        ]

    def generate_with_masks(self, captions: list[Caption], noise: np.ndarray) -> tuple[np.ndarray, list[torch.Tensor]]:
        firsts = torch.tensor([float(caption.tokens[0]) for caption in captions]).reshape(-1, 1, 1, 1)
        levels = [firsts.expand(-1, 1, 2**level, 2**level) for level in range(self.masks)]
        return self.generate(captions, noise), levels


def write_captions(folder: Path) -> None:
    words = {word: number for number, word in enumerate(VOCABULARY)}
    tokens = [[words[word] for word in caption.split()] for caption in CAPTIONS]
    text = [caption.encode() for caption in CAPTIONS]
    arrays = {
        "class_ids": np.arange(2),
        "shapes": np.tile(np.array([[2, 2]], dtype=np.int32), (2, 1)),
        "pixels": np.zeros(24, dtype=np.uint8),
        "offsets": np.array([0, 12]),
        "caption_start": np.arange(3),
        "tokens": np.array(sum(tokens, []), dtype=np.int32),  # noqa: RUF017
        "token_start": np.cumsum([0, *map(len, tokens)]),
        "text": np.frombuffer(b"".join(text), dtype=np.uint8),
        "text_start": np.cumsum([0, *map(len, text)]),
        "split": np.ones(2, dtype=np.uint8),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    index = {"format": 1, "layout": "cub", "image_size": 2, "short_side": 2, "raw_is_standin": True, "class_names": {}}
    write_json(folder / "index.json", {**index, "image_ids": ["one", "two"]})
    write_json(folder / "vocabulary.json", VOCABULARY)


class Studio:
    """Draws figures of fake runs, in the current folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(painters, "load_run", lambda run, data, text: self.runs[run.name.split("-s0-")[0]])
        self.out, self.runs = folder, dict[str, FakeRun]()
        self.data, self.text = build(node("prepare", "cub-8", {}), write_captions), build(node("damsm", "damsm", {}))

    def node(self, runs: dict[str, FakeRun], **spec: Any) -> Node:
        self.runs = runs
        inputs = {}
        for name in runs:
            inputs[f"run__{name}"] = build(node("train", f"{name}-s0", {}))
            inputs |= {f"data__{name}": self.data, f"text__{name}": self.text}
        return node("figure", "ssa-gan-fig5", {"paper": "ssa-gan", "figure": "fig5", **spec, **LABELS}, **inputs)

    def draw(self, runs: dict[str, FakeRun], **spec: Any) -> SimpleNamespace:
        made = self.node(runs, **spec)
        work = Build(made)
        render_figure(made, self.out, work)
        assert (self.out / "figure.png").stat().st_size > 1000
        assert (self.out / "figure.pdf").read_bytes().startswith(b"%PDF")
        return SimpleNamespace(**json.loads((self.out / "figure.json").read_text()), facts=work.facts)


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    return Studio(tmp_path, monkeypatch)


MASKED = {"kind": "mask-maps", "system": "gan", "captions": ["A chartreuse bird with a red wing and a blue wing."]}


def test_words_the_vocabulary_lacks_are_left_out_and_told(studio: Studio) -> None:
    run = FakeRun()
    figure = studio.draw({"gan": run}, **MASKED, test_captions=2)
    assert figure.rows[0]["dropped"] == ["chartreuse", "and"]
    assert any("Not in this vocabulary" in note and "chartreuse, and" in note for note in figure.notes)
    assert "smoke scale, seconds; stand-in data (procedural); gan-s0-" in figure.notes[0]
    np.testing.assert_array_equal(run.seen[0].tokens, [1, 2, 6, 1])
    assert [row["origin"] for row in figure.rows] == ["paper", "test split", "test split"]
    assert sorted(row["caption"] for row in figure.rows[1:]) == sorted(CAPTIONS)
    assert all(caption in figure.alt for caption in CAPTIONS)
    assert figure.facts == {"rows": 3, "masks": 2}
    data = Prepared(Path(studio.data.folder))
    for row, caption in zip(figure.rows[1:], run.seen[1:], strict=True):
        assert set(caption.tokens) <= set(data.encode(row["caption"]))


def test_a_generator_without_masks_is_refused(studio: Studio) -> None:
    with pytest.raises(ReproError, match="'gan' predicts no masks"):
        studio.draw({"gan": FakeRun(masks=0)}, **MASKED)


def test_an_unknown_kind_is_refused(studio: Studio) -> None:
    with pytest.raises(ReproError, match=r"kind 'hologram'; allowed: .*mask-maps"):
        studio.draw({"gan": FakeRun()}, kind="hologram", system="gan")
