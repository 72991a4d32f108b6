"""Training of HDGAN and its ablations.

One iteration: all discriminators, then the generator, on the same fakes. In the discriminator step every D_i sees three
batches one after the other (real, mismatched, generated), so that batch normalisation treats them separately, as
released.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.losses.adversarial import least_squares_generator, least_squares_image, least_squares_pair
from t2i_repro.losses.regularisers import conditioning_kl_log_sigma
from t2i_repro.models.layers import image_pyramid
from t2i_repro.models.nested import ExtendedGenerator, NestedDiscriminators, NestedGenerator, SideOutputs
from t2i_repro.models.state import frozen
from t2i_repro.training.gan import Losses
from t2i_repro.training.sentence_gan import SentenceGAN


@dataclass(frozen=True)
class NestedObjective:
    """The choices that Eq. (4) leaves open (``docs/divergences.md``).

    ``kl``: weight of the conditioning augmentation's divergence. ``l1``: weight of the distance to the frozen
    generator's image, in the 512 px variant. ``wrong_image``: ``code`` lets the image loss see a wrong image as a
    real one. ``pair_weights``: ``code`` halves the two negative terms.
    """

    kl: float = 4.0
    l1: float = 1.0
    wrong_image: Form = "code"
    pair_weights: Form = "code"

    def __post_init__(self) -> None:
        check_choice("wrong_image", self.wrong_image, FORMS)
        check_choice("pair_weights", self.pair_weights, FORMS)


@dataclass(frozen=True)
class Mismatch:
    """Pairs that are real but do not match, at every supervised scale, small to large."""

    images: Sequence[Tensor]
    text: Tensor


def mismatch(form: Form, real: Sequence[Tensor], text: Tensor, wrong: Sequence[Tensor] | None = None) -> Mismatch:
    """``code``: the ``wrong`` images with the right text. ``printed``: the right images, each with the next text of
    the batch (the draft does not say which)."""
    check_choice("mismatch", form, FORMS)
    if form == "printed":
        return Mismatch(real, text.roll(-1, dims=0))
    assert wrong is not None, "wrong images are needed unless switches.mismatch is 'printed'"
    return Mismatch(wrong, text)


def discriminator_losses(
    discriminators: NestedDiscriminators,
    real: Sequence[Tensor],
    fake: Sequence[Tensor],
    text: Tensor,
    other: Mismatch,
    objective: NestedObjective,
) -> Losses:
    """Terms of Eq. (4) by scale: ``d_pair_<size>``, ``d_image_<size>``."""
    passes = zip(
        fake,
        discriminators(real, text),
        discriminators(other.images, other.text),
        discriminators([image.detach() for image in fake], text),
        strict=True,
    )
    losses: Losses = {}
    for image, right, wrong, generated in passes:
        size = image.shape[-1]
        losses[f"d_pair_{size}"] = least_squares_pair(right.pair, wrong.pair, generated.pair, objective.pair_weights)
        if right.image is not None and generated.image is not None:
            also_real = wrong.image if objective.wrong_image == "code" else None
            losses[f"d_image_{size}"] = least_squares_image(right.image, also_real, generated.image)
    return losses


def generator_losses(
    discriminators: NestedDiscriminators, outputs: SideOutputs, text: Tensor, objective: NestedObjective
) -> Losses:
    """The generator's terms of Eq. (4), ``g_pair_<size>`` and ``g_image_<size>``, and its regulariser: ``g_kl``
    (Sec. 3.3) or, on top of a frozen generator, ``g_l1``. Each is already weighted."""
    losses: Losses = {}
    for image, logits in zip(outputs.images, discriminators(outputs.images, text), strict=True):
        size = image.shape[-1]
        losses[f"g_pair_{size}"] = least_squares_generator(logits.pair)
        if logits.image is not None:
            losses[f"g_image_{size}"] = least_squares_generator(logits.image)
    if outputs.mean is not None and outputs.log_sigma is not None:
        losses["g_kl"] = objective.kl * conditioning_kl_log_sigma(outputs.mean, outputs.log_sigma)
    if outputs.base is not None:
        losses["g_l1"] = objective.l1 * F.l1_loss(outputs.images[-1], outputs.base)
    return losses


def _update(losses: Losses, total: str, optimiser: Optimizer) -> Losses:
    loss = sum(losses.values(), start=next(iter(losses.values())).new_zeros(()))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return {name: value.detach() for name, value in {**losses, total: loss}.items()}


def nested_step(
    generator: NestedGenerator | ExtendedGenerator,
    discriminators: NestedDiscriminators,
    generator_optimiser: Optimizer,
    discriminator_optimiser: Optimizer,
    real: Tensor,
    noise: Tensor,
    text: Tensor,
    wrong: Tensor | None = None,
    objective: NestedObjective | None = None,
    mismatching: Form = "code",
) -> Losses:
    """One full iteration. real, wrong [B, 3, S, S], resized here to the smaller scales; noise [B, noise_dim];
    text [B, text_dim]. ``wrong`` may be None where ``mismatching`` is ``printed``. Returns detached, weighted terms and
    their sums ``d_loss`` and ``g_loss``."""
    objective = objective or NestedObjective()
    outputs = generator.side_outputs(noise, text)
    sizes = [image.shape[-1] for image in outputs.images]
    reals = image_pyramid(real, sizes)
    other = mismatch(mismatching, reals, text, None if wrong is None else image_pyramid(wrong, sizes))
    return nested_step_at_scales(
        discriminators, generator_optimiser, discriminator_optimiser, reals, text, other, outputs, objective
    )


def nested_step_at_scales(
    discriminators: NestedDiscriminators,
    generator_optimiser: Optimizer,
    discriminator_optimiser: Optimizer,
    real: Sequence[Tensor],
    text: Tensor,
    other: Mismatch,
    outputs: SideOutputs,
    objective: NestedObjective,
) -> Losses:
    """The two updates, on images that already have the sizes of the supervised scales."""
    d_losses = discriminator_losses(discriminators, real, outputs.images, text, other, objective)
    losses = _update(d_losses, "d_loss", discriminator_optimiser)
    with frozen(discriminators):
        g_losses = generator_losses(discriminators, outputs, text, objective)
        return losses | _update(g_losses, "g_loss", generator_optimiser)


class NestedGAN(SentenceGAN):
    """HDGAN and its ablations: Eq. (4) at every supervised scale."""

    def iterate(self, batch: SentenceBatch, noise: Tensor) -> dict[str, Tensor]:
        switches, extension = self.system["switches"], self.system.get("extension")
        objective = NestedObjective(
            kl=self.system["kl"],
            l1=0.0 if extension is None else extension["l1"],
            wrong_image=switches["wrong_image"],
            pair_weights=switches["pair_weights"],
        )
        return nested_step(
            cast(NestedGenerator | ExtendedGenerator, self.generator),
            cast(NestedDiscriminators, self.discriminator),
            self._optimisers["generator"],
            self._optimisers["discriminator"],
            batch.images,
            noise,
            self.text.of_batch(batch).sentence,
            batch.wrong,
            objective,
            switches["mismatch"],
        )
