"""Adversarial losses, one function per equation: hinge, binary cross-entropy, least squares.

They take what discriminators return, without a sigmoid. The released discriminators of the multi-stage systems end in
one and clamp the logarithm at -100; cross-entropy of logits gives the same below saturation.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from t2i_repro.core.choices import ADVERSARIAL_FORMS, FORMS, AdversarialForm, Form, check_choice


def hinge_discriminator(real: Tensor, mismatched: Tensor, fake: Tensor) -> Tensor:
    """E relu(1 - D(x, s)) + (E relu(1 + D(G, s)) + E relu(1 + D(x, s'))) / 2: first three terms of SSA-GAN Eq. (6), on
    logits; L_D^ASL of MS-GAN (ICSD-GAN Eq. 7), on similarities in [-1, 1], where no hinge saturates.

    Arguments [B]: (real image, its sentence), (real image, another sentence), (generated image, its sentence).
    """
    return F.relu(1 - real).mean() + 0.5 * (F.relu(1 + fake).mean() + F.relu(1 + mismatched).mean())


def hinge_generator(fake: Tensor) -> Tensor:
    """-E D(G(z, s), s): adversarial term of SSA-GAN Eq. (7); L_G^ASL of MS-GAN (ICSD-GAN Eq. 7)."""
    return -fake.mean()


def matching_aware_gradient_penalty(
    discriminator: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    sentence: Tensor,
    weight: float,
    power: float,
    form: Form = "code",
) -> Tensor:
    """MA-GP, last term of SSA-GAN Eq. (6): weight * E (norm of the gradient of D at real matched pairs)^power.

    ``code``: the norm of the concatenated gradient, sqrt(|grad_x|^2 + |grad_s|^2); ``printed``: |grad_x| + |grad_s|.
    ``discriminator(images [B, ...], sentence [B, text_dim])`` returns one logit per pair and must treat the pairs
    independently. The penalty can be differentiated with respect to the discriminator's parameters; no gradient
    reaches the arguments.
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


class DiscriminatorLogits(NamedTuple):
    """Logits [B] of a discriminator's two heads: pairs of image and text (``real``, ``fake``, ``wrong``), and images
    without a text (``real_images``, ``fake_images``, ``wrong_images``). None if a head is absent.

    ``wrong``: real images with the text of another image.
    """

    real: Tensor | None = None
    fake: Tensor | None = None
    wrong: Tensor | None = None
    real_images: Tensor | None = None
    fake_images: Tensor | None = None
    wrong_images: Tensor | None = None


def bce_real(logits: Tensor) -> Tensor:
    """-E log D."""
    return F.softplus(-logits).mean()


def bce_fake(logits: Tensor) -> Tensor:
    """-E log (1 - D)."""
    return F.softplus(logits).mean()


def bce_discriminator(logits: DiscriminatorLogits, form: AdversarialForm = "averaged") -> Tensor:
    """A discriminator's loss.

    ``averaged`` (code of AttnGAN, DM-GAN, GR-GAN): mean of the real terms plus mean of the fake ones: with both heads
      (R_u + R_c) / 2 + (F_u + F_c + W) / 3, without the unconditional one R_c + (F_c + W) / 2; without the
      conditional one (R_u + F_u) / 2.
    ``summed`` (code of StackGAN++): the sum of all terms; the wrong pair's image counts as real without its text.
    ``plain`` (ICSD-GAN Eq. 5): the sum without the wrong pair. ``half`` (MSMT-GAN Eq. 23, GR-GAN Eq. 1, 3, 6): half of
      ``plain``.
    """
    check_choice("adversarial.form", form, ADVERSARIAL_FORMS)
    real = [bce_real(v) for v in (logits.real_images, logits.real) if v is not None]
    fake = [bce_fake(v) for v in (logits.fake_images, logits.fake) if v is not None]
    if form in ("averaged", "summed") and logits.wrong is not None:
        fake.append(bce_fake(logits.wrong))
    if form == "averaged":
        if logits.real is None:
            return (real[0] + fake[0]) / 2
        return sum(real[1:], real[0]) / len(real) + sum(fake[1:], fake[0]) / len(fake)
    if form == "summed" and logits.wrong_images is not None:
        real.append(bce_real(logits.wrong_images))
    terms = real + fake
    total = sum(terms[1:], terms[0])
    return total / 2 if form == "half" else total


def bce_generator(fake: Tensor | None, fake_images: Tensor | None, form: AdversarialForm = "averaged") -> Tensor:
    """A generator's adversarial loss: -E log D(x, t) - E log D(x), without the term of an absent head (None); ``half``
    of it in the form of that name (ICSD-GAN Eq. 6, MSMT-GAN Eq. 22, GR-GAN Eq. 1, 3, 6)."""
    check_choice("adversarial.form", form, ADVERSARIAL_FORMS)
    terms = [bce_real(v) for v in (fake_images, fake) if v is not None]
    total = sum(terms[1:], terms[0])
    return total / 2 if form == "half" else total


def matching_aware_discriminator(real: Tensor, wrong: Tensor, fake: Tensor) -> Tensor:
    """-log s_r - (log(1 - s_w) + log(1 - s_f)) / 2 (GAN-CLS, Algorithm 1; kept by StackGAN), from logits [B] of a
    matching pair, a real image with the sentence of another one, and a generated image with its sentence."""
    return bce_real(real) + 0.5 * (bce_fake(wrong) + bce_fake(fake))


def matching_aware_generator(fake: Tensor) -> Tensor:
    """-log s_f (GAN-CLS, Algorithm 1)."""
    return bce_real(fake)


def interpolated(text: Tensor, beta: float = 0.5) -> Tensor:
    """beta t_1 + (1 - beta) t_2 (GAN-INT), t_2 the next sentence of the batch [B, text_dim]; the first follows the
    last."""
    return torch.lerp(text.roll(-1, dims=0), text, beta)


def least_squares_real(scores: Tensor) -> Tensor:
    """L2(x) = mean((x - 1)^2) of HDGAN Eq. (4), over the batch and, for the image loss, over the R x R patches."""
    return (scores - 1).square().mean()


def least_squares_fake(scores: Tensor) -> Tensor:
    """L2bar(x) = mean(x^2) of HDGAN Eq. (4)."""
    return scores.square().mean()


def least_squares_pair(real: Tensor, wrong: Tensor, fake: Tensor, weights: Form = "code") -> Tensor:
    """Pair loss of HDGAN Eq. (4): L2(D(Y, t_Y)) + L2bar(D(X, t_X)) + L2bar(D(Y, t_other)); ``code`` halves the last
    two.

    Scores [B] of a matching pair, a mismatching pair of real parts, and a generated image with its sentence.
    """
    check_choice("pair_weights", weights, FORMS)
    return least_squares_real(real) + (0.5 if weights == "code" else 1.0) * (
        least_squares_fake(wrong) + least_squares_fake(fake)
    )


def least_squares_image(real: Tensor, wrong: Tensor | None, fake: Tensor) -> Tensor:
    """Image loss of HDGAN Eq. (4): L2(D(Y)) + L2bar(D(X)) on patches [B, R, R]. ``wrong``: a wrong image is a real
    image too; the released code gives it half of the real term."""
    genuine = (
        least_squares_real(real) if wrong is None else 0.5 * (least_squares_real(real) + least_squares_real(wrong))
    )
    return genuine + least_squares_fake(fake)


def least_squares_generator(fake: Tensor) -> Tensor:
    """The generator's side of either loss (HDGAN, footnote 1): L2(D(X, t_X)) or L2(D(X))."""
    return least_squares_real(fake)
