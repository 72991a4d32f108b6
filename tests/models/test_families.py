"""Every declaration of a family: its references resolve, its generator is a ``Generator``, torch is not needed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from project_datasets import DATASETS

from t2i_repro.core.declarations import resolve
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Generator, Text
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.family import families, family_of
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import check_params, resolve_systems, scaled, system_on
from t2i_repro.training.gan import GAN

PROJECT = Path(__file__).parents[2]
SMALL = {
    "shrink": 4,
    "train": {},
    "system": {
        "one-stage": {"width": 1},
        "multi-stage": {"width": 2, "noise": 5, "condition": 3, "discriminator": {"width": 2}},
        "nested": {"width": 2, "latent": 5, "condition": 3, "train": {"base_size": 4}},
        "stackgan": {"width": 4, "latent": 5, "condition": 3},
        "gan-int-cls": {"width": 2, "latent": 5, "condition": 3},
    },
}
ONE_OF_EACH = {
    "one-stage": "ssa-gan",
    "multi-stage": "dm-gan",
    "nested": "hdgan",
    "stackgan": "stackgan",
    "gan-int-cls": "gan-int-cls",
}


def small(name: str) -> dict[str, Any]:
    system = resolve_systems(load_definitions(PROJECT), DATASETS)[name]
    return scaled(system_on(system, "cub", DATASETS, name), SMALL, name)


def test_one_system_of_each_family_is_here() -> None:
    assert families().keys() == ONE_OF_EACH.keys() == SMALL["system"].keys()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "name"), ONE_OF_EACH.items())
def test_its_generator_answers_for_its_noise_and_its_images(kind: str, name: str) -> None:
    system = small(name)
    family = family_of(system)
    assert family.name == kind
    train = system["train"]
    generator = build_generator(system, train["image_size"], train["base_size"], 6).eval()
    assert isinstance(generator, Generator)
    assert 0 < generator.z_dim <= generator.noise_dim
    assert generator.text_dim == 6
    noise = generator.draw_noise(2)
    assert noise.shape == (2, generator.noise_dim)
    text = Text.of(torch.randn(2, 6, 4), torch.randn(2, 6), torch.tensor([4, 2]))
    with torch.no_grad():
        output = generator.outputs(noise, text)
    sides = [image.shape[-1] for image in output.images]
    assert sides == sorted(set(sides))
    assert sides[-1] == train["image_size"]
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in output.masks)
    assert bool(output.masks) == (kind == "one-stage")
    assert isinstance(resolve(family.trainer), type)
    assert issubclass(resolve(family.trainer), GAN)  # type: ignore[arg-type]
    released = build_discriminator(system, train["image_size"], 6, as_released=True)
    used = build_discriminator(system, train["image_size"], 6)
    more = sum(p.numel() for p in released.parameters()) - sum(p.numel() for p in used.parameters())
    assert more >= 0
    assert (more > 0) <= (family.released_discriminator is not None)


def test_declarations_need_no_torch() -> None:
    code = "import sys; from t2i_repro.models.family import families; families(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    known = "'gan-int-cls', 'multi-stage', 'nested', 'one-stage', 'stackgan'"
    with pytest.raises(ReproError, match=f"spec.json: system.kind: found 'two-stage'; allowed: {known}"):
        family_of({"kind": "two-stage"}, "spec.json: system")
    with pytest.raises(ReproError, match=r"params: scales\.tiny\.system: found 'two-stage'; allowed: gan-int-cls, "):
        check_params({"scales": {"tiny": {"system": {"two-stage": {}}}}}, "params")


@pytest.mark.parametrize(("kind", "name"), ONE_OF_EACH.items())
def test_options_of_train_that_a_family_does_not_read_are_refused(kind: str, name: str) -> None:
    system = small(name)
    for key, value in (("halve_every", 3), ("optimiser", "adamax")):
        over: dict[str, Any] = {**SMALL, "shrink": 1, "train": {key: value}}
        if key in families()[kind].train_options:
            assert scaled(system, over, name)["train"][key] == value
        else:
            with pytest.raises(ReproError, match=rf"systems\.{name}\.train: unknown key '{key}' \(value {value}\)"):
                scaled(system, over, name)
    assert ("halve_every" in families()[kind].train_options) == (kind not in ("one-stage", "multi-stage"))
