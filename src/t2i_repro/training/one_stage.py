"""Training of DF-GAN (2020) and SSA-GAN.

One iteration, as released: hinge step of D, a second step of D on MA-GP, step of G on the same fakes. Image i is
mismatched with sentence i + 1, so a batch of B gives B - 1 mismatched pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from t2i_repro.core.choices import FORMS, TEXT_MODES, Form, check_choice
from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch
from t2i_repro.errors import ReproError
from t2i_repro.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    matching_aware_gradient_penalty,
)
from t2i_repro.losses.matching import DamsmLoss, damsm_loss
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.families.one_stage import FAMILY
from t2i_repro.models.one_stage import OneStageGenerator, OneWayDiscriminator
from t2i_repro.models.state import frozen
from t2i_repro.training.gan import GAN, GanInputs, Losses, averages_of, optimiser_of

ExtraTerms = Callable[[Tensor], Mapping[str, Tensor]]

CONSTANTS = FAMILY.constants


@dataclass(frozen=True)
class Penalty:
    """MA-GP of SSA-GAN Eq. (6): lambda_MA, p, the norm (``ma_gp``) and where it is applied (``ma_gp_step``).

    ``step`` ``code``: an optimiser step of its own after the hinge step; ``printed``: one loss, one step.
    """

    weight: float = CONSTANTS["ma_gp_weight"]
    power: float = CONSTANTS["ma_gp_power"]
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
    logits_real = discriminator.logits(features, sentence)
    logits_mismatched = discriminator.logits(features[:-1], sentence[1:])
    logits_fake = discriminator.logits(discriminator.features(fake), sentence)
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
    """The released code's second step of D in an iteration, on MA-GP of matching pairs alone.

    real [B, 3, s, s] in [-1, 1], sentence [B, text_dim]; neither receives a gradient. Returns detached ``ma_gp``.
    """
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
    """One full iteration; the fakes are generated once and serve both networks.

    real [B, 3, s, s] in [-1, 1], noise [B, noise_dim], sentence [B, text_dim]. ``extra``, ``text_optimiser``: see
    `generator_step`. Returns the detached scalars of all steps by name.
    """
    penalty = penalty or Penalty()
    fake = generator(noise, sentence)
    losses = discriminator_step(discriminator, discriminator_optimiser, real, fake, sentence, penalty)
    if penalty.step == "code":
        losses |= gradient_penalty_step(discriminator, discriminator_optimiser, real, sentence, penalty)
    return losses | generator_step(discriminator, generator_optimiser, fake, sentence, extra, text_optimiser)


class OneStageGAN(GAN):
    """A one-stage system with the encoders of a DAMSM.

    ``system.text``:
    ``frozen``: the text encoder stays in eval mode.
    ``tuned``: it trains too, with dropout, as ``switches.text_tuning`` says.
      ``code``: G and D see its output detached; it learns from the DAMSM loss on *real* images alone, with the image
      encoder's two projections, in an optimiser of their own.
      ``printed`` (Sec. 3.1, "jointly"): the generator's loss reaches it through the sentence and the words.
    """

    def __init__(self, inputs: GanInputs) -> None:
        spec, device = inputs.spec, inputs.device
        system, switches = spec["system"], spec["system"]["switches"]
        check_choice("system.text", system["text"], TEXT_MODES)
        check_choice("system.switches.text_tuning", switches["text_tuning"], FORMS)
        self.tuned = switches["text_tuning"] if system["text"] == "tuned" else None
        self.matching, self.root = system["matching"], switches["damsm_root"]
        self.penalty = Penalty(form=switches["ma_gp"], step=switches["ma_gp_step"])
        self.device, self._preview = device, inputs.preview
        text_encoder = cast(DamsmTextEncoder, inputs.text.encoder)
        image_encoder = None
        if needs_image_encoder(system):
            image_encoder = cast(DamsmImageEncoder | None, inputs.text.image_encoder())
            if image_encoder is None:
                raise ReproError("system.matching.damsm, system.text: this system needs the image encoder of a DAMSM")

        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        generator = build_generator(system, spec["image_size"], spec["base_size"], text_encoder.dim)
        discriminator = build_discriminator(system, spec["image_size"], text_encoder.dim)
        self.generator: OneStageGenerator = cast(OneStageGenerator, generator.to(device))
        self.discriminator = cast(OneWayDiscriminator, discriminator.to(device))
        self.text_encoder = text_encoder.to(device).requires_grad_(self.tuned is not None)
        self.text_encoder.train(self.tuned is not None)
        self.image_encoder = None if image_encoder is None else image_encoder.to(device)
        self._optimisers = {
            "generator": optimiser_of(self.generator.parameters(), spec, "lr_g"),
            "discriminator": optimiser_of(self.discriminator.parameters(), spec, "lr_d"),
        }
        if self.image_encoder is not None:
            self.image_encoder.requires_grad_(False)
            self.image_encoder.train(self.tuned == "code")
        if self.tuned is not None:
            learning = list(self.text_encoder.parameters())
            if self.tuned == "code" and self.image_encoder is not None:
                learning += self.image_encoder.head_parameters()
                for head in self.image_encoder.head_parameters():
                    head.requires_grad_(True)
            self._optimisers["text"] = Adam(learning, CONSTANTS["text_lr"], CONSTANTS["text_betas"])
        self._averages = averages_of(self.generator, spec)

    def modules(self) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        if self.tuned is not None:
            found["text_encoder"] = self.text_encoder
        if self.tuned == "code" and self.image_encoder is not None:
            found["image_encoder"] = self.image_encoder
        return found

    def weights(self) -> dict[str, dict[str, Tensor]]:
        tuned = {} if self.tuned is None else {"text_encoder": self.text_encoder.state_dict()}
        return {**super().weights(), **tuned}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        noise = self.generator.draw_noise(len(batch.images), self.device)
        with torch.set_grad_enabled(self.tuned is not None):
            words, sentence = self.text_encoder(batch.tokens, batch.lengths)
        joint = self.tuned == "printed"
        text = (words, sentence) if joint else (words.detach(), sentence.detach())
        losses = one_stage_step(
            self.generator,
            self.discriminator,
            self._optimisers["generator"],
            self._optimisers["discriminator"],
            batch.images,
            noise,
            text[1],
            self.penalty,
            extra=lambda fake: self.matching_terms(fake, *text, batch),
            text_optimiser=self._optimisers["text"] if joint else None,
        )
        if self.tuned == "code":
            losses["text_damsm"] = self.tune_text(words, sentence, batch)
        return losses

    def damsm(self, images: Tensor, words: Tensor, sentence: Tensor, batch: Batch) -> DamsmLoss:
        """Every term of DAMSM's loss: images [B, 3, s, s] in [-1, 1], words [B, D, T], sentence [B, D]."""
        assert self.image_encoder is not None
        gammas = (self.matching["gamma1"], self.matching["gamma2"], self.matching["gamma3"])
        regions, embedding = self.image_encoder(images)
        return damsm_loss(regions, embedding, words, sentence, batch.lengths, batch.class_ids, *gammas, self.root)

    def matching_terms(self, fake: Tensor, words: Tensor, sentence: Tensor, batch: Batch) -> dict[str, Tensor]:
        """lambda_DA * L_DAMSM of SSA-GAN Eq. (7), on generated images [B, 3, s, s], words [B, D, T] and sentence
        [B, D]: a scalar with a graph by name, or nothing if its weight is 0. The image encoder does not train on it."""
        if self.matching["damsm"] == 0:
            return {}
        assert self.image_encoder is not None
        with frozen(self.image_encoder):
            loss = self.damsm(fake, words, sentence, batch).total
        return {"g_damsm": self.matching["damsm"] * loss}

    def tune_text(self, words: Tensor, sentence: Tensor, batch: Batch) -> Tensor:
        """One step of the text encoder and the image projections on the real images of the batch (released
        fine-tuning). words [B, D, T] and sentence [B, D] carry the encoder's graph. Returns the detached loss."""
        loss = self.damsm(batch.images, words, sentence, batch).total
        self._optimisers["text"].zero_grad(set_to_none=True)
        loss.backward()
        self._optimisers["text"].step()
        return loss.detach()


def needs_image_encoder(system: dict[str, Any]) -> bool:
    """Whether a system's training uses the image encoder of a DAMSM."""
    tuned_as_released = system["text"] == "tuned" and system["switches"]["text_tuning"] == "code"
    return system["matching"]["damsm"] != 0 or tuned_as_released
