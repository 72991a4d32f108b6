"""Hierarchically nested discriminators of HDGAN: one per supervised scale, none shares a weight (Sec. 3.2, 3.3)."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.blocks import LEAK
from t2i_repro.models.nested import SCALES, check_scales
from t2i_repro.models.sentence import HEAD_SIZE, PairHead, doublings, initialise

ImageLoss = Literal["none", "global", "local"]
IMAGE_LOSSES: tuple[ImageLoss, ...] = ("none", "global", "local")
# R of the local image loss by scale (divisor of the image size): the released heads, and Sec. 3.5.
PATCHES: dict[Form, dict[int, int]] = {"code": {4: 1, 2: 1, 1: 5}, "printed": {4: 1, 2: 3, 1: 5}}
WIDE = 8


class Judgement(NamedTuple):
    """``pair`` [B]: image with sentence. ``image`` [B, R, R]: the image's patches, None without image loss."""

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
    """D_i: image [B, 3, size, size] and sentence embedding [B, text] to a ``Judgement``.

    Stride-2 convolutions halve the image down to 8x8, a 5x5 convolution gives the 4x4 map that the pair head sees.
    ``patches`` is R: a kernel of m + 1 - R on a map of m x m gives R x R scores. R up to 4 is read off the 4x4
    map; a larger one (5, up to 8) off the 8x8 map. 0: no image head.
    ``wide``: the layout of the released 256 px discriminator, whose 8x8 map already has the full width; it sees the
    image head if R > 4. Widths double from one convolution to the next up to ``peak``; the last map has
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
        text: int = 1024,
        condition: int = 128,
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
        self.pair = PairHead(features, text, condition, features, bias=True)
        seen = WIDE if patches > HEAD_SIZE else HEAD_SIZE
        self.image = nn.Conv2d(features, 1, seen + 1 - patches) if patches else None
        initialise(self)

    def forward(self, images: Tensor, text: Tensor) -> Judgement:
        wide = self.trunk(images)
        narrow = self.narrow(wide)
        pair = self.pair(narrow, text)
        if self.image is None:
            return Judgement(pair, None)
        return Judgement(pair, self.image(wide if self.patches > HEAD_SIZE else narrow).squeeze(1))


class NestedDiscriminators(nn.Module):
    """{D_1, ..., D_s} of Eq. (3) for the supervised ``scales`` (divisors of ``image_size``).

    ``image_loss``, the columns of Table 5: ``none``; ``global``, R = 1 everywhere; ``local``, R as ``patches``
    says. ``forward(images, text)``, images small to large -> one ``Judgement`` per scale.
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
        text: int = 1024,
        condition: int = 128,
    ) -> None:
        super().__init__()
        check_choice("image_loss", image_loss, IMAGE_LOSSES)
        check_choice("patches", patches, FORMS)
        self.scales = check_scales(scales)
        shared = {"features": features, "peak": peak, "text": text, "condition": condition}
        self.by_scale = nn.ModuleDict()
        for scale in self.scales:
            count = {"none": 0, "global": 1, "local": PATCHES[patches][scale]}[image_loss]
            self.by_scale[str(scale)] = NestedDiscriminator(image_size // scale, count, wide=scale == 1, **shared)

    def forward(self, images: Sequence[Tensor], text: Tensor) -> list[Judgement]:
        sizes = [image.shape[-1] for image in images]
        expected = [self.by_scale[str(scale)].size for scale in self.scales]
        if sizes != expected:
            raise ReproError(f"discriminators for images of {expected} px were given {sizes}")
        return [self.by_scale[str(scale)](image, text) for scale, image in zip(self.scales, images, strict=True)]


def pyramid(images: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Real images at several sizes, bilinear with antialiasing; the authors resize the same crop (PIL's bilinear).

    Unlike theirs, no contrast stretch: scipy's imresize stretches every float image to 0..255.
    """
    return [
        images
        if images.shape[-1] == size
        else torch.nn.functional.interpolate(
            images, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
        for size in sizes
    ]
