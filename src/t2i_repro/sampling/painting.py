"""From a generator, captions and noise to images, the same way for every kind of generator."""

from collections.abc import Sequence
from functools import singledispatch
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from t2i_repro.models.base import Text
from t2i_repro.models.multi_stage import MultiStageGenerator
from t2i_repro.models.nested import ExtendedGenerator, NestedGenerator
from t2i_repro.models.one_stage import OneStageGenerator
from t2i_repro.models.stackgan import StageOneGenerator, StageTwoGenerator
from t2i_repro.models.state import evaluating
from t2i_repro.sampling.text import Caption, TextSide

# Images in one forward pass, always: rows beyond the last image are filled up. With a fixed size an image's bits do
# not depend on how many are asked for, nor on its companions (measured on CPU); with the batch's own size they do,
# since libraries choose other kernels for other sizes.
GROUP = 8


class Painting(NamedTuple):
    """Images [B, 3, s, s] in [-1, 1], small to large, and masks [B, 1, s, s], shallow to deep, where there are any."""

    images: list[Tensor]
    masks: list[Tensor]


@singledispatch
def painted(generator: nn.Module, noise: Tensor, text: Text) -> Painting:
    """All that a generator paints from noise [B, generator.noise] and a text. This form: one image of a sentence."""
    return Painting([generator(noise, text.sentence)], [])


@painted.register
def _(generator: OneStageGenerator, noise: Tensor, text: Text) -> Painting:
    images, masks = generator.with_masks(noise, text.sentence)
    return Painting([images], masks)


@painted.register
def _(generator: MultiStageGenerator, noise: Tensor, text: Text) -> Painting:
    return Painting(generator.paint(noise, text.sentence, text.words, text.padding).images, [])


@painted.register
def _(generator: StageTwoGenerator, noise: Tensor, text: Text) -> Painting:
    small = generator.sketch(noise, text.sentence)
    return Painting([small, generator.redraw(small, noise, text.sentence).images], [])


@painted.register(NestedGenerator)
@painted.register(ExtendedGenerator)
def _(generator: NestedGenerator | ExtendedGenerator, noise: Tensor, text: Text) -> Painting:
    return Painting(list(generator.side_outputs(noise, text.sentence).images), [])


def noise_length(generator: nn.Module) -> int:
    """Length of a generator's noise vector: all that is random in an image."""
    return int(generator.noise)  # type: ignore[arg-type]  # a Module's attributes are tensors to mypy


@singledispatch
def z_length(generator: nn.Module) -> int:
    """How many entries of the noise, from its beginning, are z; the others are epsilon of conditioning augmentation.
    This form: all of them."""
    return noise_length(generator)


@z_length.register
def _(generator: MultiStageGenerator) -> int:
    return int(generator.z)


@z_length.register(NestedGenerator)
@z_length.register(ExtendedGenerator)
@z_length.register(StageOneGenerator)
def _(generator: NestedGenerator | ExtendedGenerator | StageOneGenerator) -> int:
    return int(generator.latent)


@z_length.register
def _(generator: StageTwoGenerator) -> int:
    return int(generator.stage_one.latent)


def paint(
    generator: nn.Module,
    text: TextSide,
    captions: Sequence[Caption],
    noise: npt.NDArray[np.float32],
    device: torch.device,
) -> Painting:
    """What a generator paints for captions and rows of ``noise``, on the CPU.

    Eval mode. Image i depends on caption i and row i of ``noise`` only, to the last bit on a CPU.
    """
    with evaluating(text.encoder):
        told = text.of_captions(captions, device)
    return paint_text(generator, told, noise, device)


def paint_text(generator: nn.Module, text: Text, noise: npt.NDArray[np.float32], device: torch.device) -> Painting:
    """The same for captions that are encoded."""
    groups: list[Painting] = []
    with evaluating(generator):
        for start in range(0, len(noise), GROUP):
            latent = torch.from_numpy(noise[start : start + GROUP]).to(device)
            count = len(latent)
            rows = [min(row, count - 1) for row in range(GROUP)]
            made = painted(generator, latent[rows], text.rows([start + row for row in rows]))
            groups.append(Painting(*([part[:count].cpu() for part in parts] for parts in made)))
    return Painting(*([torch.cat(parts) for parts in zip(*kind, strict=True)] for kind in zip(*groups, strict=True)))
