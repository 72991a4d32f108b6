import json
import subprocess
import sys
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import LABELS, build, node
from PIL import Image

from t2i_repro.core.artefact import Node
from t2i_repro.core.declarations import resolve
from t2i_repro.core.record import Build, write_json
from t2i_repro.core.schema import schemas
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.planning.figures import INPUTS
from t2i_repro.rendering import figure_runs, figures, image_figures
from t2i_repro.rendering.figures import KINDS
from t2i_repro.rendering.pictures import Grid, draw_grid
from t2i_repro.rendering.rendered import read_figure
from t2i_repro.sampling.generator import Run
from t2i_repro.sampling.text import Caption

CAPTIONS = ["a red bird", "a blue bird with a red wing"]
VOCABULARY = ["<end>", "a", "bird", "blue", "red", "wing", "with"]


class FakeRun:
    """A run whose images and masks encode caption and noise. Stages have 2, 4, 8 px."""

    def __init__(
        self,
        noise_dim: int = 3,
        masks: int = 2,
        stages: int = 1,
        reads_any_word: bool = False,
        ink: int = 0,
        z_dim: int | None = None,
    ) -> None:
        self.noise_dim, self.masks, self.count, self.ink = noise_dim, masks, stages, ink
        self.z_dim = noise_dim if z_dim is None else z_dim
        self.spec = {"words": 4, "seed": 0}
        self.text = SimpleNamespace(reads_any_word=reads_any_word)
        self.seen: list[Caption] = []
        self.noises: list[np.ndarray] = []

    def generate(self, captions: list[Caption], noise: np.ndarray) -> np.ndarray:
        return self.stages(captions, noise)[-1]

    def stages(self, captions: list[Caption], noise: np.ndarray) -> list[np.ndarray]:
        assert noise.shape == (len(captions), self.noise_dim)
        self.seen += captions
        self.noises += list(noise)
        sums = [self.ink + int(caption.tokens.sum()) for caption in captions]
        return [
            np.stack([np.full((2 << stage, 2 << stage, 3), total, dtype=np.uint8) for total in sums])
            for stage in range(self.count)
        ]

    def generate_with_masks(self, captions: list[Caption], noise: np.ndarray) -> tuple[np.ndarray, list[torch.Tensor]]:
        firsts = torch.tensor([float(caption.tokens[0]) for caption in captions]).reshape(-1, 1, 1, 1)
        levels = [firsts.expand(-1, 1, 2**level, 2**level) for level in range(self.masks)]
        return self.generate(captions, noise), levels

    def between(self, first: Caption, last: Caption, weights: list[float], noise: np.ndarray) -> np.ndarray:
        self.noises.append(noise)
        return np.stack([np.full((2, 2, 3), round(100 * weight), dtype=np.uint8) for weight in weights])


def test_the_fake_run_has_the_interface_of_a_run() -> None:
    for name in ("generate", "stages", "generate_with_masks", "between"):
        assert list(signature(getattr(FakeRun, name)).parameters) == list(signature(getattr(Run, name)).parameters)
    assert set(vars(FakeRun())) - {"masks", "count", "ink", "seen", "noises"} <= {*dir(Run), *Run.__dataclass_fields__}


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
        monkeypatch.setattr(figure_runs, "load_run", lambda run, data, text: self.runs[run.name.split("-s0-")[0]])
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
        figures.run(made, self.out, work)
        assert (self.out / "figure.png").stat().st_size > 1000
        assert (self.out / "figure.pdf").read_bytes().startswith(b"%PDF")
        return SimpleNamespace(**json.loads((self.out / "figure.json").read_text()), facts=work.facts)


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    return Studio(tmp_path, monkeypatch)


@pytest.fixture
def grids(monkeypatch: pytest.MonkeyPatch) -> list[Grid]:
    """What is drawn_grids out, in order."""
    drawn_grids: list[Grid] = []

    def draw(grid: Grid, out: Path) -> None:
        drawn_grids.append(grid)
        draw_grid(grid, out)

    monkeypatch.setattr(image_figures, "draw_grid", draw)
    return drawn_grids


MASKED = {"kind": "mask-maps", "system": "gan", "captions": ["A chartreuse bird with a red wing and a blue wing."]}


def test_words_the_vocabulary_lacks_are_left_out_and_named(studio: Studio) -> None:
    run = FakeRun()
    figure = studio.draw({"gan": run}, **MASKED, test_captions=2)
    assert figure.rows[0]["dropped"] == ["chartreuse", "and"]
    assert any("words that are not in the vocabulary" in note for note in figure.notes)
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
    with pytest.raises(ReproError, match="'gan' predicts no masks"):
        studio.draw({"gan": FakeRun(masks=0)}, **WORDS, masks=True)


def test_an_unknown_kind_is_refused(studio: Studio) -> None:
    with pytest.raises(ReproError, match=r"kind 'hologram'; allowed: .*mask-maps"):
        studio.draw({"gan": FakeRun()}, kind="hologram", system="gan")


COMPARED = {
    "kind": "samples",
    "systems": [{"label": "A & B", "system": "b"}, {"label": "DALL-E"}, {"label": "AttnGAN", "system": "a"}],
}


def test_all_systems_draw_the_same_captions_with_the_same_noise(studio: Studio, grids: list[Grid]) -> None:
    runs = {"a": FakeRun(noise_dim=3, ink=100), "b": FakeRun(noise_dim=5, ink=200)}
    figure = studio.draw(runs, **COMPARED, captions=["a blue wing"], test_captions=3)
    for one, other in zip(runs["a"].noises, runs["b"].noises, strict=True):
        np.testing.assert_array_equal(one, other[:3])
    assert len(np.unique(np.stack(runs["a"].noises), axis=0)) == 4
    assert [caption.text for caption in runs["a"].seen] == [caption.text for caption in runs["b"].seen]
    assert [name for name, _ in grids[0].columns] == ["A & B", "AttnGAN"]
    assert [row.text for row in grids[0].rows] == [row["caption"] for row in figure.rows]
    for row, caption in zip(grids[0].rows, runs["a"].seen, strict=True):
        assert [int(picture.pixels[0, 0, 0]) - ink for picture, ink in zip(row.pictures, (200, 100), strict=True)] == [
            caption.tokens.sum()
        ] * 2
    assert "Printed only, no run of ours: DALL-E." in figure.notes
    assert "DALL-E" not in figure.alt


def test_a_system_without_a_network_is_named(studio: Studio, grids: list[Grid]) -> None:
    figure = studio.draw({"a": FakeRun()}, **COMPARED, captions=["a blue wing"])
    assert [name for name, _ in grids[0].columns] == ["AttnGAN"]
    assert any("images from outside" in note and "A & B" in note for note in figure.notes)


def test_a_sentence_of_unknown_words_is_left_out_and_named(studio: Studio) -> None:
    figure = studio.draw({"gan": FakeRun()}, **{**MASKED, "captions": ["Chartreuse!", "a wing"]})
    assert [row["caption"] for row in figure.rows] == ["a wing"]
    assert any("Not drawn" in note and "Chartreuse!" in note for note in figure.notes)
    with pytest.raises(ReproError, match="no caption to draw"):
        studio.draw({"gan": FakeRun()}, **{**MASKED, "captions": ["Chartreuse!"]})


def test_an_encoder_of_characters_reads_every_word(studio: Studio) -> None:
    run = FakeRun(reads_any_word=True)
    figure = studio.draw({"b": run}, **COMPARED, captions=["Chartreuse!", "a chartreuse wing"])
    assert [row["dropped"] for row in figure.rows] == [[], []]
    assert [caption.text for caption in run.seen] == ["Chartreuse!", "a chartreuse wing"]
    assert not any("Not read" in note for note in figure.notes)
    mixed = studio.draw({"b": run, "a": FakeRun()}, **COMPARED, captions=["a chartreuse wing"])
    assert [row["dropped"] for row in mixed.rows] == [["chartreuse"]]
    assert any("Not read" in note and "(b: read" in note for note in mixed.notes)


def test_stages_are_in_order_small_to_large(studio: Studio, grids: list[Grid]) -> None:
    systems = [{"label": "I→S→W", "system": "a"}, {"label": "S→W→I", "system": "b"}]
    runs = {"a": FakeRun(stages=3), "b": FakeRun(stages=3)}
    figure = studio.draw(runs, kind="stages", systems=systems, captions=["a wing", "a bird"])
    assert list(grids[0].columns) == [("stage 1", "2 × 2 px"), ("stage 2", "4 × 4 px"), ("stage 3", "8 × 8 px")]
    assert [(row.text, list(row.small)) for row in grids[0].rows] == [
        ("a wing", ["I→S→W"]),
        ("", ["S→W→I"]),
        ("a bird", ["I→S→W"]),
        ("", ["S→W→I"]),
    ]
    assert [[picture.pixels.shape[0] for picture in row.pictures] for row in grids[0].rows] == [[2, 4, 8]] * 4
    assert len(figure.rows) == 2


WORDS = {"kind": "words", "system": "gan", "groups": [["a red bird", "a blue bird"], ["a wing", "a chartreuse wing"]]}


def test_words_change_under_the_same_noises(studio: Studio, grids: list[Grid]) -> None:
    run = FakeRun()
    figure = studio.draw({"gan": run}, **WORDS, noises=2, masks=True)
    noise = np.stack(run.noises).reshape(4, 2, 3)
    np.testing.assert_array_equal(noise[0], noise[1])
    np.testing.assert_array_equal(noise[2], noise[3])
    assert len(np.unique(noise.reshape(-1, 3), axis=0)) == 4
    assert [list(row.small) for row in grids[0].rows] == [
        [],
        ["red → blue"],
        [],
        ["(nothing) → chartreuse", "not read: chartreuse"],
    ]
    assert list(grids[0].columns) == [(f"noise {number}", name) for number in (1, 2) for name in ("mask", "image")]
    assert [[picture.pixels.ndim for picture in row.pictures] for row in grids[0].rows] == [[2, 3, 2, 3]] * 4
    assert [row["caption"] for row in figure.rows] == ["a red bird", "a blue bird", "a wing", "a chartreuse wing"]
    assert "The sentences between two lines have the same noises." in figure.notes
    alone = studio.draw({"gan": run}, **{**WORDS, "groups": WORDS["groups"][:1]})
    assert "The sentences have the same noises." in alone.notes
    assert len(grids[1].columns) == 4


def test_a_sentence_becomes_another_in_equal_steps(studio: Studio, grids: list[Grid]) -> None:
    pairs = [["a red bird", "a blue bird"], ["a wing", "a bird"]]
    run = FakeRun()
    figure = studio.draw({"gan": run}, kind="interpolation", system="gan", pairs=pairs, steps=5)
    assert [name for name, _ in grids[0].columns] == ["0%", "25%", "50%", "75%", "100%"]
    first, second = grids[0].rows
    assert (first.text, list(first.small)) == ("from: a red bird", ["to: a blue bird"])
    assert [int(picture.pixels[0, 0, 0]) for picture in first.pictures] == [0, 25, 50, 75, 100]
    assert len({noise.tobytes() for noise in run.noises}) == 2
    assert "a wing" in second.text
    assert "from: a red bird, to: a blue bird" in figure.alt


def test_the_noise_grid_has_z_in_columns_and_epsilon_in_rows(studio: Studio, grids: list[Grid]) -> None:
    run = FakeRun(noise_dim=5, z_dim=3)
    studio.draw({"gan": run}, kind="noise-grid", system="gan", captions=["a wing"], noises=3)
    noise = np.stack(run.noises).reshape(3, 3, 5)
    for place in range(3):
        np.testing.assert_array_equal(noise[place, :, 3:], noise[place, [0, 0, 0], 3:])  # a row has one epsilon
        np.testing.assert_array_equal(noise[:, place, :3], noise[[0, 0, 0], place, :3])  # a column has one z
    assert len(np.unique(noise.reshape(9, 5), axis=0)) == 9
    assert [list(row.small) for row in grids[0].rows] == [["ε 1"], ["ε 2"], ["ε 3"]]
    assert [name for name, _ in grids[0].columns] == ["z 1", "z 2", "z 3"]
    with pytest.raises(ReproError, match="'gan' draws no epsilon"):
        studio.draw({"gan": FakeRun()}, kind="noise-grid", system="gan", captions=["a wing"])


def test_every_kind_of_the_schema_is_planned_and_drawn() -> None:
    kinds = set(schemas()["paper.yaml"]["$defs"]["figure"]["properties"]["kind"]["enum"])
    assert kinds == set(KINDS) == set(INPUTS)
    assert kinds <= set(schemas()["figures.yaml"]["$defs"])


@pytest.mark.parametrize("kind", ["curve", "scatter"])
def test_plots_do_not_wait_for_torch(kind: str) -> None:
    code = (
        "import sys; from t2i_repro.core.declarations import resolve; from t2i_repro.rendering.figures import KINDS;"
        f"resolve(KINDS['{kind}']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_kind_names_a_function() -> None:
    assert all(callable(resolve(reference)) for reference in KINDS.values())


def test_the_page_calls_a_figure_by_its_label(studio: Studio) -> None:
    figure = studio.node({"gan": FakeRun()}, **MASKED, label="Table 5")

    def write(folder: Path) -> None:
        Image.new("RGB", (30, 20)).save(folder / "figure.png")
        write_json(folder / "figure.json", {"alt": "", "notes": [], "rows": []})

    shown = read_figure(build(figure, write).as_input())
    assert (shown.name, shown.anchor) == ("Table 5", "ssa-gan-fig5")
