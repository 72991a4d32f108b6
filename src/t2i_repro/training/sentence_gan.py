"""Base class of the trainers whose generators read sentence embeddings alone: HDGAN, StackGAN and GAN-INT-CLS."""

from pathlib import Path

import torch
from torch import Tensor, nn

from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch
from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.nested import ExtendedGenerator
from t2i_repro.models.stackgan import StageTwoGenerator
from t2i_repro.models.state import load_weights
from t2i_repro.training.gan import GAN, GanInputs, averages_of, optimiser_of


class SentenceGAN(GAN):
    """A generator and a discriminator, whose learning rates halve every ``halve_every`` epochs, or never.

    ``inputs.base`` holds the trained run that a system extends (StackGAN's Stage-I, HDGAN's 256 px generator); its
    weights do not change.
    """

    def __init__(self, inputs: GanInputs) -> None:
        spec, self.device = inputs.spec, inputs.device
        self.spec, self.system, self.text = spec, spec["system"], inputs.text
        self.steps_per_epoch, self._preview = inputs.batches.steps_per_epoch, inputs.preview
        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        generator = build_generator(self.system, spec["image_size"], spec["base_size"], inputs.text.dim)
        discriminator = build_discriminator(self.system, spec["image_size"], inputs.text.dim)
        load_base(generator, inputs.base)
        self.generator, self.discriminator = generator.to(self.device), discriminator.to(self.device)
        learning = [p for p in generator.parameters() if p.requires_grad]
        self._optimisers = {
            "generator": optimiser_of(learning, spec, "lr_g"),
            "discriminator": optimiser_of(discriminator.parameters(), spec, "lr_d"),
        }
        self._averages = averages_of(self.generator, spec)

    def modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(batch, SentenceBatch)
        every = self.spec.get("halve_every")
        halvings = 0 if every is None else step // (self.steps_per_epoch * every)
        for name, initial in (("generator", "lr_g"), ("discriminator", "lr_d")):
            self._optimisers[name].param_groups[0]["lr"] = self.spec[initial] * 0.5**halvings
        noise = self.generator.draw_noise(len(batch.images), self.device)
        return self.iterate(batch, noise)

    def iterate(self, batch: SentenceBatch, noise: Tensor) -> dict[str, Tensor]:
        """One iteration of both networks."""
        raise NotImplementedError


def load_base(generator: nn.Module, base: Path | None) -> None:
    """Load the weights of the run in ``base`` into the part of ``generator`` that stays frozen.

    Raises ReproError if a system needs such a run and has none, or the other way round.
    """
    frozen: nn.Module | None = None
    if isinstance(generator, ExtendedGenerator):
        frozen = generator.base
    elif isinstance(generator, StageTwoGenerator):
        frozen = generator.stage_one
    if (frozen is None) != (base is None):
        problem = "needs the trained run it extends" if base is None else "extends no run, but one was named"
        raise ReproError(f"system: a {type(generator).__name__} {problem}; see `after` in papers/*.yaml")
    if frozen is not None and base is not None:
        load_weights(frozen, base / "generator.pt")
