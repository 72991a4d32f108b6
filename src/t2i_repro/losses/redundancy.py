"""Redundancy loss of MSMT-GAN, Eq. (20), (21)."""

import torch
from torch import Tensor

from t2i_repro.losses.matching import cosine


def redundancy(refinements: list[Tensor]) -> Tensor:
    """Sum over pairs of heads of the cosine between their spatial means, averaged over the batch.

    ``refinements``: O_t [B, C, s, s] of each head. 0 for a single head; bounded below by -T / 2 for T heads.
    """
    means = torch.stack([refined.mean(dim=(2, 3)) for refined in refinements])
    first, second = torch.triu_indices(len(means), len(means), offset=1, device=means.device)
    return cosine(means[first], means[second]).sum(0).mean()
