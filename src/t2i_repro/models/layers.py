"""Layers that the multi-stage generators share (StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN, ICSD-GAN).

Feature maps are [B, C, H, W]. None of them has spectral normalisation; BatchNorm has torch's momentum and epsilon.
"""

import torch.nn.functional as F
from torch import Tensor, nn


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


def initialise(network: nn.Module) -> None:
    """As released for this family: convolutions and linear layers orthogonal, linear biases 0, BatchNorm N(1, 0.02), 0.

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
