"""StackGAN v1: Stage-I generates a quarter-size image from the sentence, Stage-II refines it at full size.

From the facts of the released TensorFlow code (parameter counts agree to the last one); its activations inside a
stage follow public descriptions where no count can check them. Convolutions have no bias.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import STACK_STAGES, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Generator, GeneratorOutput, Text, sizes
from t2i_repro.models.layers import (
    HEAD_SIZE,
    LEAK,
    PairHead,
    SentenceAugmentation,
    doublings,
    initialise_dcgan,
    tile_sentence,
    truncated,
)


class StageOutput(NamedTuple):
    """Images [B, 3, s, s] in [-1, 1]; mean and log_sigma [B, cond_dim] of conditioning augmentation."""

    images: Tensor
    mean: Tensor
    log_sigma: Tensor


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """No bias; keeps the size, or halves it with kernel 4 and stride 2."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2, bias=False)


def growing(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Nearest upsampling by 2, 3x3 convolution, BN, ReLU."""
    return [nn.Upsample(scale_factor=2), conv(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.ReLU()]


class Residual(nn.Module):
    """activation(x + residual(x)): three convolutions through a bottleneck, or two of full width."""

    def __init__(self, channels: int, bottleneck: int | None, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        inner: nn.Module = nn.LeakyReLU(LEAK) if activation is nn.LeakyReLU else nn.ReLU()
        shape = [(channels, channels, 3)] * 2
        if bottleneck is not None:
            shape = [(channels, bottleneck, 1), (bottleneck, bottleneck, 3), (bottleneck, channels, 3)]
        layers: list[nn.Module] = []
        for before, after, kernel in shape:
            layers += [conv(before, after, kernel), nn.BatchNorm2d(after), inner]
        self.residual = nn.Sequential(*layers[:-1])
        self.activation = inner

    def forward(self, features: Tensor) -> Tensor:
        return self.activation(features + self.residual(features))


class StageOneGenerator(Generator):
    """``forward(noise [B, noise_dim], text [B, text_dim])`` -> images [B, 3, 16 * base_size, 16 * base_size].

    The first ``z_dim`` entries of the noise are z, the others give the epsilon of conditioning augmentation, truncated
    at 2 standard deviations. Widths 8, 4, 2, 1 times ``width``, then RGB.
    """

    def __init__(
        self,
        width: int = 128,
        image_size: int = 64,
        base_size: int = 4,
        *,
        text_dim: int = 1024,
        z_dim: int,
        cond_dim: int,
    ) -> None:
        super().__init__(z_dim + cond_dim, text_dim, z_dim)
        if image_size != 16 * base_size:
            raise ReproError(f"image_size: found {image_size}, expected 16 times base_size {base_size} for Stage-I")
        if width < 4:
            raise ReproError(f"width: found {width}, expected at least 4")
        self.image_size, self.base_size = image_size, base_size
        cells = 8 * width * base_size**2
        self.augmentation = SentenceAugmentation(text_dim, cond_dim)
        self.embed = nn.Sequential(nn.Linear(z_dim + cond_dim, cells), nn.BatchNorm1d(cells))
        self.draw = nn.Sequential(
            Residual(8 * width, 2 * width),
            *growing(8 * width, 4 * width)[:-1],
            Residual(4 * width, width),
            *growing(4 * width, 2 * width),
            *growing(2 * width, width),
            nn.Upsample(scale_factor=2),
            conv(width, 3),
            nn.Tanh(),
        )
        initialise_dcgan(self)

    def generate(self, noise: Tensor, text: Tensor) -> StageOutput:
        latent, epsilon = noise.split([self.z_dim, self.noise_dim - self.z_dim], dim=1)
        condition, mean, log_sigma = self.augmentation(text, truncated(epsilon))
        embedded = self.embed(torch.cat([condition, latent], dim=1))
        return StageOutput(self.draw(embedded.view(len(noise), -1, self.base_size, self.base_size)), mean, log_sigma)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.generate(noise, text).images

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        return GeneratorOutput([self(noise, text.sentence)])


class StageTwoGenerator(Generator):
    """A trained Stage-I, frozen and in eval mode, and the network that refines its image to four times the size.

    ``forward(noise [B, noise_dim], text [B, text_dim])``: Stage-I's noise, then this stage's own epsilon (it augments
    the sentence again, with weights of its own). ``residuals`` blocks lie between the joint map and upsampling.
    """

    def __init__(self, stage_one: StageOneGenerator, width: int = 128, *, residuals: int) -> None:
        cond_dim = stage_one.augmentation.cond_dim
        super().__init__(stage_one.noise_dim + cond_dim, stage_one.text_dim, stage_one.z_dim)
        if width < 4:
            raise ReproError(f"width: found {width}, expected at least 4")
        self.stage_one = stage_one.requires_grad_(False).eval()
        self.image_size, self.base_size = 4 * stage_one.image_size, stage_one.base_size
        self.augmentation = SentenceAugmentation(self.text_dim, cond_dim)
        self.encode = nn.Sequential(
            conv(3, width),
            nn.ReLU(),
            conv(width, 2 * width, 4, 2),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            conv(2 * width, 4 * width, 4, 2),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
        )
        self.join = nn.Sequential(conv(4 * width + cond_dim, 4 * width), nn.BatchNorm2d(4 * width), nn.ReLU())
        self.draw = nn.Sequential(
            *(Residual(4 * width, None) for _ in range(residuals)),
            *growing(4 * width, 2 * width),
            *growing(2 * width, width),
            *growing(width, width // 2),
            *growing(width // 2, width // 4),
            conv(width // 4, 3),
            nn.Tanh(),
        )
        for part in (self.encode, self.join, self.draw):
            initialise_dcgan(part)

    def train(self, mode: bool = True) -> "StageTwoGenerator":
        super().train(mode)
        self.stage_one.eval()
        return self

    def stage_one_image(self, noise: Tensor, text: Tensor) -> Tensor:
        """Stage-I's image, a quarter of the size."""
        with torch.no_grad():
            return self.stage_one(noise[:, : self.stage_one.noise_dim], text)

    def refine(self, small: Tensor, noise: Tensor, text: Tensor) -> StageOutput:
        epsilon = noise[:, self.stage_one.noise_dim :]
        condition, mean, log_sigma = self.augmentation(text, truncated(epsilon))
        features = self.encode(small)
        joined = self.join(torch.cat([features, tile_sentence(condition, features.shape[2:])], dim=1))
        return StageOutput(self.draw(joined), mean, log_sigma)

    def generate(self, noise: Tensor, text: Tensor) -> StageOutput:
        return self.refine(self.stage_one_image(noise, text), noise, text)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.generate(noise, text).images

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        small = self.stage_one_image(noise, text.sentence)
        return GeneratorOutput([small, self.refine(small, noise, text.sentence).images])


class StackDiscriminator(nn.Module):
    """Image [B, 3, image_size, image_size] and sentence [B, text_dim] -> logits [B].

    4x4 convolutions of stride 2 down to 4x4, widths doubling to at least 8 times ``width`` (64: 64..512 px at 64,
    64..2048 at 256); 1x1 convolutions back to 8 times; a residual block; the pair head. As released, Stage-I
    (64 px) has no activation after its last two stride-2 convolutions, so those two are one linear map but for BN.
    """

    def __init__(
        self, width: int = 64, image_size: int = 64, stage: int = 1, *, text_dim: int = 1024, cond_dim: int
    ) -> None:
        super().__init__()
        steps = doublings(image_size, HEAD_SIZE)
        first = max(0, 4 - steps)
        widths = [width << (first + step) for step in range(steps)]
        kernels = [4] * steps
        while widths[-1] > 8 * width:
            widths.append(widths[-1] // 2)
            kernels.append(1)
        linear = 2 if stage == 1 else 1
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip([3, *widths], widths, strict=False)):
            layers.append(conv(before, after, kernels[index], 2 if kernels[index] == 4 else 1))
            if index:
                layers.append(nn.BatchNorm2d(after))
            if index < len(widths) - linear:
                layers.append(nn.LeakyReLU(LEAK))
        last = widths[-1]
        self.trunk = nn.Sequential(*layers, Residual(last, last // 4, nn.LeakyReLU))
        self.pair = PairHead(last, text_dim, cond_dim, last, bias=False)
        initialise_dcgan(self)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.pair(self.trunk(images), text)


def build_generator(
    system: Mapping[str, Any], image_size: int, base_size: int, text_dim: int
) -> StageOneGenerator | StageTwoGenerator:
    """Keys: stage, width, [residuals], [latent, condition]. Stage 2 comes with an untrained Stage-I: load its trained
    weights into ``.stage_one``."""
    check_choice("stage", system["stage"], STACK_STAGES)
    size = image_size if system["stage"] == 1 else image_size // 4
    dims = sizes(system, latent="z_dim", condition="cond_dim")
    first = StageOneGenerator(system["width"], size, base_size, text_dim=text_dim, **dims)
    if system["stage"] == 1:
        return first
    return StageTwoGenerator(first, system["width"], **sizes(system, residuals="residuals"))


def build_discriminator(system: Mapping[str, Any], image_size: int, text_dim: int) -> StackDiscriminator:
    """Keys: stage, width (the discriminator has half of it, as released: 64 to 128), [condition]."""
    check_choice("stage", system["stage"], STACK_STAGES)
    dims = sizes(system, condition="cond_dim")
    return StackDiscriminator(system["width"] // 2, image_size, system["stage"], text_dim=text_dim, **dims)
