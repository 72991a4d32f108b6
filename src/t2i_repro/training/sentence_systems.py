"""HDGAN, StackGAN and GAN-INT-CLS as the loop trains them: what they share, and each one's iteration."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch
from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.nested import ExtendedGenerator, NestedGenerator
from t2i_repro.models.nested_discriminators import NestedDiscriminators
from t2i_repro.models.stackgan import StageTwoGenerator
from t2i_repro.models.state import load_weights
from t2i_repro.training.gan import GAN, Parts, averages_of
from t2i_repro.training.matching_aware_step import (
    Discriminator,
    Generator,
    MatchingAwareObjective,
    matching_aware_step,
)
from t2i_repro.training.nested_step import NestedObjective, nested_step


class SentenceGAN(GAN):
    """Networks, and Adam with a rate that halves every ``halve_every`` epochs.

    ``parts.base`` holds the trained run that a system extends (StackGAN's Stage-I, HDGAN's 256 px generator); its
    weights stay as they are.
    """

    def __init__(self, parts: Parts) -> None:
        spec, self.device = parts.spec, parts.device
        self.spec, self.system, self.text = spec, spec["system"], parts.text
        self.steps_per_epoch, self._preview = parts.batches.steps_per_epoch, parts.preview
        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        generator = build_generator(self.system, spec["image_size"], spec["base_size"], parts.text.dim)
        discriminator = build_discriminator(self.system, spec["image_size"], parts.text.dim)
        load_base(generator, parts.base)
        self.generator, self.discriminator = generator.to(self.device), discriminator.to(self.device)
        learning = [p for p in generator.parameters() if p.requires_grad]
        betas = tuple(spec["betas"])
        self._optimisers: dict[str, Optimizer] = {
            "generator": Adam(learning, spec["lr_g"], betas),
            "discriminator": Adam(discriminator.parameters(), spec["lr_d"], betas),
        }
        self._averages = averages_of(self.generator, spec)

    def modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(batch, SentenceBatch)
        halvings = step // (self.steps_per_epoch * self.spec["halve_every"])
        for name, initial in (("generator", "lr_g"), ("discriminator", "lr_d")):
            self._optimisers[name].param_groups[0]["lr"] = self.spec[initial] * 0.5**halvings
        noise = cast(Any, self.generator).draw_noise(len(batch.images), self.device)
        return self.iterate(batch, noise)

    def iterate(self, batch: SentenceBatch, noise: Tensor) -> dict[str, Tensor]:
        """One iteration of both networks."""
        raise NotImplementedError


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


SENTENCE_SYSTEMS: dict[str, type[SentenceGAN]] = {
    "nested": NestedGAN,
    "stackgan": MatchingAwareGAN,
    "gan-int-cls": MatchingAwareGAN,
}


def load_base(generator: nn.Module, base: Path | None) -> None:
    """Put the trained weights in the folder of a run under the part of ``generator`` that stays frozen.

    Raises ReproError where a system needs such a run and has none, or the other way round.
    """
    frozen: nn.Module | None = None
    if isinstance(generator, ExtendedGenerator):
        frozen = generator.base
    elif isinstance(generator, StageTwoGenerator):
        frozen = generator.stage_one
    if (frozen is None) != (base is None):
        problem = "needs the trained run it extends" if base is None else "extends no run, but was given one"
        raise ReproError(f"system: a {type(generator).__name__} {problem}; see `after` in papers/*.yaml")
    if frozen is not None and base is not None:
        load_weights(frozen, base / "generator.pt")
