"""What the systems on a 1024-d sentence embedding share (GAN-INT-CLS, StackGAN, HDGAN).

Sentence embeddings are [B, text], images [B, 3, s, s] in [-1, 1], feature maps [B, C, h, w].
"""

import torch
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.blocks import LEAK, tile_sentence

HEAD_SIZE = 4
INITIAL_SPREAD = 0.02
TRUNCATION = 2.0


def doublings(image_size: int, smallest: int, field: str = "image_size", least: int = 1) -> int:
    """log2(image_size / smallest); raises ReproError naming ``field`` unless it is whole and at least ``least``."""
    ratio = image_size // smallest if smallest > 0 else 0
    if ratio < 1 << least or ratio * smallest != image_size or ratio & (ratio - 1):
        raise ReproError(f"{field}: found {image_size}, expected {smallest} times a power of two, {2**least} or more")
    return ratio.bit_length() - 1


def initialise(network: nn.Module) -> None:
    """Convolutions from N(0, 0.02), gains of batch normalisation from N(1, 0.02), as DCGAN; Linear stays torch's."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, INITIAL_SPREAD)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, INITIAL_SPREAD)


def truncated(normal: Tensor) -> Tensor:
    """A draw from N(0, 1) to one from N(0, 1) between -2 and 2, by the quantile: equal inputs give equal outputs."""
    low = torch.special.ndtr(torch.tensor(-TRUNCATION, dtype=normal.dtype, device=normal.device))
    quantile = low + torch.special.ndtr(normal) * (1 - 2 * low)
    return torch.special.ndtri(quantile).clamp(-TRUNCATION, TRUNCATION)


class SentenceAugmentation(nn.Module):
    """Conditioning augmentation with log sigma: c = mu(t) + epsilon * exp(log_sigma(t)).

    LeakyReLU acts on both halves of Linear(text, 2 * condition), so neither mu nor log_sigma falls fast below 0.
    ``forward(text [B, text], epsilon [B, condition])`` -> c, mu, log_sigma, each [B, condition].
    """

    def __init__(self, text: int, condition: int) -> None:
        super().__init__()
        self.condition = condition
        self.linear = nn.Linear(text, 2 * condition)
        self.activation = nn.LeakyReLU(LEAK)

    def forward(self, text: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_sigma = self.activation(self.linear(text)).chunk(2, dim=1)
        return mean + epsilon * log_sigma.exp(), mean, log_sigma


class PairHead(nn.Module):
    """Score of an (image, sentence) pair: own projection of the sentence, tiled beside 4x4 features, 1x1, 4x4.

    ``forward(features [B, channels, 4, 4], text [B, text])`` -> [B], not squashed.
    """

    def __init__(self, channels: int, text: int, condition: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(text, condition), nn.LeakyReLU(LEAK))
        self.joint = nn.Sequential(
            nn.Conv2d(channels + condition, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(hidden, 1, HEAD_SIZE, bias=bias),
        )

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        tiled = tile_sentence(self.project(text), features.shape[2:])
        score: Tensor = self.joint(torch.cat([features, tiled], dim=1))
        return score.flatten()
