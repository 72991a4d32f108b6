"""Samples: what image i is made from, and that nothing else touches it. The verbs end to end, on stand-in birds."""

import csv
import json
import os
import signal
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow import build
from PIL import Image, ImageFont
from tiny import CPU, gan

from t2i_repro.cli import main
from t2i_repro.core.artefact import Node
from t2i_repro.data.batches import Batch
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError, StorageFull
from t2i_repro.sampling import export
from t2i_repro.sampling.conditioners import DamsmText
from t2i_repro.sampling.draws import CaptionSampler
from t2i_repro.sampling.generator import GROUP, generate_images, load_run
from t2i_repro.sampling.grids import captioned_grid, to_uint8, wrap
from t2i_repro.sampling.text import Caption
from t2i_repro.training.one_stage import OneStageGAN


def sample(flow: tuple[Path, dict[str, Node]], out: Path, images: int, snapshot: int | None = None, **how: int) -> Path:
    """Build a sample in ``out``, whose other inputs stand in the flow's folder."""
    folder, nodes = flow
    for node in ("data", "text", "run"):
        kind = nodes[node].kind
        (out / kind).symlink_to(folder / kind)
    inputs = {role: nodes[role] for role in ("run", "data", "text")}
    moment = {} if snapshot is None else {"snapshot": snapshot}
    build(out, "sample", {"images": images, "seed": 3, "split": "test", **moment}, inputs, **how)
    return out / "sample"


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


def test_the_records_tell_what_was_trained(flow: tuple[Path, dict[str, Node]]) -> None:
    folder, _ = flow
    damsm, classifier, run = (record(folder / kind) for kind in ("damsm", "classifier", "train"))
    assert classifier["facts"]["classes"] == 3
    assert classifier["facts"]["class_ids"] == [1, 2, 3]
    assert 0 <= classifier["facts"]["accuracy"] <= 1
    assert damsm["facts"]["trunk"] == {"kind": "standin", "width": 1}
    assert damsm["facts"]["retrieval"]["chance"] == pytest.approx(1 / 6, abs=1e-4)
    assert run["facts"]["steps"] == 6
    assert run["facts"]["standin"] is True
    assert {"generator.pt", "text_encoder.pt", "checkpoint.pt", "losses.csv", "grids/step-000006.png"} <= set(
        run["files"]
    )
    assert set(run["facts"]["losses"]) >= {"d_loss", "g_loss", "ma_gp", "g_damsm", "text_damsm"}


def test_samples_hold_what_they_promise(flow: tuple[Path, dict[str, Node]], tmp_path: Path) -> None:
    folder, _ = flow
    out = sample(flow, tmp_path, 21)
    images = np.load(out / "images.npy", mmap_mode="r")
    assert images.shape == (21, 16, 16, 3)
    assert images.dtype == np.uint8
    assert len({pixels.tobytes() for pixels in images}) == 21
    prepared = Prepared(folder / "prepare")
    with (out / "captions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    test = {prepared.image_ids[i] for i in prepared.splits["test"]}
    assert [int(row["index"]) for row in rows] == list(range(21))
    for row in rows:
        image = prepared.caption_image[int(row["caption_id"])]
        assert row["image_id"] == prepared.image_ids[image]
        assert row["caption"] == prepared.caption(int(row["caption_id"]))
    assert {row["image_id"] for row in rows[:8]} == test  # one pass through the split before any image comes again
    assert Image.open(out / "preview.png").width > 600


@pytest.mark.parametrize(("images", "batch"), [(1, 1), (5, 7), (GROUP + 1, 40), (21, 2)])
def test_image_i_depends_on_seed_and_i_alone(
    flow: tuple[Path, dict[str, Node]], tmp_path: Path, images: int, batch: int
) -> None:
    """To the last bit, whatever the number of images, the batch and the companions."""
    folder, _ = flow
    (tmp_path / "few").mkdir()
    few = np.load(sample(flow, tmp_path / "few", images, batch=batch) / "images.npy")
    loaded = load_run(folder / "train", folder / "prepare", folder / "damsm")
    draws = CaptionSampler(Prepared(folder / "prepare"), "test", loaded.spec["words"], 3)
    for i in range(images):
        alone = loaded.generate(*draws.inputs([i], loaded.noise_dim))[0]
        assert np.array_equal(few[i], alone), i


def test_images_that_are_not_finite_are_refused(flow: tuple[Path, dict[str, Node]]) -> None:
    folder, _ = flow
    loaded = load_run(folder / "train", folder / "prepare", folder / "damsm")
    draws = CaptionSampler(Prepared(folder / "prepare"), "test", 6, 3)
    captions, noise = draws.inputs(range(2), loaded.noise_dim)
    noise[1, 0] = np.nan
    with pytest.raises(ReproError, match="not finite"):
        loaded.generate(captions, noise)


def test_floats_do_not_depend_on_companions_either() -> None:
    """Before they are rounded to bytes; in another order and next to other captions."""
    system = gan()
    for parameter in system.generator.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0, 0.3)
    draw = np.random.default_rng(0)
    captions = [Caption("", draw.integers(1, 12, draw.integers(1, 6))) for _ in range(19)]
    text = DamsmText(system.text_encoder, 5)
    noise = draw.standard_normal((19, 100), dtype=np.float32)
    output = generate_images(system.generator, text, captions, noise, CPU)
    order = draw.permutation(19)
    again = generate_images(system.generator, text, [captions[i] for i in order], noise[order], CPU)
    for before, after in zip(output.images + output.masks, again.images + again.masks, strict=True):
        assert torch.equal(before[order], after)
    assert [tuple(mask.shape) for mask in output.masks] == [(19, 1, size, size) for size in (1, 2, 4, 8)]
    other = generate_images(system.generator, text, [Caption("", np.array([1]))] * 19, noise, CPU)
    assert not torch.allclose(output.images[0], other.images[0])


def test_a_loaded_run_holds_the_average_and_the_tuned_text_encoder(flow: tuple[Path, dict[str, Node]]) -> None:
    folder, _ = flow
    loaded = load_run(folder / "train", folder / "prepare", folder / "damsm")
    state = torch.load(folder / "train/checkpoint.pt")
    assert torch.equal(loaded.generator.fc.weight, state["averages"]["generator"]["fc.weight"])
    assert not torch.equal(loaded.generator.fc.weight, state["modules"]["generator"]["fc.weight"])
    tuned = loaded.text.encoder.embedding.weight
    assert torch.equal(tuned, state["modules"]["text_encoder"]["embedding.weight"])
    assert not torch.equal(tuned, torch.load(folder / "damsm/text_encoder.pt")["embedding.weight"])
    with pytest.raises(ReproError, match="never completed"):
        load_run(folder / "nothing", folder / "prepare", folder / "damsm")


def test_a_run_can_be_sampled_as_it_was_after_an_earlier_epoch(
    flow: tuple[Path, dict[str, Node]], tmp_path: Path
) -> None:
    folder, _ = flow
    assert sorted(path.name for path in (folder / "train").glob("*-*.pt")) == ["generator-1.pt", "text_encoder-1.pt"]
    loaded = load_run(folder / "train", folder / "prepare", folder / "damsm", snapshot=1)
    kept = {name: torch.load(folder / f"train/{name}-1.pt") for name in ("generator", "text_encoder")}
    assert torch.equal(loaded.generator.fc.weight, kept["generator"]["fc.weight"])
    assert torch.equal(loaded.text.encoder.embedding.weight, kept["text_encoder"]["embedding.weight"])
    images = []
    for number, snapshot in enumerate((1, None)):
        (tmp_path / str(number)).mkdir()
        images.append(np.load(sample(flow, tmp_path / str(number), 4, snapshot) / "images.npy"))
    draws = CaptionSampler(Prepared(folder / "prepare"), "test", loaded.spec["words"], 3)
    assert np.array_equal(images[0], loaded.generate(*draws.inputs(range(4), loaded.noise_dim)))
    assert not np.array_equal(*images)
    with pytest.raises(ReproError, match=r"-3\.pt: cannot be read"):
        load_run(folder / "train", folder / "prepare", folder / "damsm", snapshot=3)


def test_an_encoder_of_another_vocabulary_is_refused(flow: tuple[Path, dict[str, Node]], tmp_path: Path) -> None:
    folder, _ = flow
    other = tmp_path / "prepare"
    other.mkdir()
    for path in (folder / "prepare").iterdir():
        (other / path.name).symlink_to(path)
    (other / "vocabulary.json").unlink()
    words = json.loads((folder / "prepare/vocabulary.json").read_text())
    (other / "vocabulary.json").write_text(json.dumps([*words, "dodo"]))
    with pytest.raises(ReproError, match=f"knows {len(words)} words, but .* has {len(words) + 1}"):
        load_run(folder / "train", other, folder / "damsm")


def test_draws_are_functions_of_seed_and_index(flow: tuple[Path, dict[str, Node]]) -> None:
    prepared = Prepared(flow[0] / "prepare")
    forth, back = CaptionSampler(prepared, "test", 4, 0), CaptionSampler(prepared, "test", 4, 0)
    ids = [forth.caption_id(i) for i in range(30)]
    assert ids == [back.caption_id(i) for i in reversed(range(30))][::-1]
    assert ids != [CaptionSampler(prepared, "test", 4, 1).caption_id(i) for i in range(30)]
    for i in range(30):
        kept = forth.tokens(i).tolist()
        left = iter(prepared.tokens(ids[i]).tolist())
        assert len(kept) == min(4, len(prepared.tokens(ids[i])))
        assert all(token in left for token in kept), "an ordered subset of the caption's words"
    assert np.array_equal(forth.noise(7, 100), back.noise(7, 100))
    assert not np.array_equal(forth.noise(7, 100), forth.noise(8, 100))
    noise = np.stack([forth.noise(i, 100) for i in range(200)])
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03


def test_bytes_are_truncated_as_the_authors_do() -> None:
    values = torch.tensor([-1.0, -0.5, 0.0, 0.999, 1.0, 1.2, torch.nan]).view(1, 1, 1, -1).expand(1, 3, 1, 7)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 63, 127, 254, 255, 255, 127]


def test_captions_are_wrapped_within_their_cell() -> None:
    font = ImageFont.load_default(12)
    text = "this small bird has a short beak, a light gray breast, a darker gray and black wing tips " * 2
    lines = wrap(text, font, 150, 4)
    assert len(lines) == 4
    assert lines[-1].endswith("…")
    assert all(font.getlength(line) <= 150 for line in lines)
    assert " ".join(wrap(text, font, 150, 100)) == text.strip()


def test_a_grid_shows_each_image_and_its_words() -> None:
    images = np.zeros((5, 8, 8, 3), np.uint8)
    images[..., 0] = np.arange(40, 240, 40)[:, None, None]
    blank = captioned_grid(images, [""] * 5, columns=2)
    said = captioned_grid(images, ["a bird", "", "", "", ""], columns=2)
    colours = {colour for _, colour in blank.getcolors(1 << 16)}  # type: ignore[misc]
    assert colours == {(255, 255, 255), *((value, 0, 0) for value in range(40, 240, 40))}
    assert np.asarray(said).min() < 40


def test_export_writes_pictures_that_equal_the_samples(flow: tuple[Path, dict[str, Node]], tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    out = sample(flow, tmp_path / "made", 3)
    target = tmp_path / "pictures"
    export.main(Namespace(samples=out, to=target))
    assert sorted(path.name for path in target.iterdir()) == ["000000.png", "000001.png", "000002.png", "captions.csv"]
    images = np.load(out / "images.npy")
    for index in range(3):
        assert np.array_equal(np.asarray(Image.open(target / f"{index:06d}.png")), images[index])
    with pytest.raises(ReproError, match="is not empty"):
        export.main(Namespace(samples=out, to=target))
    with pytest.raises(ReproError, match="is a train artefact"):
        export.main(Namespace(samples=flow[0] / "train", to=tmp_path / "other"))


def test_a_full_disk_leaves_no_half_written_samples(
    flow: tuple[Path, dict[str, Node]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFull, match=r"images\.npy"):
        sample(flow, tmp_path, 3)
    assert list((tmp_path / "sample").iterdir()) == []


def test_the_command_line_ends_with_75_when_told_to_stop_and_goes_on(
    flow: tuple[Path, dict[str, Node]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, nodes = flow
    spec, out = tmp_path / "spec.json", tmp_path / "run"
    spec.write_text(json.dumps(nodes["run"].to_json()))
    step = OneStageGAN.step

    def stopping(self: OneStageGAN, batch: Batch, number: int) -> dict[str, torch.Tensor]:
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, number)

    monkeypatch.setattr(OneStageGAN, "step", stopping)
    assert main(["train", "--spec", str(spec), "--out", str(out)]) == 75
    assert not (out / "record.json").exists()
    monkeypatch.setattr(OneStageGAN, "step", step)
    assert main(["train", "--spec", str(spec), "--out", str(out)]) == 0
    resumed, whole = record(out), record(folder / "train")
    assert resumed["facts"].pop("resumed_at") == 4
    assert resumed["facts"] == whole["facts"]
    assert resumed["files"] == whole["files"]
