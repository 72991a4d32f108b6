"""Base class of GAN trainers, and their constructor inputs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.optim import Adam, Adamax, Optimizer

from t2i_repro.data.batches import Batches
from t2i_repro.models.base import Generator
from t2i_repro.models.family import TRAIN_OPTIONS
from t2i_repro.sampling.text import TextConditioner
from t2i_repro.training.trainable import Average, Trainable

Losses = dict[str, Tensor]

# Draws a grid of a generator's images.
Preview = Callable[[Generator], Image]

OPTIMISER_TYPES: dict[str, type[Adam] | type[Adamax]] = {"adam": Adam, "adamax": Adamax}


@dataclass(frozen=True)
class GanInputs:
    """What a GAN trainer is constructed from: the spec of a ``train`` node, text conditioning, batches, and the folder
    of the run that it continues (``after``), if any."""

    spec: dict[str, Any]
    text: TextConditioner
    batches: Batches
    device: torch.device
    preview: Preview | None = None
    base: Path | None = None


class GAN(Trainable):
    """A system in training, constructed from ``GanInputs``.

    Subclasses set ``generator``, ``_optimisers``, ``_averages`` and ``_preview``.
    """

    generator: Generator
    _optimisers: dict[str, Optimizer]
    _averages: dict[str, Average]
    _preview: Preview | None
    tuned: str | None = None  # value of `switches.text_tuning` where the text encoder trains too

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def averages(self) -> dict[str, Average]:
        return self._averages

    def generator_state(self) -> dict[str, Tensor]:
        """Weights to sample from: the average, if there is one."""
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


def optimiser_of(parameters: Iterable[nn.Parameter], spec: dict[str, Any], rate: str) -> Optimizer:
    """The optimiser that a ``train`` spec configures, with the learning rate of its key ``rate``: lr_g or lr_d."""
    kind = str(spec.get("optimiser", TRAIN_OPTIONS["optimiser"]["default"]))
    return OPTIMISER_TYPES[kind](parameters, spec[rate], tuple(spec["betas"]))


def averages_of(generator: Generator, spec: dict[str, Any]) -> dict[str, Average]:
    """The running average that a ``train`` spec configures, if any."""
    return {} if spec["ema"] is None else {"generator": Average(generator, spec["ema"])}
