"""Adversarial objectives of the multi-stage systems, on logits: binary cross-entropy with and without the text.

The released discriminators end in a sigmoid and clamp the logarithm at -100; logits give the same below saturation.
"""

from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from t2i_repro.core.choices import check_choice

AdversarialForm = Literal["averaged", "summed", "plain", "half"]
ADVERSARIAL_FORMS: tuple[AdversarialForm, ...] = ("averaged", "summed", "plain", "half")


class Verdicts(NamedTuple):
    """Logits of a discriminator's two heads, None where a head is absent.

    ``wrong``: real images with a text that is not theirs; ``wrong_images``: the same images without a text.
    """

    real: Tensor | None = None
    fake: Tensor | None = None
    wrong: Tensor | None = None
    real_images: Tensor | None = None
    fake_images: Tensor | None = None
    wrong_images: Tensor | None = None


def says_real(logits: Tensor) -> Tensor:
    """-E log D."""
    return F.softplus(-logits).mean()


def says_fake(logits: Tensor) -> Tensor:
    """-E log (1 - D)."""
    return F.softplus(logits).mean()


def bce_discriminator(verdicts: Verdicts, form: AdversarialForm = "averaged") -> Tensor:
    """A discriminator's loss.

    ``averaged`` (code of AttnGAN, DM-GAN, GR-GAN): mean of the real terms plus mean of the false ones: with both heads
      (R_u + R_c) / 2 + (F_u + F_c + W) / 3, without the unconditional one R_c + (F_c + W) / 2; without the
      conditional one (R_u + F_u) / 2.
    ``summed`` (code of StackGAN++): all terms, and the wrong pair's image counts as real without its text.
    ``plain`` (ICSD-GAN Eq. 5): all terms, no wrong pair. ``half`` (MSMT-GAN Eq. 23, GR-GAN Eq. 1, 3, 6): half of it.
    """
    check_choice("adversarial.form", form, ADVERSARIAL_FORMS)
    real = [says_real(v) for v in (verdicts.real_images, verdicts.real) if v is not None]
    fake = [says_fake(v) for v in (verdicts.fake_images, verdicts.fake) if v is not None]
    if form in ("averaged", "summed") and verdicts.wrong is not None:
        fake.append(says_fake(verdicts.wrong))
    if form == "averaged":
        if verdicts.real is None:
            return (real[0] + fake[0]) / 2
        return sum(real[1:], real[0]) / len(real) + sum(fake[1:], fake[0]) / len(fake)
    if form == "summed" and verdicts.wrong_images is not None:
        real.append(says_real(verdicts.wrong_images))
    terms = real + fake
    total = sum(terms[1:], terms[0])
    return total / 2 if form == "half" else total


def bce_generator(fake: Tensor | None, fake_images: Tensor | None, form: AdversarialForm = "averaged") -> Tensor:
    """A generator's adversarial loss: -E log D(x, t) - E log D(x), of the heads there are; half of it in ``half``."""
    check_choice("adversarial.form", form, ADVERSARIAL_FORMS)
    terms = [says_real(v) for v in (fake_images, fake) if v is not None]
    total = sum(terms[1:], terms[0])
    return total / 2 if form == "half" else total
