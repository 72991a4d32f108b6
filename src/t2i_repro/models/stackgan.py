"""StackGAN v1: Stage-I draws a quarter-size image from the sentence, Stage-II redraws it at full size.

From the facts of the released TensorFlow code (parameter counts agree to the last one); its activations inside a
stage follow public descriptions where no count can check them. Convolutions have no bias.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.blocks import LEAK, tile_sentence
from t2i_repro.models.sentence import (
    HEAD_SIZE,
    PairHead,
    SentenceAugmentation,
    doublings,
    initialise,
    truncated,
)


class Drawn(NamedTuple):
    """Images [B, 3, s, s] in [-1, 1]; mean and log_sigma [B, condition] of the sentence that made them."""

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


class StageOneGenerator(nn.Module):
    """``forward(noise [B, noise], text [B, text])`` -> images [B, 3, 16 * base_size, 16 * base_size].

    The first ``latent`` entries of the noise are z, the others make the epsilon of the conditioning augmentation,
    cut off at 2 standard deviations. Widths 8, 4, 2, 1 times ``width``, then RGB.
    """

    def __init__(
        self,
        width: int = 128,
        image_size: int = 64,
        base_size: int = 4,
        *,
        text: int = 1024,
        latent: int = 100,
        condition: int = 128,
    ) -> None:
        super().__init__()
        if image_size != 16 * base_size:
            raise ReproError(f"image_size: found {image_size}, expected 16 times base_size {base_size} for Stage-I")
        if width < 4:
            raise ReproError(f"width: found {width}, expected at least 4")
        self.image_size, self.base_size = image_size, base_size
        self.text, self.latent, self.noise = text, latent, latent + condition
        cells = 8 * width * base_size**2
        self.augmentation = SentenceAugmentation(text, condition)
        self.embed = nn.Sequential(nn.Linear(latent + condition, cells), nn.BatchNorm1d(cells))
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
        initialise(self)

    def generate(self, noise: Tensor, text: Tensor) -> Drawn:
        latent, epsilon = noise.split([self.latent, self.noise - self.latent], dim=1)
        condition, mean, log_sigma = self.augmentation(text, truncated(epsilon))
        embedded = self.embed(torch.cat([condition, latent], dim=1))
        return Drawn(self.draw(embedded.view(len(noise), -1, self.base_size, self.base_size)), mean, log_sigma)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.generate(noise, text).images

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        """[count, noise] from N(0, 1) of the default random stream of ``device``."""
        return torch.randn(count, self.noise, device=device)


class StageTwoGenerator(nn.Module):
    """A trained Stage-I, frozen and in eval mode, and the network that redraws its image four times as large.

    ``forward(noise [B, noise], text [B, text])``: Stage-I's noise, then this stage's own epsilon (it augments the
    sentence anew, with weights of its own). ``residuals`` blocks stand between the joint map and upsampling.
    """

    def __init__(self, stage_one: StageOneGenerator, width: int = 128, residuals: int = 4) -> None:
        super().__init__()
        if width < 4:
            raise ReproError(f"width: found {width}, expected at least 4")
        self.stage_one = stage_one.requires_grad_(False).eval()
        self.image_size, self.base_size = 4 * stage_one.image_size, stage_one.base_size
        condition = stage_one.augmentation.condition
        self.text, self.noise = stage_one.text, stage_one.noise + condition
        self.augmentation = SentenceAugmentation(self.text, condition)
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
        self.join = nn.Sequential(conv(4 * width + condition, 4 * width), nn.BatchNorm2d(4 * width), nn.ReLU())
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
            initialise(part)

    def train(self, mode: bool = True) -> "StageTwoGenerator":
        super().train(mode)
        self.stage_one.eval()
        return self

    def sketch(self, noise: Tensor, text: Tensor) -> Tensor:
        """Stage-I's image, a quarter of the size."""
        with torch.no_grad():
            return self.stage_one(noise[:, : self.stage_one.noise], text)

    def redraw(self, small: Tensor, noise: Tensor, text: Tensor) -> Drawn:
        epsilon = noise[:, self.stage_one.noise :]
        condition, mean, log_sigma = self.augmentation(text, truncated(epsilon))
        features = self.encode(small)
        joined = self.join(torch.cat([features, tile_sentence(condition, features.shape[2:])], dim=1))
        return Drawn(self.draw(joined), mean, log_sigma)

    def generate(self, noise: Tensor, text: Tensor) -> Drawn:
        return self.redraw(self.sketch(noise, text), noise, text)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.generate(noise, text).images

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        """[count, noise] from N(0, 1) of the default random stream of ``device``."""
        return torch.randn(count, self.noise, device=device)


class StackDiscriminator(nn.Module):
    """Image [B, 3, image_size, image_size] and sentence [B, text] -> logits [B].

    4x4 convolutions of stride 2 down to 4x4, widths doubling to at least 8 times ``width`` (64: 64..512 px at 64,
    64..2048 at 256); 1x1 convolutions back to 8 times; a residual block; the pair head. As released, Stage-I
    (64 px) has no activation after its last two stride-2 convolutions, so those two are one linear map but for BN.
    """

    def __init__(
        self, width: int = 64, image_size: int = 64, stage: int = 1, *, text: int = 1024, condition: int = 128
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
        self.pair = PairHead(last, text, condition, last, bias=False)
        initialise(self)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.pair(self.trunk(images), text)
