"""HDGAN: one stream from sentence to image with images taken from it at several scales (Sec. 3.4), and a discriminator
for each of those scales, none sharing a weight (Sec. 3.2, 3.3)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, IMAGE_LOSSES, Form, ImageLoss, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Generator, GeneratorOutput, Text, sizes
from t2i_repro.models.layers import HEAD_SIZE, LEAK, PairHead, SentenceAugmentation, doublings, initialise_dcgan

# R of the local image loss by scale (divisor of the image size): the released heads, and Sec. 3.5.
PATCHES: dict[Form, dict[int, int]] = {"code": {4: 1, 2: 1, 1: 5}, "printed": {4: 1, 2: 3, 1: 5}}
WIDE = 8

# Channels of the maps, first to last, in units of `width` (128): 4, 8, 16, 32, 64, 128 and 256 px as released.
MULTIPLES = (8.0, 4.0, 4.0, 2.0, 2.0, 1.0, 0.5)
SCALES = (4, 2, 1)


class SideOutputs(NamedTuple):
    """X_1 ... X_s of Eq. (2), small to large, and the inputs of the generator's other losses.

    ``mean``, ``log_sigma`` [B, cond_dim]: of the augmented sentence, None if that is frozen. ``base``: the image of a
    frozen generator at the size of the last image, None without such a generator.
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


class NestedGenerator(Generator):
    """Noise and sentence embedding to images at every supervised scale.

    ``forward(noise [B, noise_dim], text [B, text_dim])`` -> the largest image [B, 3, image_size, image_size];
    ``side_outputs`` -> all of them. The first ``z_dim`` entries of the noise are z, the others epsilon of the
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
        text_dim: int = 1024,
        z_dim: int,
        cond_dim: int,
        repeats: int = 1,
    ) -> None:
        super().__init__(z_dim + cond_dim, text_dim, z_dim)
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
        self.channels = channels[-1]
        self.augmentation = SentenceAugmentation(text_dim, cond_dim)
        self.embed = nn.Sequential(
            nn.Linear(z_dim + cond_dim, channels[0] * base_size**2), nn.BatchNorm1d(channels[0] * base_size**2)
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
        initialise_dcgan(self)

    def features_and_outputs(self, noise: Tensor, text: Tensor) -> tuple[Tensor, SideOutputs]:
        """Also the last feature map [B, channels, image_size, image_size]."""
        latent, epsilon = noise.split([self.z_dim, self.noise_dim - self.z_dim], dim=1)
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

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        return GeneratorOutput(self.side_outputs(noise, text.sentence).images)


class ExtendedGenerator(Generator):
    """A trained nested generator, frozen, and one more stage to twice its size (512 px; Sec. 3.5).

    ``repeats`` res-blocks at the width and size of the last map, a stretching layer to half the width, a
    compression layer. The released code has 2 of them, the draft says 3. The frozen part stays in eval mode; that,
    and training the new stage alone, is our reading: the released training of this variant cannot run.
    """

    def __init__(self, base: NestedGenerator, repeats: int = 2) -> None:
        super().__init__(base.noise_dim, base.text_dim, base.z_dim)
        self.base = base.requires_grad_(False).eval()
        self.image_size, self.base_size = 2 * base.image_size, base.base_size
        self.scales = (1,)
        if base.channels < 2:
            raise ReproError(f"width: the last stage has {base.channels} channel, at least 2 are needed to halve it")
        self.stage = nn.Sequential(
            *(ResidualBlock(base.channels) for _ in range(repeats)),
            Stretch(base.channels, base.channels // 2),
            Compression(base.channels // 2),
        )
        initialise_dcgan(self.stage)

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

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        return GeneratorOutput(self.side_outputs(noise, text.sentence).images)


class NestedScores(NamedTuple):
    """Scores ``pair`` [B] of image and sentence, and ``image`` [B, R, R] of the image's patches, None without image
    loss."""

    pair: Tensor
    image: Tensor | None


def halving(channels_in: int, channels_out: int, normalise: bool) -> nn.Sequential:
    """3x3 convolution of stride 2 without bias, [BN], LeakyReLU; zero padding, as released."""
    norm = [nn.BatchNorm2d(channels_out)] if normalise else []
    conv = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, *norm, nn.LeakyReLU(LEAK))


def narrowing(channels_in: int, channels_out: int) -> nn.Sequential:
    """5x5 convolution without padding: 8x8 to 4x4."""
    conv = nn.Conv2d(channels_in, channels_out, WIDE - HEAD_SIZE + 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.LeakyReLU(LEAK))


class NestedDiscriminator(nn.Module):
    """D_i: image [B, 3, size, size] and sentence embedding [B, text_dim] to ``NestedScores``.

    Stride-2 convolutions halve the image down to 8x8, a 5x5 convolution gives the 4x4 map that the pair head reads.
    ``patches`` is R: a kernel of m + 1 - R on a map of m x m gives R x R scores. R up to 4 uses the 4x4
    map; a larger one (5, up to 8) uses the 8x8 map. 0: no image head.
    ``wide``: the layout of the released 256 px discriminator, whose 8x8 map already has the full width; the image
    head reads it if R > 4. Widths double from one convolution to the next up to ``peak``; the last map has
    ``features`` channels.
    """

    def __init__(
        self,
        size: int,
        patches: int,
        *,
        wide: bool,
        features: int = 512,
        peak: int = 512,
        text_dim: int = 1024,
        cond_dim: int,
    ) -> None:
        super().__init__()
        if not 0 <= patches <= (WIDE if wide else HEAD_SIZE):
            raise ReproError(
                f"patches: found {patches} at {size} px, expected 0 to {HEAD_SIZE}, or to {WIDE} at the largest scale"
            )
        steps = doublings(size, WIDE, "size of a discriminator")
        widths = [max(1, peak >> (steps - 1 - step)) for step in range(steps)]
        if wide:
            widths[-1] = features
        self.size, self.patches = size, patches
        self.trunk = nn.Sequential(
            *(halving(before, after, before != 3) for before, after in zip([3, *widths], widths, strict=False))
        )
        self.narrow = narrowing(widths[-1], features)
        self.pair = PairHead(features, text_dim, cond_dim, features, bias=True)
        side = WIDE if patches > HEAD_SIZE else HEAD_SIZE
        self.image = nn.Conv2d(features, 1, side + 1 - patches) if patches else None
        initialise_dcgan(self)

    def forward(self, images: Tensor, text: Tensor) -> NestedScores:
        wide = self.trunk(images)
        narrow = self.narrow(wide)
        pair = self.pair(narrow, text)
        if self.image is None:
            return NestedScores(pair, None)
        return NestedScores(pair, self.image(wide if self.patches > HEAD_SIZE else narrow).squeeze(1))


class NestedDiscriminators(nn.Module):
    """{D_1, ..., D_s} of Eq. (3) for the supervised ``scales`` (divisors of ``image_size``).

    ``image_loss``, the columns of Table 5: ``none``; ``global``, R = 1 everywhere; ``local``, R as ``patches``
    says. ``forward(images, text)``, images small to large -> ``NestedScores`` of each scale.
    ``features``: channels of the last maps, 4 * width as released; ``peak`` 512 as released.
    """

    def __init__(
        self,
        image_size: int = 256,
        scales: Collection[int] = SCALES,
        image_loss: ImageLoss = "local",
        patches: Form = "code",
        *,
        features: int = 512,
        peak: int = 512,
        text_dim: int = 1024,
        cond_dim: int,
    ) -> None:
        super().__init__()
        check_choice("image_loss", image_loss, IMAGE_LOSSES)
        check_choice("patches", patches, FORMS)
        self.scales = check_scales(scales)
        shared = {"features": features, "peak": peak, "text_dim": text_dim, "cond_dim": cond_dim}
        self.by_scale = nn.ModuleDict()
        for scale in self.scales:
            count = {"none": 0, "global": 1, "local": PATCHES[patches][scale]}[image_loss]
            self.by_scale[str(scale)] = NestedDiscriminator(image_size // scale, count, wide=scale == 1, **shared)

    def forward(self, images: Sequence[Tensor], text: Tensor) -> list[NestedScores]:
        sizes = [image.shape[-1] for image in images]
        expected = [self.by_scale[str(scale)].size for scale in self.scales]
        if sizes != expected:
            raise ReproError(f"images: found sizes {sizes}, expected {expected} px, those of the discriminators")
        return [self.by_scale[str(scale)](image, text) for scale, image in zip(self.scales, images, strict=True)]


def build_generator(
    system: Mapping[str, Any], image_size: int, base_size: int, text_dim: int
) -> NestedGenerator | ExtendedGenerator:
    """Keys: width, [scales], [latent, condition], [extension.repeats]. With ``extension``, the base is untrained too:
    load its trained weights into ``.base``."""
    extension = system.get("extension")
    base = NestedGenerator(
        system["width"],
        image_size if extension is None else image_size // 2,
        base_size,
        system.get("scales", SCALES),
        text_dim=text_dim,
        **sizes(system, latent="z_dim", condition="cond_dim"),
    )
    return base if extension is None else ExtendedGenerator(base, extension["repeats"])


def build_discriminator(system: Mapping[str, Any], image_size: int, text_dim: int) -> NestedDiscriminators:
    """Keys: width, [scales], image_loss, [switches.patches], [condition]."""
    return NestedDiscriminators(
        image_size,
        system.get("scales", SCALES) if system.get("extension") is None else (1,),
        system["image_loss"],
        system.get("switches", {}).get("patches", "code"),
        features=4 * system["width"],
        peak=4 * system["width"],
        text_dim=text_dim,
        **sizes(system, condition="cond_dim"),
    )
