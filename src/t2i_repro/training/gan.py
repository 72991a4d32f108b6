"""What every GAN of ours is to the verbs: what it is made from, and what it leaves behind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.optim import Adam, Adamax, Optimizer

from t2i_repro.data.batches import Batches
from t2i_repro.sampling.text import TextSide
from t2i_repro.training.trainable import Average, Trainable

# Draws a grid of a generator's images.
Preview = Callable[[nn.Module], Image]

OPTIMISERS: dict[str, type[Adam] | type[Adamax]] = {"adam": Adam, "adamax": Adamax}


@dataclass(frozen=True)
class Parts:
    """What a system is built from: the spec of a ``train`` node, its text side, its batches, and the folder of the run
    that it continues (``after``)."""

    spec: dict[str, Any]
    text: TextSide
    batches: Batches
    device: torch.device
    preview: Preview | None = None
    base: Path | None = None


class GAN(Trainable):
    """A system in training. Subclasses set ``generator``, ``_optimisers``, ``_averages``, ``_preview``."""

    generator: nn.Module
    _optimisers: dict[str, Optimizer]
    _averages: dict[str, Average]
    _preview: Preview | None
    tuned: str | None = None  # how the text encoder trains too, where it does

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def averages(self) -> dict[str, Average]:
        return self._averages

    def generator_state(self) -> dict[str, Tensor]:
        """Weights to sample from: averaged where there is an average."""
        average = self._averages.get("generator")
        return self.generator.state_dict() if average is None else average.state()

    def weights(self) -> dict[str, dict[str, Tensor]]:
        return {"generator": self.generator_state()}

    def preview(self) -> Image | None:
        if self._preview is None:
            return None
        average = self._averages.get("generator")
        if average is None:
            return self._preview(self.generator)
        with average.applied():
            return self._preview(self.generator)


def averages_of(generator: nn.Module, spec: dict[str, Any]) -> dict[str, Average]:
    """The running average that a ``train`` spec asks for, if any."""
    return {} if spec["ema"] is None else {"generator": Average(generator, spec["ema"])}
