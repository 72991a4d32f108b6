"""What every variant of HDGAN, StackGAN and GAN-INT-CLS must do, and what each weighs at the papers' widths."""

import copy
from typing import cast

import pytest
import torch
from sentence_systems import SYSTEMS, TEXT, batch, networks, step, tiny
from torch import nn

from t2i_repro.models.build import build_discriminator, build_generator, count_parameters
from t2i_repro.models.nested import ExtendedGenerator, NestedDiscriminators
from t2i_repro.models.stackgan import StageTwoGenerator

D64, D128, D256 = 8_510_466, 8_582_722, 8_600_418
IMAGE_HEAD = 8_193
FROZEN = {"hdgan-512": "base.", "hdgan-512-printed": "base.", "stackgan": "stage_one."}


def noise_of(generator: nn.Module, count: int) -> torch.Tensor:
    return torch.randn(count, cast(int, generator.noise_dim), dtype=torch.float64)


def effective(name: str) -> bool:
    """Not a bias: reflection padding and the next batch normalisation cancel a constant, so many of HDGAN's biases
    have a gradient of rounding noise."""
    return name.endswith("weight")


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_step_changes_what_it_should(name: str) -> None:
    generator, discriminator = networks(name)
    frozen = FROZEN.get(name, "\0")
    before = {part: copy.deepcopy(network.state_dict()) for part, network in (("g", generator), ("d", discriminator))}
    losses = step(name, generator.train(), discriminator.train())
    assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    for key, value in generator.named_parameters():
        assert value.requires_grad != key.startswith(frozen)
        moved = not torch.equal(value, before["g"][key])
        if key.startswith(frozen):
            assert not moved, key
        elif effective(key):
            assert moved, key
            assert value.grad.norm() > 1e-9, f"{key}: its gradient is rounding noise"
        else:
            assert value.grad is not None, key
    for key, buffer in generator.named_buffers():
        if key.startswith(frozen):
            assert torch.equal(buffer, before["g"][key]), f"{key}: a frozen network keeps its running statistics"
    for key, value in discriminator.named_parameters():
        assert not torch.equal(value, before["d"][key]), key
        assert value.requires_grad
        assert torch.isfinite(value.grad).all()
        assert value.grad.norm() > 1e-9, f"{key}: its gradient is rounding noise"
    assert all(torch.isfinite(p.grad).all() for p in generator.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SYSTEMS)
def test_images(name: str) -> None:
    generator, _ = networks(name)
    size = tiny(name)[1]
    assert generator.image_size == size
    _, _, text = batch(size)
    noise = noise_of(generator, len(text))
    with torch.no_grad():
        generator.train()(noise, text)
        images = generator.eval()(noise, text)
        alone = torch.cat([generator(noise[i : i + 1], text[i : i + 1]) for i in range(len(text))])
        other_text, other_noise = generator(noise, text.roll(1, 0)), generator(noise.roll(1, 0), text)
    assert images.shape == (len(text), 3, size, size)
    assert images.abs().max() <= 1
    torch.testing.assert_close(alone, images, rtol=1e-10, atol=1e-12)
    assert (other_text - images).abs().max() > 1e-4
    assert (other_noise - images).abs().max() > 1e-4


@pytest.mark.parametrize("name", SYSTEMS)
def test_saved_and_loaded_networks_agree(name: str) -> None:
    first, again = networks(name, seed=0), networks(name, seed=1)
    _, _, text = batch(tiny(name)[1])
    noise = noise_of(first[0], len(text))
    with torch.no_grad():
        first[0](noise, text)
    for one, other in zip(first, again, strict=True):
        other.load_state_dict(one.state_dict())
    with torch.no_grad():
        assert torch.equal(first[0].eval()(noise, text), again[0].eval()(noise, text))


@pytest.mark.parametrize(
    ("name", "generator", "trained", "discriminator"),
    [
        ("hdgan", 41_378_496, 41_378_496, [D64, D128, D256]),
        ("hdgan-no-image-loss", 41_378_496, 41_378_496, [n - IMAGE_HEAD for n in (D64, D128, D256)]),
        ("hdgan-global-image-loss", 41_378_496, 41_378_496, [D64, D128, D256]),
        # An absent side output saves its compression layer: 6,912 at 64 px, 3,456 at 128 px.
        ("hdgan-256", 41_378_496 - 6_912 - 3_456, 41_378_496 - 6_912 - 3_456, [D256]),
        ("hdgan-128-256", 41_378_496 - 6_912, 41_378_496 - 6_912, [D128, D256]),
        ("hdgan-64-256", 41_378_496 - 3_456, 41_378_496 - 3_456, [D64, D256]),
        # 3x3 scores at 128 px: kernels of 2x2 instead of 4x4 on 512 channels.
        ("hdgan-printed", 41_378_496, 41_378_496, [D64, D128 - 12 * 512, D256]),
        ("hdgan-512", 41_545_824, 167_328, [8_604_658]),
        ("hdgan-512-printed", 41_378_496 + 241_312, 241_312, [8_604_658]),
        ("stackgan-stage-1", 14_264_192, 14_264_192, [4_029_824]),
        ("stackgan", 14_264_192 + 26_290_080, 26_290_080, [48_603_520]),
        ("gan-int-cls", 14_886_787, 14_886_787, [3_225_473]),
    ],
)
def test_counts(name: str, generator: int, trained: int, discriminator: list[int]) -> None:
    whole = SYSTEMS[name]
    sizes = whole["train"]["image_size"], whole["train"]["base_size"]
    with torch.device("meta"):
        built = build_generator(whole, *sizes, text_dim=1024)
        built_d = build_discriminator(whole, sizes[0], text_dim=1024)
    assert count_parameters(built) == generator
    assert count_parameters(built, trainable=True) == trained
    parts = list(built_d.by_scale.values()) if isinstance(built_d, NestedDiscriminators) else [built_d]
    assert [count_parameters(part) for part in parts] == discriminator


def test_every_system_is_counted() -> None:
    (mark,) = [m for m in test_counts.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == set(SYSTEMS)


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_part_stays_in_eval_mode(name: str) -> None:
    generator, _ = networks(name)
    assert isinstance(generator, ExtendedGenerator | StageTwoGenerator)
    part = generator.base if isinstance(generator, ExtendedGenerator) else generator.stage_one
    generator.train()
    assert generator.training
    assert not any(module.training for module in part.modules())


def test_text_length_is_the_callers() -> None:
    shrunk, size, base = tiny("hdgan")
    assert build_generator(shrunk, size, base, TEXT).text_dim == TEXT
