"""Layers that more than one family of networks uses.

Feature maps are [B, C, H, W], sentence embeddings [B, text_dim], images [B, 3, s, s] in [-1, 1]. BatchNorm has torch's
momentum and epsilon.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.errors import ReproError

LEAK = 0.2  # negative slope of every LeakyReLU
HEAD_SIZE = 4  # side of the feature map on which discriminators decide
DCGAN_STD = 0.02
TRUNCATION = 2.0


def doublings(size: int, smallest: int, field: str = "image_size", least: int = 1) -> int:
    """log2(size / smallest). Raises ReproError naming ``field`` unless it is an integer and at least ``least``."""
    ratio = size // smallest if smallest > 0 else 0
    if ratio < 1 << least or ratio * smallest != size or ratio & (ratio - 1):
        raise ReproError(f"{field}: found {size}, expected {smallest} times a power of two, {2**least} or more")
    return ratio.bit_length() - 1


def image_pyramid(images: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Real images [B, 3, s, s] resized to each of ``sizes``: bilinear with antialiasing, as PIL resizes the crop.

    Unlike HDGAN's released code, no contrast stretch: scipy's imresize stretches every float image to 0..255.
    """
    return [
        images
        if images.shape[-1] == size
        else F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
        for size in sizes
    ]


def tile_sentence(sentence: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat a sentence [B, text_dim] at every position of a map: [B, text_dim, *size]."""
    return sentence[:, :, None, None].expand(-1, -1, *size)


class Glu(nn.Module):
    """Gated linear unit: the first half of the channels times the sigmoid of the second."""

    def forward(self, features: Tensor) -> Tensor:
        return F.glu(features, dim=1)


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)


def glu_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """conv3x3, BatchNorm, GLU."""
    return nn.Sequential(conv3x3(channels_in, 2 * channels_out), nn.BatchNorm2d(2 * channels_out), Glu())


def up_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Nearest x2, conv3x3, BatchNorm, GLU."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), *glu_block(channels_in, channels_out))


class ResidualBlock(nn.Module):
    """x + (conv3x3, BatchNorm, GLU, conv3x3, BatchNorm)(x); nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *glu_block(channels, channels), conv3x3(channels, channels), nn.BatchNorm2d(channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def to_rgb(channels: int) -> nn.Sequential:
    """conv3x3, tanh: an image in [-1, 1]."""
    return nn.Sequential(conv3x3(channels, 3), nn.Tanh())


def initialise_orthogonal(network: nn.Module) -> None:
    """Initialise as AttnGAN's code does: convolutions and linear layers orthogonal, linear biases 0, gains of BatchNorm
    from N(1, 0.02), its biases 0.

    Biases of convolutions keep torch's initial values. Parameters without storage (meta device) are left alone.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            if module.weight.is_meta:
                continue
            nn.init.orthogonal_(module.weight)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine and not module.weight.is_meta:
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


def initialise_dcgan(network: nn.Module) -> None:
    """Initialise as DCGAN does: convolutions from N(0, 0.02), gains of BatchNorm from N(1, 0.02). Linear layers keep
    torch's initial values."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DCGAN_STD)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, DCGAN_STD)


def truncated(normal: Tensor) -> Tensor:
    """Map draws from N(0, 1) to draws from N(0, 1) truncated at -2 and 2, quantile by quantile, so without
    randomness of its own."""
    low = torch.special.ndtr(torch.tensor(-TRUNCATION, dtype=normal.dtype, device=normal.device))
    quantile = low + torch.special.ndtr(normal) * (1 - 2 * low)
    return torch.special.ndtri(quantile).clamp(-TRUNCATION, TRUNCATION)


class SentenceAugmentation(nn.Module):
    """Conditioning augmentation of StackGAN and HDGAN: c = mu(t) + epsilon * exp(log_sigma(t)).

    LeakyReLU acts on both halves of Linear(text_dim, 2 * cond_dim), so neither mu nor log_sigma falls fast below 0.
    ``forward(text [B, text_dim], epsilon [B, cond_dim])`` -> c, mu, log_sigma, each [B, cond_dim].
    """

    def __init__(self, text_dim: int, cond_dim: int) -> None:
        super().__init__()
        self.cond_dim = cond_dim
        self.linear = nn.Linear(text_dim, 2 * cond_dim)
        self.activation = nn.LeakyReLU(LEAK)

    def forward(self, text: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_sigma = self.activation(self.linear(text)).chunk(2, dim=1)
        return mean + epsilon * log_sigma.exp(), mean, log_sigma


class PairHead(nn.Module):
    """Logit of an (image, sentence) pair: the sentence is projected, tiled and concatenated to the 4x4 features; a
    1x1 and a 4x4 convolution follow.

    ``forward(features [B, channels, 4, 4], text [B, text_dim])`` -> [B].
    """

    def __init__(self, channels: int, text_dim: int, cond_dim: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(text_dim, cond_dim), nn.LeakyReLU(LEAK))
        self.joint = nn.Sequential(
            nn.Conv2d(channels + cond_dim, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(hidden, 1, HEAD_SIZE, bias=bias),
        )

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        tiled = tile_sentence(self.project(text), features.shape[2:])
        score: Tensor = self.joint(torch.cat([features, tiled], dim=1))
        return score.flatten()
