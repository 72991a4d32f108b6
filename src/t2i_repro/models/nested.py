"""Generators of HDGAN: one stream from sentence to image, with images taken from it on the way (Sec. 3.4)."""

from collections.abc import Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.sentence import SentenceAugmentation, doublings, initialise

# Channels of the maps, first to last, in units of `width` (128): 4, 8, 16, 32, 64, 128 and 256 px as released.
MULTIPLES = (8.0, 4.0, 4.0, 2.0, 2.0, 1.0, 0.5)
SCALES = (4, 2, 1)


class SideOutputs(NamedTuple):
    """X_1 ... X_s of Eq. (2), small to large, and what the generator's other terms need.

    ``mean``, ``log_sigma`` [B, condition]: of the augmented sentence, None where that is frozen. ``base``: the
    frozen generator's image at the size of the last one, where there is such a generator.
    """

    images: list[Tensor]
    mean: Tensor | None
    log_sigma: Tensor | None
    base: Tensor | None = None


class ReflectedConv(nn.Module):
    """Reflection padding and a 3x3 convolution without bias."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(F.pad(features, (1, 1, 1, 1), mode="reflect"))


class ResidualBlock(nn.Module):
    """x + BN(conv(ReLU(BN(conv(x))))): no ReLU after the sum (footnote 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ReflectedConv(channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            ReflectedConv(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.residual(features)


class Stretch(nn.Sequential):
    """Stretching layer: nearest upsampling by 2, then conv, BN, ReLU where the width changes."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        layers: list[nn.Module] = [nn.Upsample(scale_factor=2, mode="nearest")]
        if channels_in != channels_out:
            layers += [ReflectedConv(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.ReLU()]
        super().__init__(*layers)


class Compression(nn.Sequential):
    """Linear compression layer: features to an image in [-1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__(ReflectedConv(channels, 3), nn.Tanh())


def check_scales(scales: Collection[int], allowed: Collection[int] = SCALES) -> tuple[int, ...]:
    """Supervised scales, smallest image first; each divides the image size, 1 (the image itself) is one of them."""
    chosen = tuple(sorted(scales, reverse=True))
    if 1 not in chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(allowed):
        raise ReproError(f"scales: found {list(scales)}, expected 1 and any others of {list(allowed)}, each once")
    return chosen


class NestedGenerator(nn.Module):
    """Noise and sentence embedding to images at every supervised scale.

    ``forward(noise [B, noise], text [B, text])`` -> the largest image [B, 3, image_size, image_size];
    ``side_outputs`` -> all of them. The first ``latent`` entries of the noise are z, the others epsilon of the
    conditioning augmentation; the released code draws epsilon at test time too.

    ``scales``: which side outputs exist, as divisors of ``image_size``: (4, 2, 1) are 64, 128 and 256 px of 256
    (Table 6). ``base_size``: side of the first map. ``repeats``: K of the K-repeat res-blocks.
    Raises ReproError for sizes that do not fit.
    """

    def __init__(
        self,
        width: int = 128,
        image_size: int = 256,
        base_size: int = 4,
        scales: Collection[int] = SCALES,
        *,
        text: int = 1024,
        latent: int = 100,
        condition: int = 128,
        repeats: int = 1,
    ) -> None:
        super().__init__()
        self.scales = check_scales(scales)
        if base_size < 2:
            raise ReproError(
                f"base_size: found {base_size}, expected 2 or more: reflected and enlarged, one pixel stays one colour"
            )
        steps = doublings(image_size, base_size, least=2)
        if steps >= len(MULTIPLES):
            raise ReproError(
                f"image_size {image_size}: {steps} doublings from base_size {base_size}, "
                f"at most {len(MULTIPLES) - 1} are defined; raise base_size, or extend a trained generator"
            )
        if width < 2 or width % 2:
            raise ReproError(f"width: found {width}, expected an even number: the last stage has half of it")
        channels = [int(multiple * width) for multiple in MULTIPLES[: steps + 1]]
        self.image_size, self.base_size = image_size, base_size
        self.text, self.latent, self.noise = text, latent, latent + condition
        self.channels = channels[-1]
        self.augmentation = SentenceAugmentation(text, condition)
        self.embed = nn.Sequential(
            nn.Linear(latent + condition, channels[0] * base_size**2), nn.BatchNorm1d(channels[0] * base_size**2)
        )
        self.stages = nn.ModuleList()
        for index, width_out in enumerate(channels):
            stretch = [Stretch(channels[index - 1], width_out)] if index else []
            self.stages.append(nn.Sequential(*stretch, *(ResidualBlock(width_out) for _ in range(repeats))))
        last = len(channels) - 1
        self._taken_after = {last - (scale.bit_length() - 1): str(scale) for scale in self.scales}
        self.compress = nn.ModuleDict(
            {scale: Compression(channels[index]) for index, scale in self._taken_after.items()}
        )
        initialise(self)

    def features_and_outputs(self, noise: Tensor, text: Tensor) -> tuple[Tensor, SideOutputs]:
        """Also the last feature map [B, channels, image_size, image_size]."""
        latent, epsilon = noise.split([self.latent, self.noise - self.latent], dim=1)
        condition, mean, log_sigma = self.augmentation(text, epsilon)
        embedded = self.embed(torch.cat([condition, latent], dim=1))
        features = embedded.view(len(noise), -1, self.base_size, self.base_size)
        images = []
        for index, stage in enumerate(self.stages):
            features = stage(features)
            if index in self._taken_after:
                images.append(self.compress[self._taken_after[index]](features))
        return features, SideOutputs(images, mean, log_sigma)

    def side_outputs(self, noise: Tensor, text: Tensor) -> SideOutputs:
        return self.features_and_outputs(noise, text)[1]

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.side_outputs(noise, text).images[-1]

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        """z and epsilon ~ N(0, 1), [count, noise], from the default random stream of ``device``."""
        return torch.randn(count, self.noise, device=device)


class ExtendedGenerator(nn.Module):
    """A trained nested generator, frozen, and one more stage to twice its size (512 px; Sec. 3.5).

    ``repeats`` res-blocks at the width and size of the last map, a stretching layer to half the width, a
    compression layer. The released code has 2 of them, the draft says 3. The frozen part stays in eval mode; that,
    and training the new stage alone, is our reading: the released training of this variant cannot run.
    """

    def __init__(self, base: NestedGenerator, repeats: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False).eval()
        self.image_size, self.base_size = 2 * base.image_size, base.base_size
        self.text, self.latent, self.noise, self.scales = base.text, base.latent, base.noise, (1,)
        if base.channels < 2:
            raise ReproError(f"width: the last stage has {base.channels} channel, at least 2 are needed to halve it")
        self.stage = nn.Sequential(
            *(ResidualBlock(base.channels) for _ in range(repeats)),
            Stretch(base.channels, base.channels // 2),
            Compression(base.channels // 2),
        )
        initialise(self.stage)

    def train(self, mode: bool = True) -> "ExtendedGenerator":
        super().train(mode)
        self.base.eval()
        return self

    def side_outputs(self, noise: Tensor, text: Tensor) -> SideOutputs:
        """The large image; ``base`` is the frozen generator's, enlarged bilinearly."""
        with torch.no_grad():
            features, nested = self.base.features_and_outputs(noise, text)
            base = F.interpolate(nested.images[-1], scale_factor=2, mode="bilinear", align_corners=False)
        return SideOutputs([self.stage(features)], None, None, base)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        return self.side_outputs(noise, text).images[-1]

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        return self.base.draw_noise(count, device)
