"""What every system of every paper has to keep, taken from papers/ itself: a new paper's systems are tested too.

At the smoke scale's image sizes and stages, with tiny widths (miniature.py). What a family must do beyond this stands
in the tests of its own.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from miniature import batches, built, variants
from tiny import CPU, digests, schedule
from torch import nn

from t2i_repro.models.build import build_generator
from t2i_repro.models.multi_stage import MultiStageGenerator
from t2i_repro.models.state import load_torch, save_torch
from t2i_repro.sampling.generator import generate_images
from t2i_repro.sampling.text import Caption, TextConditioner
from t2i_repro.training.gan import GAN
from t2i_repro.training.loop import train

NAMES = list(variants())
# The run that a system continues, and the trunk below the projections that SSA-GAN tunes.
FROZEN = ("generator.base.", "generator.stage_one.", "image_encoder.trunk.")
STEPS = 2  # at such widths a ReLU may be zero on a full batch


def parameters(gan: GAN, text: TextConditioner) -> dict[str, nn.Parameter]:
    """Of all networks, image and text encoders included."""
    networks = {key: value for key, value in vars(gan).items() if isinstance(value, nn.Module)}
    named = {"text": text.encoder, **networks}
    return {f"{key}.{n}": p for key, network in named.items() for n, p in network.named_parameters()}


def indifferent(gan: GAN, name: str) -> bool:
    """Whether rounding alone moves a parameter: a bias that a normalisation takes away again, or a key that the only
    slot of an S stage's memory is found by."""
    stages = gan.generator.refinements if isinstance(gan.generator, MultiStageGenerator) else ()
    single = [f"generator.refinements.{at}.fusion.key." for at, stage in enumerate(stages) if stage.role == "sentence"]
    return name.endswith("bias") or name.startswith(tuple(single))


def captions() -> list[Caption]:
    draw = np.random.default_rng(0)
    return [Caption(str(row), draw.integers(1, 12, length)) for row, length in enumerate((5, 3, 2, 1))]


def noise(gan: GAN) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, int(gan.generator.noise_dim)), dtype=np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_trains_its_networks_and_nothing_else(name: str, tmp_path: Path) -> None:
    gan, text = built(name, tmp_path)
    known = parameters(gan, text)
    before = {key: value.detach().clone() for key, value in known.items()}
    for step in range(STEPS):
        torch.manual_seed(step)
        losses = gan.step(batches(variants()[name]).batch(step), step)
        assert {"d_loss", "g_loss"} <= {key.removesuffix("_0") for key in losses}
        assert all(bool(torch.isfinite(value)) and not value.requires_grad for value in losses.values())
    learning = {id(p) for network in gan.modules().values() for p in network.parameters() if p.requires_grad}
    trained = {key for key, value in known.items() if id(value) in learning}
    playing = {id(p) for network in gan.modules().values() for p in network.parameters()}
    resting = {key for key, value in known.items() if id(value) in playing - learning}
    assert all(key.startswith(FROZEN) for key in resting)
    changed = {key for key, value in known.items() if not torch.equal(value, before[key])}
    assert len({id(known[key]) for key in trained}) == len(learning)
    assert changed <= trained
    assert not {key for key in trained - changed if not indifferent(gan, key)}
    assert all(bool(torch.isfinite(value).all()) for value in known.values()), "a gradient was not finite"


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_its_captions_and_noises_alone_to_the_last_bit(name: str, tmp_path: Path) -> None:
    (gan, conditioner), texts = built(name, tmp_path), captions()
    together = generate_images(gan.generator, conditioner, texts, noise(gan), CPU).images
    sides = [images.shape[-1] for images in together]
    assert sides[-1] == variants()[name]["image_size"]
    assert all(small < large for small, large in pairwise(sides))
    for images, size in zip(together, sides, strict=True):
        assert images.shape == (4, 3, size, size)
        assert images.abs().max() <= 1
        assert (images.flatten(1).std(1) > 0).all()
    for row in (0, 3):
        alone = generate_images(gan.generator, conditioner, texts[row : row + 1], noise(gan)[row : row + 1], CPU).images
        assert all(torch.equal(mine[0], theirs[row]) for mine, theirs in zip(alone, together, strict=True))
    others = [texts[1], *texts[1:]], noise(gan) + np.float32([[1], [0], [0], [0]])
    for inputs in ((others[0], noise(gan)), (texts, others[1])):
        changed = generate_images(gan.generator, conditioner, *inputs, CPU).images
        assert not torch.equal(changed[-1][0], together[-1][0])
        assert torch.equal(changed[-1][1:], together[-1][1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_ends_in_the_same_bits_and_paints_as_it_is_saved(name: str, tmp_path: Path) -> None:
    spec = variants()[name]
    for folder, legs in (("uninterrupted", [2]), ("legs", [1, 2])):
        for steps in legs:
            gan, conditioner = built(name, tmp_path)
            plan = schedule(steps=steps, checkpoint_every=1, grid_every=100)
            train(gan, batches(spec), tmp_path / folder, plan)  # type: ignore[arg-type]
        save_torch(tmp_path / folder / "generator.pt", gan.generator_state())
    assert digests(tmp_path / "uninterrupted") == digests(tmp_path / "legs")

    fresh = build_generator(spec["system"], spec["image_size"], spec["base_size"], conditioner.dim)
    fresh.load_state_dict(load_torch(tmp_path / "uninterrupted/generator.pt"))
    gan.generator.load_state_dict(gan.generator_state())
    drawn = (
        generate_images(network, conditioner, captions(), noise(gan), CPU).images for network in (fresh, gan.generator)
    )
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*drawn, strict=True))
