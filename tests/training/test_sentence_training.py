"""HDGAN, StackGAN and GAN-INT-CLS as the loop trains them: every system of papers/hdgan.yaml, shrunk."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from project_datasets import DATASETS
from tiny import CPU, FakeBatches, digests, schedule
from torch import nn

from t2i_repro.core.declarations import resolve
from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_generator
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn
from t2i_repro.models.family import family_of
from t2i_repro.models.state import save_torch
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import resolve_systems, system_on
from t2i_repro.sampling.conditioners import CharCnnRnnText
from t2i_repro.training.gan import GanInputs
from t2i_repro.training.loop import train
from t2i_repro.training.sentence_gan import SentenceGAN

SYSTEMS = {
    name: system_on(raw, "cub", DATASETS, name)
    for name, raw in resolve_systems(load_definitions(Path(__file__).parents[2]), DATASETS).items()
    if raw["kind"] in ("nested", "stackgan", "gan-int-cls")
}
TEXT, STEPS_PER_EPOCH, SHRINK = 6, 4, 4
FROZEN = {"hdgan-512": "base.", "hdgan-512-printed": "base.", "stackgan": "stage_one."}


def spec(name: str, **changes: Any) -> dict[str, Any]:
    """A quarter of the image size, tiny widths, rates at which a step is seen."""
    system = copy.deepcopy(SYSTEMS[name]) | {"width": 4, "latent": 5, "condition": 3}
    if name == "stackgan":
        system["residuals"] = 1
    schedule = system.pop("train")
    system.pop("after", None)
    schedule |= {"image_size": schedule["image_size"] // SHRINK, "lr_g": 1e-3, "lr_d": 1e-3}
    schedule["base_size"] = 2 if system["kind"] == "nested" else 1
    return {"system": system, **schedule, "batch": 3, "halve_every": 2, "seed": 0, **changes}


def base_of(name: str, folder: Path) -> Path | None:
    """A run of the system that ``name`` extends, trained by a random stream alone."""
    after = SYSTEMS[name].get("after")
    if after is None:
        return None
    given = spec(after)
    torch.manual_seed(7)
    generator = build_generator(given["system"], given["image_size"], given["base_size"], TEXT)
    folder.mkdir(parents=True, exist_ok=True)
    save_torch(folder / "generator.pt", generator.state_dict())
    return folder


class Sentences(FakeBatches):
    def batch(self, step: int) -> SentenceBatch:
        plain = super().batch(step)
        draw = torch.Generator().manual_seed(step)
        sentence = torch.randn(self.size, TEXT, generator=draw)
        return SentenceBatch(**vars(plain), sentence=sentence, wrong=plain.images.flip(0))


def batches(name: str) -> Sentences:
    return Sentences(size=3, steps_per_epoch=STEPS_PER_EPOCH, side=spec(name)["image_size"])


def conditioner() -> CharCnnRnnText:
    return CharCnnRnnText(CharCnnRnn(TEXT, 4), np.zeros((0, TEXT), np.float32), "mean-of-4", "first")


def built(given: dict[str, Any], base: Path | None = None) -> SentenceGAN:
    """From a spec, as the verb builds it."""
    steps = Sentences(steps_per_epoch=STEPS_PER_EPOCH)
    inputs = GanInputs(given, conditioner(), steps, CPU, None, base)  # type: ignore[arg-type]
    trainer = cast(type[SentenceGAN], resolve(family_of(given["system"]).trainer))
    return trainer(inputs)


def gan(name: str, folder: Path, **changes: Any) -> SentenceGAN:
    return built(spec(name, **changes), base_of(name, folder / "base"))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_step_trains_what_it_should(name: str, tmp_path: Path) -> None:
    system, frozen = gan(name, tmp_path), FROZEN.get(name, "\0")
    before = {part: copy.deepcopy(network.state_dict()) for part, network in system.modules().items()}
    torch.manual_seed(0)
    losses = system.step(batches(name).batch(0), 0)
    assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    assert ("g_kl" in losses) == ("kl" in SYSTEMS[name] and "extension" not in SYSTEMS[name])
    assert ("g_l1" in losses) == ("extension" in SYSTEMS[name])
    assert ("g_interpolated" in losses) == ("interpolation" in SYSTEMS[name])
    for part, network in system.modules().items():
        after = network.state_dict()
        for key, value in network.named_parameters():
            kept = torch.equal(value, before[part][key])
            if key.startswith(frozen):
                assert kept, f"{part}.{key}"
            elif key.endswith("weight"):
                assert not kept, f"{part}.{key}"
            assert value.requires_grad != key.startswith(frozen)
        for key, _ in network.named_buffers():
            assert torch.equal(after[key], before[part][key]) == key.startswith(frozen), f"{part}.{key}"


def test_resume_is_exact_where_rates_are_halved(tmp_path: Path) -> None:
    def run(out: Path, steps: int) -> None:
        plan = schedule(steps=steps, checkpoint_every=1, grid_every=100)
        train(gan("hdgan", tmp_path, halve_every=1), batches("hdgan"), out, plan)  # type: ignore[arg-type]

    run(tmp_path / "uninterrupted", 6)
    run(tmp_path / "parts", 3)
    run(tmp_path / "parts", 6)
    assert digests(tmp_path / "uninterrupted") == digests(tmp_path / "parts")


def test_both_rates_are_halved_every_so_many_epochs(tmp_path: Path) -> None:
    system, given = gan("gan-int-cls", tmp_path, lr_d=4e-3), batches("gan-int-cls")
    rates = []
    for step in (0, 7, 8, 16):
        system.step(given.batch(step), step)
        rates.append([system.optimisers()[name].param_groups[0]["lr"] for name in ("generator", "discriminator")])
    assert rates == [[1e-3, 4e-3], [1e-3, 4e-3], [5e-4, 2e-3], [2.5e-4, 1e-3]]


def test_without_halve_every_the_rates_stay(tmp_path: Path) -> None:
    system, given = gan("gan-int-cls", tmp_path), batches("gan-int-cls")
    del system.spec["halve_every"]
    system.step(given.batch(100), 100)
    assert system.optimisers()["generator"].param_groups[0]["lr"] == 1e-3


def test_the_optimiser_is_the_one_of_the_spec(tmp_path: Path) -> None:
    system = gan("gan-int-cls", tmp_path, optimiser="adamax")
    assert {type(one).__name__ for one in system.optimisers().values()} == {"Adamax"}


@pytest.mark.parametrize("name", FROZEN)
def test_the_frozen_part_is_the_run_it_extends(name: str, tmp_path: Path) -> None:
    system = gan(name, tmp_path)
    given = spec(SYSTEMS[name]["after"])
    torch.manual_seed(7)
    base = build_generator(given["system"], given["image_size"], given["base_size"], TEXT).state_dict()
    part: nn.Module = getattr(system.generator, FROZEN[name].rstrip("."))
    assert part.state_dict().keys() == base.keys()
    assert all(torch.equal(value, base[key]) for key, value in part.state_dict().items())
    learning = {id(p) for group in system.optimisers()["generator"].param_groups for p in group["params"]}
    assert not learning & {id(p) for p in part.parameters()}
    assert learning == {id(p) for p in system.generator.parameters() if p.requires_grad}


def test_a_base_that_is_missing_superfluous_or_unfit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="StageTwoGenerator needs the trained run it extends"):
        built(spec("stackgan"))
    with pytest.raises(ReproError, match="NestedGenerator extends no run"):
        built(spec("hdgan"), tmp_path)
    with pytest.raises(ReproError, match="does not fit a StageOneGenerator"):
        built(spec("stackgan"), base_of("hdgan-512", tmp_path / "other"))


def test_weights_and_draws_follow_the_seed(tmp_path: Path) -> None:
    def losses(seed: int) -> tuple[float, ...]:
        torch.manual_seed(3)
        values = gan("hdgan", tmp_path, seed=seed).step(batches("hdgan").batch(0), 0).values()
        return tuple(value.item() for value in values)

    assert losses(0) == losses(0) != losses(1)


def test_the_average_is_what_is_sampled(tmp_path: Path) -> None:
    system = gan("stackgan-stage-1", tmp_path, ema=0.5)
    first = copy.deepcopy(system.generator.state_dict())
    system.step(batches("stackgan-stage-1").batch(0), 0)
    system.averages()["generator"].update()
    for name, value in system.generator.named_parameters():
        torch.testing.assert_close(system.generator_state()[name], (first[name] + value) / 2)


def test_a_wrong_image_and_the_sentence_matter(tmp_path: Path) -> None:
    def d_loss(batch: SentenceBatch, name: str) -> float:
        system = gan(name, tmp_path)
        torch.manual_seed(1)
        return system.step(batch, 0)["d_loss"].item()

    for name in ("hdgan", "gan-int-cls", "stackgan-stage-1"):
        batch = batches(name).batch(0)
        usual = d_loss(batch, name)
        assert d_loss(replace(batch, wrong=-batch.wrong), name) != usual
        assert d_loss(replace(batch, sentence=-batch.sentence), name) != usual
    printed = batches("hdgan-printed").batch(0)  # there the wrong pair is made of the right images
    assert d_loss(replace(printed, wrong=-printed.wrong), "hdgan-printed") == d_loss(printed, "hdgan-printed")
