"""One iteration of the multi-stage systems: the updates alone, on networks, optimisers and tensors.

As released: one generator pass; a step of each discriminator on its stage's images; a step of the generator on the
same images against the discriminators just updated. Keys of a system that are read here:

    adversarial: {form: averaged, pairing: shift}   # forms: objectives.conditional; pairing: shift | other-class
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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.losses.conditional import (
    ADVERSARIAL_FORMS,
    AdversarialForm,
    Verdicts,
    bce_discriminator,
    bce_generator,
)
from t2i_repro.losses.conditioning import conditioning_kl
from t2i_repro.losses.distillation import cross_sample_distillation
from t2i_repro.losses.itm import itm_sentence, itm_words
from t2i_repro.losses.matching import damsm_sentence, damsm_words
from t2i_repro.losses.redundancy import redundancy
from t2i_repro.losses.similarity import similarity_discriminator, similarity_generator
from t2i_repro.models.base import Text
from t2i_repro.models.multi_stage import MultiStageGenerator, Painted
from t2i_repro.models.stage_discriminators import StageDiscriminator
from t2i_repro.models.state import frozen
from t2i_repro.training.one_stage_step import Losses

PAIRINGS = ("shift", "other-class")


@dataclass(frozen=True)
class Recipe:
    """The losses of a system; ``of`` reads them from its description.

    ``matching``: weights (sentence, word) by stage; ``encoder``: whose losses these are.
    """

    matching: tuple[tuple[float, float], ...]
    encoder: str = "damsm"
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
        for name in ("mean_word", "damsm_root", "itm_gamma"):
            check_choice(f"switches.{name}", getattr(self, name), FORMS)
        for pair in self.distillation:
            if not all(0 <= stage < len(self.matching) for stage in pair):
                raise ReproError(f"distillation: found {list(pair)}, but there are {len(self.matching)} stages from 0")

    @classmethod
    def of(cls, system: Mapping[str, Any]) -> "Recipe":
        matching = [stage.get("matching", {}) for stage in system["stages"]]
        gammas = system.get("gammas", {})
        switches = system.get("switches", {})
        names = ("mean_word", "damsm_root", "itm_gamma")
        return cls(
            tuple((float(m.get("sentence", 0.0)), float(m.get("word", 0.0))) for m in matching),
            encoder=system["encoder"],
            kl=system.get("kl", 1.0),
            similarity=system.get("similarity", 0.0),
            redundancy=system.get("redundancy", 0.0),
            distillation=tuple((s, t) for s, t in system.get("distillation", [])),
            gammas=(gammas.get("gamma1", 4.0), gammas.get("gamma2", 5.0), gammas.get("gamma3", 10.0)),
            **system.get("adversarial", {}),
            **{name: switches[name] for name in names if name in switches},
        )

    @property
    def looks_at_images(self) -> bool:
        """Whether any stage has a matching loss, which needs an image encoder."""
        return any(sum(weights) > 0 for weights in self.matching)


def image_pyramid(images: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Real images [B, 3, s, s] at each stage's size: bilinear with antialiasing, as PIL does it, from the full crop."""
    return [
        images
        if images.shape[-1] == size
        else F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
        for size in sizes
    ]


def wrong_pairs(batch: int, class_ids: Tensor | None, pairing: str) -> tuple[Tensor, Tensor]:
    """Rows of images and of the texts that are not theirs.

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


def shown_condition(discriminator: StageDiscriminator, text: Text, mu: Tensor, form: Form) -> Tensor | None:
    """What the conditional head of a stage sees, [B, D]; None without such a head."""
    if discriminator.shown == "mean-word":
        return text.mean_word(form)
    return {"sentence": text.sentence, "code": mu, None: None}[discriminator.shown]


def stage_discriminator_step(
    discriminator: StageDiscriminator,
    optimiser: Optimizer,
    real: Tensor,
    fake: Tensor,
    text: Text,
    mu: Tensor,
    recipe: Recipe,
    class_ids: Tensor | None = None,
) -> Tensor:
    """One step of one stage's discriminator; ``fake`` and ``mu`` receive no gradient. Returns the detached loss."""
    if len(real) < 2:
        raise ReproError("batch: found 1, expected at least 2, for the mismatched pairs")
    condition = shown_condition(discriminator, text, mu.detach(), recipe.mean_word)
    images, texts = wrong_pairs(len(real), class_ids, recipe.pairing)
    real_features = discriminator.features(real)
    fake_features = discriminator.features(fake.detach())
    verdicts = Verdicts()
    if condition is not None:
        verdicts = verdicts._replace(
            real=discriminator.judge_pair(real_features, condition),
            fake=discriminator.judge_pair(fake_features, condition),
        )
        if recipe.form in ("averaged", "summed"):
            wrong = discriminator.judge_pair(real_features[images], condition[texts])
            verdicts = verdicts._replace(wrong=wrong)
    if discriminator.has_unconditional:
        verdicts = verdicts._replace(
            real_images=discriminator.judge_image(real_features),
            fake_images=discriminator.judge_image(fake_features),
            wrong_images=discriminator.judge_image(real_features[images]) if recipe.form == "summed" else None,
        )
    loss = bce_discriminator(verdicts, recipe.form)
    if discriminator.has_similarity:
        loss = loss + recipe.similarity * similarity_discriminator(
            discriminator.similarity(real_features, text.sentence),
            discriminator.similarity(real_features[images], text.sentence[texts]),
            discriminator.similarity(fake_features, text.sentence),
        )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach()


def matching_terms(
    image_encoder: nn.Module, images: Sequence[Tensor], text: Text, class_ids: Tensor | None, recipe: Recipe
) -> Losses:
    """Weighted matching losses of every stage that has one: DAMSM's, or ITM's (GR-GAN Eq. 4, 7).

    ``image_encoder(images)`` gives regions [B, D, h, w] and code [B, D] in the space of ``text``.
    """
    losses: Losses = {}
    for stage, (painted, (sentence, word)) in enumerate(zip(images, recipe.matching, strict=True)):
        if sentence == 0 and word == 0:
            continue
        regions, code = image_encoder(painted)
        total = painted.new_zeros(())
        if word > 0:
            pair = (regions, text.words, text.lengths, class_ids, *recipe.gammas)
            if recipe.encoder == "itm":
                total = total + word * sum(itm_words(*pair, recipe.itm_gamma))
            else:
                total = total + word * sum(damsm_words(*pair, recipe.damsm_root)[:2])
        if sentence > 0:
            both = (code, text.sentence, class_ids, recipe.gammas[2])
            scores = itm_sentence(*both, recipe.itm_gamma) if recipe.encoder == "itm" else damsm_sentence(*both)
            total = total + sentence * sum(scores)
        losses[f"g_matching_{stage}"] = total
    return losses


def generator_losses(
    discriminators: Sequence[StageDiscriminator],
    painted: Painted,
    text: Text,
    recipe: Recipe,
    image_encoder: nn.Module | None = None,
    class_ids: Tensor | None = None,
) -> Losses:
    """Every weighted term of the generator's loss by name; their sum is minimised."""
    losses: Losses = {}
    mu, logvar = painted.condition.mu, painted.condition.logvar
    features = []
    for stage, (discriminator, images) in enumerate(zip(discriminators, painted.images, strict=True)):
        features.append(discriminator.features(images))
        condition = shown_condition(discriminator, text, mu, recipe.mean_word)
        losses[f"g_adversarial_{stage}"] = bce_generator(
            None if condition is None else discriminator.judge_pair(features[-1], condition),
            discriminator.judge_image(features[-1]) if discriminator.has_unconditional else None,
            recipe.form,
        )
        if discriminator.has_similarity:
            agreed = discriminator.similarity(features[-1], text.sentence)
            losses[f"g_similarity_{stage}"] = recipe.similarity * similarity_generator(agreed)
    if recipe.looks_at_images:
        if image_encoder is None:
            raise ReproError("stages.matching: this system needs the image encoder of a DAMSM or an ITM")
        losses |= matching_terms(image_encoder, painted.images, text, class_ids, recipe)
    if recipe.redundancy > 0:
        for stage, fused in enumerate(painted.fused, 1):
            if len(fused.refinements) > 1:
                losses[f"g_redundancy_{stage}"] = recipe.redundancy * redundancy(fused.refinements)
    for student, teacher in recipe.distillation:
        losses[f"g_distillation_{student}_{teacher}"] = cross_sample_distillation(features[student], features[teacher])
    losses["g_kl"] = recipe.kl * conditioning_kl(mu, logvar)
    return losses


def generator_step(
    discriminators: Sequence[StageDiscriminator],
    optimiser: Optimizer,
    painted: Painted,
    text: Text,
    recipe: Recipe,
    image_encoder: nn.Module | None = None,
    class_ids: Tensor | None = None,
) -> Losses:
    """The generator's step. Discriminators and encoder hand gradients on and keep their parameters.

    BatchNorm statistics and spectral vectors of the discriminators move, as they do in the released code.
    Returns every detached term and their sum ``g_loss``.
    """
    with ExitStack() as stack:
        for network in [*discriminators, *([] if image_encoder is None else [image_encoder])]:
            stack.enter_context(frozen(network))
        losses = generator_losses(discriminators, painted, text, recipe, image_encoder, class_ids)
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
    recipe: Recipe,
    image_encoder: nn.Module | None = None,
    class_ids: Tensor | None = None,
) -> Losses:
    """One whole iteration. real [B, 3, s, s] at the last stage's size, in [-1, 1]."""
    pyramid = image_pyramid(real, generator.sizes)
    painted = generator.paint(noise, text.sentence, text.words, text.padding)
    mu = painted.condition.mu
    losses: Losses = {}
    players = zip(discriminators, discriminator_optimisers, pyramid, painted.images, strict=True)
    for stage, (discriminator, optimiser, images, fake) in enumerate(players):
        losses[f"d_loss_{stage}"] = stage_discriminator_step(
            discriminator, optimiser, images, fake, text, mu, recipe, class_ids
        )
        optimiser.zero_grad(set_to_none=True)  # 0.8 GB of AttnGAN on COCO that the generator's step has no use for
    return losses | generator_step(discriminators, generator_optimiser, painted, text, recipe, image_encoder, class_ids)
