"""Training of the multi-stage systems: StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN and ICSD-GAN.

One iteration, as released: one generator pass; a step of each discriminator on its stage's images; a step of the
generator on the same images against the updated discriminators. Keys of a system that are read here:

    adversarial: {form: averaged, pairing: shift}   # forms: losses/adversarial.py; pairing: shift | other-class
    kl: 1.0                                         # weight of L_CA
    similarity: 1.0                                 # lambda of ICSD-GAN Eq. (3); needs the similarity heads
    redundancy: 0.5                                 # lambda_2 of MSMT-GAN Eq. (19)
    distillation: [[0, 2], [1, 2]]                  # (student, teacher) stages of ICSD-GAN Eq. (9), weight 1
    gammas: {gamma1: 4.0, gamma2: 5.0, gamma3: 10.0}
    stages: [{matching: {sentence: 5.0, word: 5.0}, ...}]   # weights of DAMSM's or ITM's losses on a stage's images
    switches: {mean_word: code, itm_gamma: code, damsm_root: code}
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from t2i_repro.core.choices import (
    ADVERSARIAL_FORMS,
    FORMS,
    LOSS_SWITCHES,
    PAIRINGS,
    AdversarialForm,
    Form,
    check_choice,
)
from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch
from t2i_repro.errors import ReproError
from t2i_repro.losses.adversarial import (
    DiscriminatorLogits,
    bce_discriminator,
    bce_generator,
    hinge_discriminator,
    hinge_generator,
)
from t2i_repro.losses.matching import damsm_sentence, damsm_words, itm_sentence, itm_words
from t2i_repro.losses.regularisers import conditioning_kl, cross_sample_distillation, redundancy
from t2i_repro.models.base import Text
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.layers import image_pyramid
from t2i_repro.models.multi_stage import MultiStageGenerator, MultiStageOutput
from t2i_repro.models.stage_discriminators import StageDiscriminator
from t2i_repro.models.state import frozen
from t2i_repro.models.text_encoder import MatchingLoss, text_encoders
from t2i_repro.training.gan import GAN, GanInputs, Losses, averages_of, optimiser_of


@dataclass(frozen=True)
class LossConfig:
    """The losses of a system; ``of`` reads them from its configuration.

    ``matching``: weights (sentence, word) by stage; ``matching_loss``: DAMSM's or ITM's.
    """

    matching: tuple[tuple[float, float], ...]
    matching_loss: MatchingLoss = "damsm"
    form: AdversarialForm = "averaged"
    pairing: str = "shift"
    kl: float = 1.0
    similarity: float = 0.0
    redundancy: float = 0.0
    distillation: tuple[tuple[int, int], ...] = ()
    gammas: tuple[float, float, float] = (4.0, 5.0, 10.0)
    mean_word: Form = "code"
    damsm_root: Form = "code"
    itm_gamma: Form = "code"

    def __post_init__(self) -> None:
        check_choice("adversarial.form", self.form, ADVERSARIAL_FORMS)
        check_choice("adversarial.pairing", self.pairing, PAIRINGS)
        for name in LOSS_SWITCHES:
            check_choice(f"switches.{name}", getattr(self, name), FORMS)
        for pair in self.distillation:
            if not all(0 <= stage < len(self.matching) for stage in pair):
                raise ReproError(f"distillation: found {list(pair)}, but there are {len(self.matching)} stages from 0")

    @classmethod
    def of(cls, system: Mapping[str, Any]) -> "LossConfig":
        matching = [stage.get("matching", {}) for stage in system["stages"]]
        options = {name: system[name] for name in ("similarity", "redundancy") if name in system}
        if "gammas" in system:
            options["gammas"] = tuple(system["gammas"][name] for name in ("gamma1", "gamma2", "gamma3"))
        switches = {name: value for name, value in system.get("switches", {}).items() if name in LOSS_SWITCHES}
        return cls(
            tuple((float(m.get("sentence", 0.0)), float(m.get("word", 0.0))) for m in matching),
            matching_loss=text_encoders()[system["encoder"]].matching_loss,
            kl=system["kl"],
            distillation=tuple((s, t) for s, t in system.get("distillation", [])),
            **system["adversarial"],
            **options,
            **switches,
        )

    @property
    def needs_image_encoder(self) -> bool:
        """Whether any stage has a matching loss, which needs an image encoder."""
        return any(sum(weights) > 0 for weights in self.matching)


def wrong_pairs(batch: int, class_ids: Tensor | None, pairing: str) -> tuple[Tensor, Tensor]:
    """Row indices of images and of texts that do not match them.

    ``shift`` (AttnGAN, DM-GAN, GR-GAN): image i with text i + 1, B - 1 pairs, whatever their classes.
    ``other-class``: text i with the next image of the batch, cyclically, whose class differs; where all are of one
    class, with the next image.
    """
    if pairing == "shift" or class_ids is None:
        return torch.arange(batch - 1), torch.arange(1, batch)
    ids = class_ids.tolist()
    images = []
    for row in range(batch):
        others = [(row + step) % batch for step in range(1, batch)]
        images.append(next((other for other in others if ids[other] != ids[row]), others[0]))
    return torch.tensor(images), torch.arange(batch)


def condition_of(discriminator: StageDiscriminator, text: Text, mu: Tensor, form: Form) -> Tensor | None:
    """Input [B, D] of the conditional head of a stage; None if it has none."""
    if discriminator.condition == "mean-word":
        return text.mean_word(form)
    return {"sentence": text.sentence, "code": mu, None: None}[discriminator.condition]


def stage_discriminator_step(
    discriminator: StageDiscriminator,
    optimiser: Optimizer,
    real: Tensor,
    fake: Tensor,
    text: Text,
    mu: Tensor,
    config: LossConfig,
    class_ids: Tensor | None = None,
) -> Tensor:
    """One step of one stage's discriminator; ``fake`` and ``mu`` receive no gradient. Returns the detached loss."""
    if len(real) < 2:
        raise ReproError("batch: found 1, expected at least 2, for the mismatched pairs")
    condition = condition_of(discriminator, text, mu.detach(), config.mean_word)
    images, texts = wrong_pairs(len(real), class_ids, config.pairing)
    real_features = discriminator.features(real)
    fake_features = discriminator.features(fake.detach())
    logits = DiscriminatorLogits()
    if condition is not None:
        logits = logits._replace(
            real=discriminator.pair_logits(real_features, condition),
            fake=discriminator.pair_logits(fake_features, condition),
        )
        if config.form in ("averaged", "summed"):
            wrong = discriminator.pair_logits(real_features[images], condition[texts])
            logits = logits._replace(wrong=wrong)
    if discriminator.has_unconditional:
        logits = logits._replace(
            real_images=discriminator.image_logits(real_features),
            fake_images=discriminator.image_logits(fake_features),
            wrong_images=discriminator.image_logits(real_features[images]) if config.form == "summed" else None,
        )
    loss = bce_discriminator(logits, config.form)
    if discriminator.has_similarity:
        loss = loss + config.similarity * hinge_discriminator(
            discriminator.similarity(real_features, text.sentence),
            discriminator.similarity(real_features[images], text.sentence[texts]),
            discriminator.similarity(fake_features, text.sentence),
        )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach()


def matching_terms(
    image_encoder: nn.Module, images: Sequence[Tensor], text: Text, class_ids: Tensor | None, config: LossConfig
) -> Losses:
    """Weighted matching losses of every stage that has one: DAMSM's, or ITM's (GR-GAN Eq. 4, 7).

    ``image_encoder(images)`` returns regions [B, D, h, w] and embeddings [B, D] in the space of ``text``.
    """
    losses: Losses = {}
    for stage, (fake, (sentence, word)) in enumerate(zip(images, config.matching, strict=True)):
        if sentence == 0 and word == 0:
            continue
        regions, embedding = image_encoder(fake)
        total = fake.new_zeros(())
        if word > 0:
            pair = (regions, text.words, text.lengths, class_ids, *config.gammas)
            if config.matching_loss == "itm":
                total = total + word * sum(itm_words(*pair, config.itm_gamma))
            else:
                total = total + word * sum(damsm_words(*pair, config.damsm_root)[:2])
        if sentence > 0:
            both = (embedding, text.sentence, class_ids, config.gammas[2])
            scores = itm_sentence(*both, config.itm_gamma) if config.matching_loss == "itm" else damsm_sentence(*both)
            total = total + sentence * sum(scores)
        losses[f"g_matching_{stage}"] = total
    return losses


def generator_losses(
    discriminators: Sequence[StageDiscriminator],
    outputs: MultiStageOutput,
    text: Text,
    config: LossConfig,
    image_encoder: nn.Module | None = None,
    class_ids: Tensor | None = None,
) -> Losses:
    """Every weighted term of the generator's loss by name; their sum is minimised."""
    losses: Losses = {}
    mu, logvar = outputs.condition.mu, outputs.condition.logvar
    features = []
    for stage, (discriminator, images) in enumerate(zip(discriminators, outputs.images, strict=True)):
        features.append(discriminator.features(images))
        condition = condition_of(discriminator, text, mu, config.mean_word)
        losses[f"g_adversarial_{stage}"] = bce_generator(
            None if condition is None else discriminator.pair_logits(features[-1], condition),
            discriminator.image_logits(features[-1]) if discriminator.has_unconditional else None,
            config.form,
        )
        if discriminator.has_similarity:
            agreed = discriminator.similarity(features[-1], text.sentence)
            losses[f"g_similarity_{stage}"] = config.similarity * hinge_generator(agreed)
    if config.needs_image_encoder:
        if image_encoder is None:
            raise ReproError("stages.matching: this system needs the image encoder of a DAMSM or an ITM")
        losses |= matching_terms(image_encoder, outputs.images, text, class_ids, config)
    if config.redundancy > 0:
        for stage, fused in enumerate(outputs.fused, 1):
            if len(fused.refinements) > 1:
                losses[f"g_redundancy_{stage}"] = config.redundancy * redundancy(fused.refinements)
    for student, teacher in config.distillation:
        losses[f"g_distillation_{student}_{teacher}"] = cross_sample_distillation(features[student], features[teacher])
    losses["g_kl"] = config.kl * conditioning_kl(mu, logvar)
    return losses


def generator_step(
    discriminators: Sequence[StageDiscriminator],
    optimiser: Optimizer,
    outputs: MultiStageOutput,
    text: Text,
    config: LossConfig,
    image_encoder: nn.Module | None = None,
    class_ids: Tensor | None = None,
) -> Losses:
    """The generator's step. Gradients flow through discriminators and encoder, whose parameters do not change.

    BatchNorm statistics and spectral vectors of the discriminators are updated, as in the released code.
    Returns every detached term and their sum ``g_loss``.
    """
    with ExitStack() as stack:
        for network in [*discriminators, *([] if image_encoder is None else [image_encoder])]:
            stack.enter_context(frozen(network))
        losses = generator_losses(discriminators, outputs, text, config, image_encoder, class_ids)
        terms = list(losses.values())
        loss = sum(terms[1:], terms[0])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return {name: value.detach() for name, value in {**losses, "g_loss": loss}.items()}


def multi_stage_step(
    generator: MultiStageGenerator,
    discriminators: Sequence[StageDiscriminator],
    generator_optimiser: Optimizer,
    discriminator_optimisers: Sequence[Optimizer],
    real: Tensor,
    noise: Tensor,
    text: Text,
    config: LossConfig,
    image_encoder: nn.Module | None = None,
    class_ids: Tensor | None = None,
) -> Losses:
    """One full iteration. real [B, 3, s, s] at the last stage's size, in [-1, 1]."""
    pyramid = image_pyramid(real, generator.sizes)
    outputs = generator.stages(noise, text.sentence, text.words, text.padding)
    mu = outputs.condition.mu
    losses: Losses = {}
    stages = zip(discriminators, discriminator_optimisers, pyramid, outputs.images, strict=True)
    for stage, (discriminator, optimiser, images, fake) in enumerate(stages):
        losses[f"d_loss_{stage}"] = stage_discriminator_step(
            discriminator, optimiser, images, fake, text, mu, config, class_ids
        )
        optimiser.zero_grad(set_to_none=True)  # 0.8 GB for AttnGAN on COCO that the generator's step does not need
    return losses | generator_step(discriminators, generator_optimiser, outputs, text, config, image_encoder, class_ids)


class MultiStageGAN(GAN):
    """A multi-stage generator with one discriminator per stage, each with an optimiser of its own.

    The text encoder and the image encoder of the matching losses are frozen, in eval mode.
    """

    def __init__(self, inputs: GanInputs) -> None:
        spec, self.text, self.device, self._preview = inputs.spec, inputs.text, inputs.device, inputs.preview
        system = spec["system"]
        self.config = LossConfig.of(system)
        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        generator = build_generator(system, spec["image_size"], spec["base_size"], self.text.dim)
        self.discriminators = cast(nn.ModuleList, build_discriminator(system, spec["image_size"], self.text.dim))
        self.generator: MultiStageGenerator = cast(MultiStageGenerator, generator.to(self.device))
        self.discriminators.to(self.device)
        self.text.encoder.requires_grad_(False).eval()
        self.image_encoder = self.text.image_encoder() if self.config.needs_image_encoder else None
        if self.image_encoder is None and self.config.needs_image_encoder:
            raise ReproError(f"stages.matching: encoder {system['encoder']} has no image encoder; set the weights to 0")
        if self.image_encoder is not None:
            self.image_encoder.to(self.device).requires_grad_(False).eval()
        self._optimisers = {"generator": optimiser_of(generator.parameters(), spec, "lr_g")}
        for stage, network in enumerate(self.discriminators):
            self._optimisers[f"discriminator_{stage}"] = optimiser_of(network.parameters(), spec, "lr_d")
        self._averages = averages_of(self.generator, spec)

    def modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminators": self.discriminators}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        discriminators = cast(list[StageDiscriminator], list(self.discriminators))
        return multi_stage_step(
            self.generator,
            discriminators,
            self._optimisers["generator"],
            [self._optimisers[f"discriminator_{stage}"] for stage in range(len(discriminators))],
            batch.images,
            self.generator.draw_noise(len(batch.images), self.device),
            self.text.of_batch(batch),
            self.config,
            self.image_encoder,
            batch.class_ids,
        )
