"""Cross-sample similarity distillation of ICSD-GAN, Eq. (1), (2)."""

import torch.nn.functional as F
from torch import Tensor


def relations(features: Tensor) -> Tensor:
    """M of Eq. (1): [N, N], cosines between the flattened features of the samples."""
    normal = F.normalize(features.flatten(1), dim=1, eps=1e-8)
    return normal @ normal.t()


def cross_sample_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """L_CSD(I_S, I_T), Eq. (2): |M_S - M_T|_F^2 / N^2. No gradient reaches the teacher (Algorithm 1).

    student, teacher: [N, ...], features of the same N samples; only N must agree.
    """
    return (relations(student) - relations(teacher.detach())).square().mean()
