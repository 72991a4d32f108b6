"""Terms of generator losses besides the adversarial and the matching ones, one function per equation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from t2i_repro.losses.matching import cosine


def conditioning_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """L_CA of conditioning augmentation in AttnGAN's form: KL(N(mu, sigma^2) || N(0, 1)), the *mean* over batch and
    dimensions as released (papers write the sum)."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).mean()


def conditioning_kl_log_sigma(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """The same from log sigma, as StackGAN and HDGAN (Sec. 3.3) have it; also a mean, where the papers print a sum."""
    return (0.5 * (mean.square() + torch.exp(2 * log_sigma) - 1) - log_sigma).mean()


def relations(features: Tensor) -> Tensor:
    """M of ICSD-GAN Eq. (1): [N, N], cosines between the flattened features of the samples."""
    normal = F.normalize(features.flatten(1), dim=1, eps=1e-8)
    return normal @ normal.t()


def cross_sample_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """L_CSD(I_S, I_T), ICSD-GAN Eq. (2): |M_S - M_T|_F^2 / N^2. No gradient reaches the teacher (Algorithm 1).

    student, teacher: [N, ...], features of the same N samples; only N must agree.
    """
    return (relations(student) - relations(teacher.detach())).square().mean()


def redundancy(refinements: list[Tensor]) -> Tensor:
    """MSMT-GAN Eq. (20), (21): sum over pairs of heads of the cosine between their spatial means, averaged over the
    batch.

    ``refinements``: O_t [B, C, s, s] of each head. 0 for a single head; bounded below by -T / 2 for T heads.
    """
    means = torch.stack([refined.mean(dim=(2, 3)) for refined in refinements])
    first, second = torch.triu_indices(len(means), len(means), offset=1, device=means.device)
    return cosine(means[first], means[second]).sum(0).mean()
