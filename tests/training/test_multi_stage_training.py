"""The multi-stage systems as the loop trains them: what test_every_system.py does not ask of every system."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from miniature import CAPTIONS, CONDITIONERS, WORDS, itm_text
from project_datasets import DATASETS
from tiny import CPU, FakeBatches, text_encoder

from t2i_repro.errors import ReproError
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import resolve_systems, scaled, system_on
from t2i_repro.sampling.conditioners import DamsmText, ItmText
from t2i_repro.sampling.text import Caption
from t2i_repro.training.gan import GanInputs
from t2i_repro.training.multi_stage import MultiStageGAN

OVER: dict[str, Any] = {
    "shrink": 4,
    "train": {"batch": 4},
    "system": {"multi-stage": {"width": 4, "noise": 5, "condition": 3, "discriminator": {"width": 2, "common": 5}}},
}
KNOWN = resolve_systems(load_definitions(Path(__file__).parents[2]), DATASETS)


def spec(name: str) -> dict[str, Any]:
    """A system as it is on CUB, shrunk, with the papers' own optimisers and averages."""
    system = scaled(system_on(KNOWN[name], "cub", DATASETS, name), OVER, name)
    train = system.pop("train")
    return {"system": system, **train, "seed": 0}


def built(name: str) -> MultiStageGAN:
    config = spec(name)
    return MultiStageGAN(GanInputs(config, CONDITIONERS[config["system"]["encoder"]](), FakeBatches(), CPU))  # type: ignore[arg-type]


def test_the_average_is_what_is_sampled() -> None:
    system = built("attngan")
    assert spec("attngan")["ema"] == 0.999
    system.step(FakeBatches(side=system.generator.image_size).batch(0), 0)
    system.averages()["generator"].update()
    name, value = next(iter(system.generator.named_parameters()))
    assert not torch.equal(system.generator_state()[name], value)


def test_optimisers_follow_the_description() -> None:
    adam, adamax = built("dm-gan").optimisers(), built("gr-gan").optimisers()
    assert {type(one).__name__ for one in adam.values()} == {"Adam"}
    assert {type(one).__name__ for one in adamax.values()} == {"Adamax"}
    assert list(adamax) == ["generator", "discriminator_0", "discriminator_1", "discriminator_2"]
    assert adamax["generator"].param_groups[0]["lr"] == 2e-5


def test_a_matching_loss_without_an_image_encoder_is_refused() -> None:
    conditioner = DamsmText(text_encoder(), WORDS)
    with pytest.raises(ReproError, match=r"stages\.matching: encoder damsm has no image encoder"):
        MultiStageGAN(GanInputs(spec("attngan"), conditioner, FakeBatches(), CPU))  # type: ignore[arg-type]


def test_the_cache_of_captions_holds_what_clip_computes_from_them() -> None:
    """The words a system trains on are those it samples from."""
    conditioner = itm_text()
    batch = FakeBatches().batch(0)
    trained = conditioner.of_batch(batch)
    sampled = conditioner.of_captions([Caption(str(row), np.array([1])) for row in range(CAPTIONS)], CPU)
    torch.testing.assert_close(sampled.words, trained.words, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(sampled.sentence, trained.sentence)
    assert sampled.lengths.tolist() == trained.lengths.tolist() == [5, 4, 2, 1]
    assert torch.equal(sampled.padding, trained.padding)
    with pytest.raises(
        ReproError, match=r"train\.words: found 6, but the ITM's cache has 5 words of each caption; raise itm\.words"
    ):
        ItmText(conditioner.encoder, conditioner.cache, conditioner.tokenize, 6)
