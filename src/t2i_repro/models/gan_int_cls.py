"""GAN-INT-CLS (Reed et al., ICML 2016): DCGAN on a projected sentence. Our reading of the paper.

Sec. 4.1: phi(t) is projected to 128 dimensions with LeakyReLU and concatenated to z; the discriminator has a projection
of its own, tiled and concatenated to its 4x4 map, then 1x1 convolution, BN, LeakyReLU and a 4x4 convolution. Widths
(ngf 128, ndf 64) are those of the released defaults, from public knowledge; its residual branches are not in the paper
and left out here.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from t2i_repro.models.base import Generator, GeneratorOutput, Text, sizes
from t2i_repro.models.layers import HEAD_SIZE, LEAK, PairHead, doublings, initialise_dcgan

WIDEST = 8


class DcganGenerator(Generator):
    """``forward(noise [B, noise_dim], text [B, text_dim])`` -> images [B, 3, image_size, image_size] in [-1, 1].

    Transposed convolutions: one to base_size x base_size, then 4x4 of stride 2; widths 8, ..., 8, 4, 2, 1 times
    ``width``, then RGB.
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
        super().__init__(z_dim, text_dim)
        steps = doublings(image_size, base_size)
        widths = [width * min(WIDEST, 1 << (steps - 1 - step)) for step in range(steps)]
        self.image_size, self.base_size = image_size, base_size
        self.project = nn.Sequential(nn.Linear(text_dim, cond_dim), nn.LeakyReLU(LEAK))
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(z_dim + cond_dim, widths[0], base_size, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for before, after in pairwise(widths):
            up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
            layers += [up, nn.BatchNorm2d(after), nn.ReLU()]
        self.draw = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh())
        initialise_dcgan(self)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        joined = torch.cat([noise, self.project(text)], dim=1)
        return self.draw(joined[:, :, None, None])

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        return GeneratorOutput([self(noise, text.sentence)])


class DcganDiscriminator(nn.Module):
    """Image [B, 3, image_size, image_size] and sentence [B, text_dim] -> logits [B].

    4x4 convolutions of stride 2 down to 4x4, widths 1, 2, 4, 8, 8, ... times ``width``; the first without BN.
    """

    def __init__(self, width: int = 64, image_size: int = 64, *, text_dim: int = 1024, cond_dim: int) -> None:
        super().__init__()
        steps = doublings(image_size, HEAD_SIZE)
        widths = [width * min(WIDEST, 1 << step) for step in range(steps)]
        layers: list[nn.Module] = []
        for before, after in zip([3, *widths], widths, strict=False):
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            if before != 3:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(LEAK))
        self.trunk = nn.Sequential(*layers)
        self.pair = PairHead(widths[-1], text_dim, cond_dim, widths[-1], bias=True)
        initialise_dcgan(self)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.pair(self.trunk(images), text)


def build_generator(system: Mapping[str, Any], image_size: int, base_size: int, text_dim: int) -> DcganGenerator:
    """Keys: width, [latent, condition]."""
    dims = sizes(system, latent="z_dim", condition="cond_dim")
    return DcganGenerator(system["width"], image_size, base_size, text_dim=text_dim, **dims)


def build_discriminator(system: Mapping[str, Any], image_size: int, text_dim: int) -> DcganDiscriminator:
    """Keys: width (the discriminator has half of it), [condition]."""
    return DcganDiscriminator(
        system["width"] // 2, image_size, text_dim=text_dim, **sizes(system, condition="cond_dim")
    )
