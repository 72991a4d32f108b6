import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import HOSTILE, LABELS, build, node
from PIL import Image

from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.rendering import figures
from t2i_repro.rendering.figures import MaskRow, draw_mask_maps, shortened, stretch
from t2i_repro.spec.record import Build, write_json
from t2i_repro.training.text import Caption

CAPTIONS = ["a red bird", "a blue bird with a red wing"]
VOCABULARY = ["<end>", "a", "bird", "blue", "red", "wing", "with"]


def rows(caption: str, masks: int = 7) -> list[MaskRow]:
    rng = np.random.default_rng(0)
    sizes = [2**level for level in range(masks)]
    maps = [rng.random((size, size), dtype=np.float32) for size in sizes]
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return [MaskRow(caption, "paper", ["chartreuse"], image, maps)] * 2


def test_the_figure_comes_as_picture_and_as_vectors_twice_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw_mask_maps(rows(HOSTILE), ["smoke scale"], tmp_path / name)
    for suffix in ("png", "pdf"):
        assert (tmp_path / "one" / f"figure.{suffix}").read_bytes() == (
            tmp_path / "two" / f"figure.{suffix}"
        ).read_bytes()
    assert (tmp_path / "one" / "figure.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "one" / "figure.png") as image:
        width, height = image.size
        assert width > 1.5 * height
        pixels = np.asarray(image.convert("L"))
    cell, left = figures.CELL * figures.DPI, figures.TEXT * figures.DPI
    for column in range(8):
        middle = pixels[120:230, int(left + column * cell) + 20 : int(left + (column + 1) * cell) - 20]
        assert middle.std() > 20 or column == 1, f"column {column} is empty"


def test_masks_are_stretched_and_a_constant_one_is_grey() -> None:
    assert stretch(np.array([[0.48, 0.52]])) == {"cmap": "gray", "vmin": 0.48, "vmax": 0.52}
    assert stretch(np.full((4, 4), 0.5)) == {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
    assert shortened("a bird with " * 9) == "a bird with a bird with a bird with a …"


class FakeRun:
    """Masks that tell which caption they belong to."""

    noise = 3
    spec = {"words": 4, "seed": 0}  # noqa: RUF012

    def __init__(self, masks: int = 2) -> None:
        self.masks = masks
        self.seen: list[np.ndarray] = []

    def generate_with_masks(self, captions: list[Caption], noise: np.ndarray) -> tuple[np.ndarray, list[torch.Tensor]]:
        assert noise.shape == (len(captions), 3)
        self.seen = [caption.tokens for caption in captions]
        images = np.stack([np.full((8, 8, 3), caption.tokens.sum(), dtype=np.uint8) for caption in captions])
        firsts = torch.tensor([float(caption.tokens[0]) for caption in captions])
        return images, [firsts.reshape(-1, 1, 1, 1).expand(-1, 1, 2**level, 2**level) for level in range(self.masks)]


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


@pytest.fixture
def figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.chdir(tmp_path)
    run, text = build(node("train", "cub-gan-s0", {})), build(node("damsm", "cub-damsm", {}))
    data = build(node("prepare", "cub-8", {}), write_captions)
    spec = {
        "paper": "ssa-gan",
        "figure": "fig5",
        "kind": "mask-maps",
        "system": "ssa-gan",
        "captions": ["A chartreuse bird with a red wing and a blue wing."],
        "test_captions": 2,
        **LABELS,
    }
    fake = FakeRun()
    monkeypatch.setattr(figures, "load_run", lambda *folders: fake)
    return SimpleNamespace(
        node=node("figure", "ssa-gan-fig5", spec, run=run, data=data, text=text), run=fake, out=tmp_path
    )


def test_words_the_vocabulary_lacks_are_left_out_and_told(figure: SimpleNamespace) -> None:
    build_ = Build(figure.node)
    figures.render_mask_maps(figure.node, figure.out, build_)
    told = json.loads((figure.out / "figure.json").read_text())
    assert told["rows"][0]["dropped"] == ["chartreuse", "and"]
    assert any("Not in this vocabulary" in note and "chartreuse, and" in note for note in told["notes"])
    assert "smoke scale, seconds; stand-in data (procedural); cub-gan-s0-" in told["notes"][0]
    np.testing.assert_array_equal(figure.run.seen[0], [1, 2, 6, 1])
    assert [row["origin"] for row in told["rows"]] == ["paper", "test split", "test split"]
    assert sorted(row["caption"] for row in told["rows"][1:]) == sorted(CAPTIONS)
    assert all(caption in told["alt"] for caption in CAPTIONS)
    assert build_.facts == {"rows": 3, "masks": 2, "words_dropped": 2}
    data = Prepared(Path(figure.node.inputs["data"].path))
    for row, tokens in zip(told["rows"][1:], figure.run.seen[1:], strict=True):
        assert set(tokens) <= set(data.encode(row["caption"]))


def test_a_generator_without_masks_is_refused(figure: SimpleNamespace) -> None:
    figure.run.masks = 0
    with pytest.raises(ReproError, match="'ssa-gan' predicts no masks"):
        figures.render_mask_maps(figure.node, figure.out, Build(figure.node))
