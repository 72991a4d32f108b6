"""Adversarial objectives on logits, one function per equation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from t2i_repro.core.choices import FORMS, Form, check_choice


def hinge_discriminator(real: Tensor, mismatched: Tensor, fake: Tensor) -> Tensor:
    """First three terms of SSA-GAN Eq. (6): E relu(1 - D(x,s)) + E relu(1 + D(G,s)) / 2 + E relu(1 +
    D(x,s')) / 2.

    Arguments are logits of (real image, its sentence), (real image, another sentence), (generated image, its
    sentence).
    """
    return F.relu(1 - real).mean() + 0.5 * (F.relu(1 + fake).mean() + F.relu(1 + mismatched).mean())


def hinge_generator(fake: Tensor) -> Tensor:
    """SSA-GAN Eq. (7), adversarial term: -E D(G(z,s), s)."""
    return -fake.mean()


def matching_aware_gradient_penalty(
    discriminator: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    sentence: Tensor,
    weight: float = 2.0,
    power: float = 6.0,
    form: Form = "code",
) -> Tensor:
    """MA-GP, last term of SSA-GAN Eq. (6): weight * E (norm of the gradient of D at real matched
    pairs)^power.

    ``code``: the norm of the joined gradient, sqrt(|grad_x|^2 + |grad_s|^2); ``printed``: |grad_x| +
    |grad_s|. ``discriminator(images [B, ...], sentence [B, text])`` gives one logit per pair and must treat
    the pairs independently. The penalty can be differentiated with respect to the discriminator's
    parameters; no gradient reaches the arguments.
    """
    check_choice("ma_gp", form, FORMS)
    images, sentence = images.detach().requires_grad_(), sentence.detach().requires_grad_()
    logits = discriminator(images, sentence)
    by_image, by_sentence = torch.autograd.grad(logits.sum(), (images, sentence), create_graph=True)
    by_image, by_sentence = by_image.flatten(1), by_sentence.flatten(1)
    if form == "code":
        # A power of the squared norm: the root has no derivative at zero.
        squared = by_image.square().sum(1) + by_sentence.square().sum(1)
        return weight * squared.pow(power / 2).mean()
    norms = torch.linalg.vector_norm(by_image, dim=1) + torch.linalg.vector_norm(by_sentence, dim=1)
    return weight * norms.pow(power).mean()
