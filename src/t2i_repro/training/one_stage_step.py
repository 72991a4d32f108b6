"""One iteration of DF-GAN (2020) and SSA-GAN: the updates alone, on networks, optimisers and tensors.

As released: hinge step of D, a second step of D on MA-GP, step of G on the same fakes. Image i is mismatched
with sentence i + 1, so a batch of B gives B - 1 mismatched pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    matching_aware_gradient_penalty,
)
from t2i_repro.models.discriminators import OneWayDiscriminator
from t2i_repro.models.state import frozen

Losses = dict[str, Tensor]
ExtraTerms = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Penalty:
    """MA-GP of SSA-GAN Eq. (6): lambda_MA, p, the norm (``ma_gp``) and where it is applied (``ma_gp_step``).

    ``step`` ``code``: an optimiser step of its own after the hinge step; ``printed``: one loss, one step.
    """

    weight: float = 2.0
    power: float = 6.0
    form: Form = "code"
    step: Form = "code"

    def __post_init__(self) -> None:
        check_choice("ma_gp", self.form, FORMS)
        check_choice("ma_gp_step", self.step, FORMS)

    def __call__(self, discriminator: nn.Module, images: Tensor, sentence: Tensor) -> Tensor:
        return matching_aware_gradient_penalty(discriminator, images, sentence, self.weight, self.power, self.form)


def discriminator_step(
    discriminator: OneWayDiscriminator,
    optimiser: Optimizer,
    real: Tensor,
    fake: Tensor,
    sentence: Tensor,
    penalty: Penalty | None = None,
) -> Losses:
    """Hinge step, SSA-GAN Eq. (6); ``penalty`` is added here only if its ``step`` is ``printed``.

    real, fake [B, 3, s, s]; sentence [B, text]; B at least 2. Neither ``fake`` nor ``sentence`` receives a
    gradient. Returns detached ``d_real``, ``d_mismatched``, ``d_fake`` (mean logits), ``d_loss`` and, if
    applied, ``ma_gp``.
    """
    fake, sentence = fake.detach(), sentence.detach()
    features = discriminator.features(real)
    logits_real = discriminator.judge(features, sentence)
    logits_mismatched = discriminator.judge(features[:-1], sentence[1:])
    logits_fake = discriminator.judge(discriminator.features(fake), sentence)
    loss = hinge_discriminator(logits_real, logits_mismatched, logits_fake)
    losses = {
        "d_loss": loss,
        "d_real": logits_real.mean(),
        "d_mismatched": logits_mismatched.mean(),
        "d_fake": logits_fake.mean(),
    }
    if penalty is not None and penalty.step == "printed":
        losses["ma_gp"] = penalty(discriminator, real, sentence)
        loss = loss + losses["ma_gp"]
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return {name: value.detach() for name, value in losses.items()}


def gradient_penalty_step(
    discriminator: OneWayDiscriminator, optimiser: Optimizer, real: Tensor, sentence: Tensor, penalty: Penalty
) -> Losses:
    """The released code's second step of D in an iteration, on MA-GP alone. Returns detached ``ma_gp``."""
    loss = penalty(discriminator, real, sentence)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return {"ma_gp": loss.detach()}


def generator_step(
    discriminator: OneWayDiscriminator,
    optimiser: Optimizer,
    fake: Tensor,
    sentence: Tensor,
    extra: ExtraTerms | None = None,
    also: Optimizer | None = None,
) -> Losses:
    """SSA-GAN Eq. (7): adversarial term plus the weighted terms that ``extra(fake)`` names (lambda_DA *
    DAMSM).

    The discriminator is left as it is. Gradients reach ``sentence`` if it carries any graph; ``also`` is
    then the optimiser of the text encoder behind it (text_tuning: printed). Pass a detached sentence to keep
    the encoder out (code). Returns detached ``g_adversarial``, the extra terms and ``g_loss``.
    """
    with frozen(discriminator):
        losses = {"g_adversarial": hinge_generator(discriminator(fake, sentence))}
        if extra is not None:
            losses.update(extra(fake))
        loss = sum(losses.values(), start=fake.new_zeros(()))
        optimisers = [optimiser] if also is None else [optimiser, also]
        for one in optimisers:
            one.zero_grad(set_to_none=True)
        loss.backward()
        for one in optimisers:
            one.step()
    return {name: value.detach() for name, value in {**losses, "g_loss": loss}.items()}


def one_stage_step(
    generator: nn.Module,
    discriminator: OneWayDiscriminator,
    generator_optimiser: Optimizer,
    discriminator_optimiser: Optimizer,
    real: Tensor,
    noise: Tensor,
    sentence: Tensor,
    penalty: Penalty | None = None,
    extra: ExtraTerms | None = None,
    text_optimiser: Optimizer | None = None,
) -> Losses:
    """One whole iteration; the fakes are generated once and serve both players."""
    penalty = penalty or Penalty()
    fake = generator(noise, sentence)
    losses = discriminator_step(discriminator, discriminator_optimiser, real, fake, sentence, penalty)
    if penalty.step == "code":
        losses |= gradient_penalty_step(discriminator, discriminator_optimiser, real, sentence, penalty)
    return losses | generator_step(discriminator, generator_optimiser, fake, sentence, extra, text_optimiser)
