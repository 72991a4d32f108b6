"""Training of GAN-INT-CLS and of either stage of StackGAN.

One iteration: a step of D, then of G on the same fakes.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.losses.adversarial import (
    interpolated,
    matching_aware_discriminator,
    matching_aware_generator,
)
from t2i_repro.losses.regularisers import conditioning_kl_log_sigma
from t2i_repro.models.gan_int_cls import DcganDiscriminator, DcganGenerator
from t2i_repro.models.stackgan import StackDiscriminator, StageOneGenerator, StageTwoGenerator
from t2i_repro.models.state import frozen
from t2i_repro.training.gan import Losses
from t2i_repro.training.sentence_gan import SentenceGAN

Generator = DcganGenerator | StageOneGenerator | StageTwoGenerator
Discriminator = DcganDiscriminator | StackDiscriminator


@dataclass(frozen=True)
class MatchingAwareObjective:
    """``kl``: weight of the conditioning augmentation's divergence (StackGAN: 2.0). ``interpolation``: beta of GAN-INT,
    None without the term."""

    kl: float = 0.0
    interpolation: float | None = None


def discriminator_step(
    discriminator: Discriminator, optimiser: Optimizer, real: Tensor, wrong: Tensor, fake: Tensor, text: Tensor
) -> Losses:
    """One step of D on GAN-CLS's loss. real, wrong, fake [B, 3, s, s] in [-1, 1]: an image of the sentence
    text [B, text_dim], one of another class, a generated one, which receives no gradient. Returns detached ``d_loss``
    and the mean logits ``d_real``, ``d_mismatched``, ``d_fake``."""
    logits = [discriminator(images, text) for images in (real, wrong, fake.detach())]
    loss = matching_aware_discriminator(*logits)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    names = ("d_real", "d_mismatched", "d_fake")
    return {"d_loss": loss.detach(), **{n: x.detach().mean() for n, x in zip(names, logits, strict=True)}}


def matching_aware_step(
    generator: Generator,
    discriminator: Discriminator,
    generator_optimiser: Optimizer,
    discriminator_optimiser: Optimizer,
    real: Tensor,
    noise: Tensor,
    text: Tensor,
    wrong: Tensor,
    objective: MatchingAwareObjective,
) -> Losses:
    """One full iteration. real, wrong [B, 3, s, s] in [-1, 1]; noise [B, noise_dim]: z, then epsilon of conditioning
    augmentation where the generator has it; text [B, text_dim].

    The generator's terms: ``g_adversarial``; ``g_kl``, weighted, with conditioning augmentation; ``g_interpolated`` for
    GAN-INT, on other noise. Returns them and ``g_loss``, their sum, with the terms of `discriminator_step`, detached.
    """
    drawn = None if isinstance(generator, DcganGenerator) else generator.generate(noise, text)
    fake = generator(noise, text) if drawn is None else drawn.images
    losses = discriminator_step(discriminator, discriminator_optimiser, real, wrong, fake, text)
    with frozen(discriminator):
        terms = {"g_adversarial": matching_aware_generator(discriminator(fake, text))}
        if drawn is not None:
            terms["g_kl"] = objective.kl * conditioning_kl_log_sigma(drawn.mean, drawn.log_sigma)
        if objective.interpolation is not None:
            between = interpolated(text, objective.interpolation)
            logits = discriminator(generator(torch.randn_like(noise), between), between)
            terms["g_interpolated"] = matching_aware_generator(logits)
        loss = sum(terms.values(), start=fake.new_zeros(()))
        generator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        generator_optimiser.step()
    return losses | {name: value.detach() for name, value in {**terms, "g_loss": loss}.items()}


class MatchingAwareGAN(SentenceGAN):
    """Either stage of StackGAN (with ``kl``), and GAN-INT-CLS (with ``interpolation``)."""

    def iterate(self, batch: SentenceBatch, noise: Tensor) -> dict[str, Tensor]:
        return matching_aware_step(
            cast(Generator, self.generator),
            cast(Discriminator, self.discriminator),
            self._optimisers["generator"],
            self._optimisers["discriminator"],
            batch.images,
            noise,
            self.text.of_batch(batch).sentence,
            batch.wrong,
            MatchingAwareObjective(self.system.get("kl", 0.0), self.system.get("interpolation")),
        )
