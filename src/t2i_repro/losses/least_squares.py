"""Least-squares pair and image losses of HDGAN, Eq. (4), on scores that no sigmoid has squashed.

L2(x) = mean((x - 1)^2) and L2bar(x) = mean(x^2), over the batch and, for the image loss, over the R x R patches.
"""

import torch
from torch import Tensor

from t2i_repro.core.choices import FORMS, Form, check_choice


def l2(scores: Tensor) -> Tensor:
    """Distance from real."""
    return (scores - 1).square().mean()


def l2_bar(scores: Tensor) -> Tensor:
    """Distance from fake."""
    return scores.square().mean()


def pair_discriminator(real: Tensor, wrong: Tensor, fake: Tensor, weights: Form = "code") -> Tensor:
    """L2(D(Y, t_Y)) + L2bar(D(X, t_X)) + L2bar(D(Y, t_other)); ``code`` halves the last two.

    Scores [B] of a matching pair, a mismatching pair of real parts, and a generated image with its sentence.
    """
    check_choice("pair_weights", weights, FORMS)
    return l2(real) + (0.5 if weights == "code" else 1.0) * (l2_bar(wrong) + l2_bar(fake))


def image_discriminator(real: Tensor, wrong: Tensor | None, fake: Tensor) -> Tensor:
    """L2(D(Y)) + L2bar(D(X)) on patches [B, R, R]. ``wrong``: a wrong image is a real image too; the released code
    gives it half of the real term."""
    genuine = l2(real) if wrong is None else 0.5 * (l2(real) + l2(wrong))
    return genuine + l2_bar(fake)


def generator(fake: Tensor) -> Tensor:
    """The generator's side of either loss (footnote 1): L2(D(X, t_X)) or L2(D(X))."""
    return l2(fake)


def kl_of_log_sigma(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """D_KL(N(mean, sigma^2) || N(0, 1)) of Sec. 3.3, mean over batch and entries (a sum in the print)."""
    return (0.5 * (mean.square() + torch.exp(2 * log_sigma) - 1) - log_sigma).mean()
