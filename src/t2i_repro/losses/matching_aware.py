"""Cross-entropy objectives that know mismatching pairs: GAN-CLS and GAN-INT (Reed et al. 2016), kept by StackGAN."""

import torch
import torch.nn.functional as F
from torch import Tensor


def _real(logits: Tensor) -> Tensor:
    """-log D."""
    return F.softplus(-logits).mean()


def _fake(logits: Tensor) -> Tensor:
    """-log(1 - D)."""
    return F.softplus(logits).mean()


def matching_aware_discriminator(real: Tensor, wrong: Tensor, fake: Tensor) -> Tensor:
    """-log s_r - (log(1 - s_w) + log(1 - s_f)) / 2 (GAN-CLS, Algorithm 1), from logits [B] of a matching pair, a
    real image with another's sentence, and a generated image with its sentence."""
    return _real(real) + 0.5 * (_fake(wrong) + _fake(fake))


def matching_aware_generator(fake: Tensor) -> Tensor:
    """-log s_f (GAN-CLS, Algorithm 1)."""
    return _real(fake)


def interpolated(text: Tensor, beta: float = 0.5) -> Tensor:
    """beta t_1 + (1 - beta) t_2 (GAN-INT), t_2 the next sentence of the batch [B, text], the first after the last."""
    return torch.lerp(text.roll(-1, dims=0), text, beta)
