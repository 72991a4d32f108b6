"""Adversarial similarity loss of MS-GAN, as ICSD-GAN writes it, Eq. (7)."""

import torch.nn.functional as F
from torch import Tensor


def similarity_discriminator(real: Tensor, wrong: Tensor, fake: Tensor) -> Tensor:
    """L_D^ASL: E [max(0, 1 - d_r) + (max(0, 1 + d_w) + max(0, 1 + d_g)) / 2].

    Arguments are similarities in [-1, 1], so no hinge ever saturates: the loss is 2 - d_r + (d_w + d_g) / 2.
    """
    return F.relu(1 - real).mean() + (F.relu(1 + wrong).mean() + F.relu(1 + fake).mean()) / 2


def similarity_generator(fake: Tensor) -> Tensor:
    """L_G^ASL: -E d_g."""
    return -fake.mean()
