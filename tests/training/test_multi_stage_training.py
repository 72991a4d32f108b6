"""The multi-stage systems of papers/ as the loop trains them: every one on every dataset it differs on, shrunk."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CPU, SIDE, FakeBatches, digests, image_encoder, schedule, text_encoder
from torch import Tensor, nn

from t2i_repro.data.batches import Batch
from t2i_repro.encoders.itm import ITM, StandinClip
from t2i_repro.errors import ReproError
from t2i_repro.spec.papers import load_papers
from t2i_repro.spec.systems import DATASETS, NoEntryError, resolve_systems, scaled, system_on
from t2i_repro.training.checkpoint import save_torch
from t2i_repro.training.gan import Parts
from t2i_repro.training.itm import ItmText, Kept
from t2i_repro.training.loop import train
from t2i_repro.training.multi_stage import MultiStageGAN
from t2i_repro.training.painting import paint
from t2i_repro.training.text import Caption, DamsmText, Text, TextSide

WORDS, TEXT, CAPTIONS = 5, 8, 4
STEPS = 2  # at such widths a ReLU may be closed to a whole batch
OVER: dict[str, Any] = {
    "shrink": 4,
    "train": {"batch": 4},
    "system": {"multi-stage": {"width": 4, "noise": 5, "condition": 3, "discriminator": {"width": 2, "common": 5}}},
}


def variants() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, raw in resolve_systems(load_papers(Path(__file__).parents[2])).items():
        for dataset in DATASETS if raw["kind"] == "multi-stage" else ():
            try:
                system = scaled(system_on(raw, dataset, DATASETS, name), OVER, name)
            except NoEntryError:
                continue
            schedule_ = system.pop("train")
            system["residual"] = min(1, system["residual"])
            for stage in system["stages"]:
                if "heads" in stage.get("fusion", {}):
                    stage["fusion"] |= {"grid": 2, "heads": min(2, stage["fusion"]["heads"])}
            if system not in [other["system"] for other in found.values()]:
                side = SIDE << (len(system["stages"]) - 1)
                found[f"{name}-{dataset}"] = {"system": system, **schedule_, "image_size": side, "seed": 0}
    return found


VARIANTS = variants()


class Sentences(TextSide):
    """A sentence for each caption number, and no words."""

    dim, words = TEXT, 1
    encoder: nn.Module = nn.Identity()

    def of_batch(self, batch: Batch) -> Text:
        return Text.of_sentence(batch.tokens[:, :1].float().sin().expand(-1, TEXT))

    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        return Text.of_sentence(torch.full((1, TEXT), float(np.sin(caption.tokens[0]))))


class DamsmSide(DamsmText):
    def image_encoder(self) -> nn.Module:
        return image_encoder()


def itm_text() -> ItmText:
    torch.manual_seed(3)
    itm = ITM(StandinClip(20, width=1, dim=TEXT, context=WORDS + 2))
    rows = np.zeros((CAPTIONS, WORDS + 2), np.int64)
    for row, length in enumerate((5, 4, 2, 1)):
        rows[row, : length + 2] = [18, *range(1, length + 1), 19]
    with torch.no_grad():
        features, embeddings = itm.clip.eval().text(torch.from_numpy(rows))
    kept = Kept(features[:, : WORDS + 1].half().numpy(), embeddings.numpy(), rows.astype(np.int32))
    return ItmText(itm, kept, lambda text: rows[int(text)], WORDS)


SIDES: dict[str, Callable[[], TextSide]] = {
    "damsm": lambda: DamsmSide(text_encoder(), WORDS),
    "itm": itm_text,
    "char-cnn-rnn": Sentences,
}


def built(name: str, **changes: Any) -> MultiStageGAN:
    spec = copy.deepcopy(VARIANTS[name]) | changes
    batches = FakeBatches(side=spec["image_size"])
    return MultiStageGAN(Parts(spec, SIDES[spec["system"]["encoder"]](), batches, CPU))  # type: ignore[arg-type]


def state(system: MultiStageGAN) -> dict[str, Tensor]:
    networks = {**system.modules(), "text": system.text.encoder, "image": system.image_encoder or nn.Identity()}
    return {
        f"{key}.{n}": p.detach().clone() for key, network in networks.items() for n, p in network.named_parameters()
    }


def indifferent(system: MultiStageGAN, names: set[str]) -> set[str]:
    """What no loss depends on, so that rounding alone moves it: what addresses the only slot of an S stage's memory,
    and the bias of SDM's keys, which adds the same to every word's score."""
    out = {name for name in names if ".heads." in name and name.endswith(".key.bias")}
    for index, stage in enumerate(system.generator.refinements):
        if stage.role == "sentence":
            out |= {name for name in names if name.startswith(f"generator.refinements.{index}.fusion.key.")}
    return out


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_trains_both_sides_and_no_encoder(name: str) -> None:
    system = built(name, lr_g=0.01, lr_d=0.01)
    before = state(system)
    for step in range(STEPS):
        torch.manual_seed(step)
        losses = system.step(FakeBatches(side=system.generator.image_size).batch(step), step)
        assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    after = state(system)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    networks = {key for key in before if key.startswith(("generator.", "discriminators."))}
    loose = indifferent(system, networks)
    assert changed - loose == networks - loose


@pytest.mark.parametrize("name", VARIANTS)
def test_an_image_is_its_captions_and_noises_alone_to_the_last_bit(name: str) -> None:
    system = built(name)
    draw = np.random.default_rng(0)
    captions = [Caption(str(row), draw.integers(1, 12, length)) for row, length in enumerate((5, 3, 2, 1))]
    noise = draw.standard_normal((4, system.generator.noise), dtype=np.float32)
    together = paint(system.generator, system.text, captions, noise, CPU)
    assert [image.shape[-1] for image in together.images] == system.generator.sizes
    assert all(image.abs().max() <= 1 for image in together.images)
    for row in (0, 3):
        alone = paint(system.generator, system.text, captions[row : row + 1], noise[row : row + 1], CPU)
        for mine, theirs in zip(alone.images, together.images, strict=True):
            assert torch.equal(mine[0], theirs[row])
    other = paint(system.generator, system.text, [captions[1], *captions[1:]], noise, CPU)
    assert not torch.equal(other.images[-1][0], together.images[-1][0])


@pytest.mark.parametrize("name", ["icsd-gan-cub", "gr-gan-cub", "stackgan-plus-plus-cub", "mtwig-sdm-imhm-cub"])
def test_a_resumed_run_ends_in_the_same_bits(name: str, tmp_path: Path) -> None:
    batches = FakeBatches(side=VARIANTS[name]["image_size"])
    for folder, legs in (("whole", [4]), ("legs", [2, 4])):
        for steps in legs:
            plan = schedule(steps=steps, checkpoint_every=2, grid_every=100)
            system = built(name)
            train(system, batches, tmp_path / folder, plan)  # type: ignore[arg-type]
        save_torch(tmp_path / folder / "generator.pt", system.generator_state())
    assert digests(tmp_path / "whole") == digests(tmp_path / "legs")


def test_the_average_is_what_is_sampled() -> None:
    system = built("attngan-cub")
    assert VARIANTS["attngan-cub"]["ema"] == 0.999
    system.step(FakeBatches(side=system.generator.image_size).batch(0), 0)
    system.averages()["generator"].update()
    name, value = next(iter(system.generator.named_parameters()))
    assert not torch.equal(system.generator_state()[name], value)


def test_optimisers_follow_the_description() -> None:
    adam, adamax = built("dm-gan-cub").optimisers(), built("gr-gan-cub").optimisers()
    assert {type(one).__name__ for one in adam.values()} == {"Adam"}
    assert {type(one).__name__ for one in adamax.values()} == {"Adamax"}
    assert list(adamax) == ["generator", "discriminator_0", "discriminator_1", "discriminator_2"]
    assert adamax["generator"].param_groups[0]["lr"] == 2e-5


def test_a_matching_loss_without_an_image_side_is_refused() -> None:
    spec = copy.deepcopy(VARIANTS["attngan-cub"])
    side = DamsmText(text_encoder(), WORDS)
    with pytest.raises(ReproError, match=r"stages\.matching: encoder damsm has no image side"):
        MultiStageGAN(Parts(spec, side, FakeBatches(), CPU))  # type: ignore[arg-type]


def test_what_is_kept_of_a_caption_is_what_is_read_of_it() -> None:
    """The words a system trains on are those it samples from."""
    side = itm_text()
    batch = FakeBatches().batch(0)
    trained = side.of_batch(batch)
    sampled = side.of_captions([Caption(str(row), np.array([1])) for row in range(CAPTIONS)], CPU)
    torch.testing.assert_close(sampled.words, trained.words, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(sampled.sentence, trained.sentence)
    assert sampled.lengths.tolist() == trained.lengths.tolist() == [5, 4, 2, 1]
    assert torch.equal(sampled.padding, trained.padding)
    with pytest.raises(
        ReproError, match=r"train\.words: found 6, but the ITM keeps 5 words of each caption; raise itm\.words"
    ):
        ItmText(side.encoder, side.kept, side.read, 6)
