"""GAN-INT-CLS (Reed et al., ICML 2016): DCGAN on a projected sentence. Our reading of the paper.

Sec. 4.1: phi(t) is projected to 128 dimensions with LeakyReLU and joined to z; the discriminator projects it anew,
tiles it beside its 4x4 map, then 1x1 convolution, BN, LeakyReLU and a 4x4 convolution. Widths (ngf 128, ndf 64) are
those of the released defaults, from public knowledge; its residual branches are not in the paper and left out here.
"""

import itertools

import torch
from torch import Tensor, nn

from t2i_repro.models.blocks import LEAK
from t2i_repro.models.sentence import HEAD_SIZE, PairHead, doublings, initialise

WIDEST = 8


class DcganGenerator(nn.Module):
    """``forward(noise [B, noise], text [B, text])`` -> images [B, 3, image_size, image_size] in [-1, 1].

    Transposed convolutions: one to base_size x base_size, then 4x4 of stride 2; widths 8, ..., 8, 4, 2, 1 times
    ``width``, then RGB.
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
        steps = doublings(image_size, base_size)
        widths = [width * min(WIDEST, 1 << (steps - 1 - step)) for step in range(steps)]
        self.image_size, self.base_size, self.text, self.noise = image_size, base_size, text, latent
        self.project = nn.Sequential(nn.Linear(text, condition), nn.LeakyReLU(LEAK))
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent + condition, widths[0], base_size, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for before, after in itertools.pairwise(widths):
            up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
            layers += [up, nn.BatchNorm2d(after), nn.ReLU()]
        self.draw = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh())
        initialise(self)

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        joined = torch.cat([noise, self.project(text)], dim=1)
        return self.draw(joined[:, :, None, None])

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        """z ~ N(0, 1), [count, noise], from the default random stream of ``device``."""
        return torch.randn(count, self.noise, device=device)


class DcganDiscriminator(nn.Module):
    """Image [B, 3, image_size, image_size] and sentence [B, text] -> logits [B].

    4x4 convolutions of stride 2 down to 4x4, widths 1, 2, 4, 8, 8, ... times ``width``; the first without BN.
    """

    def __init__(self, width: int = 64, image_size: int = 64, *, text: int = 1024, condition: int = 128) -> None:
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
        self.pair = PairHead(widths[-1], text, condition, widths[-1], bias=True)
        initialise(self)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        return self.pair(self.trunk(images), text)
