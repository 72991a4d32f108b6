"""What the training loop trains: networks, their optimisers and running averages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from t2i_repro.data.batches import Batch
from t2i_repro.models.state import save_torch, weights_file


class Average:
    """average <- decay * average + (1 - decay) * parameter, from the initial weights, without bias correction.

    Only parameters are averaged: ``state()`` combines them with the network's own buffers, as the papers do.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.parameters = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        for name, parameter in self.network.named_parameters():
            self.parameters[name].lerp_(parameter, 1 - self.decay)

    def load(self, parameters: dict[str, Tensor]) -> None:
        for name, value in self.parameters.items():
            value.copy_(parameters[name])

    def state(self) -> dict[str, Tensor]:
        """State dict of the averaged network."""
        return {**self.network.state_dict(), **self.parameters}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the network has the averaged parameters; afterwards its own."""
        own = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self._put(self.parameters)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.copy_(values[name])


class Trainable:
    """A system that the loop trains. All that a step changes must be in ``modules``, ``optimisers`` or ``averages``."""

    device: torch.device

    def modules(self) -> dict[str, nn.Module]:
        """Every network that a step changes, its buffers included."""
        raise NotImplementedError

    def optimisers(self) -> dict[str, Optimizer]:
        raise NotImplementedError

    def averages(self) -> dict[str, Average]:
        """Running averages of weights, updated by the loop after each step."""
        return {}

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """State dicts that other verbs read, by the name of their file."""
        return {}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Train on one batch; ``step`` counts from 0. Returns detached scalars, the same names every time."""
        raise NotImplementedError

    def preview(self) -> Image | None:
        """An image of the current state from fixed inputs. Must not change any network."""
        return None


def state_of(system: Trainable) -> dict[str, Any]:
    """All that training changes, as nested dicts of tensors."""
    return {
        "modules": {name: module.state_dict() for name, module in system.modules().items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in system.optimisers().items()},
        "averages": {name: average.parameters for name, average in system.averages().items()},
    }


def load_state(system: Trainable, state: dict[str, Any]) -> None:
    """The reverse of ``state_of``."""
    for name, module in system.modules().items():
        module.load_state_dict(state["modules"][name])
    for name, optimiser in system.optimisers().items():
        optimiser.load_state_dict(state["optimisers"][name])
    for name, average in system.averages().items():
        average.load(state["averages"][name])


def save_weights(system: Trainable, out: Path, epoch: int | None = None) -> None:
    """Write the weights to sample from, as they are now."""
    for name, state in system.weights().items():
        save_torch(out / weights_file(name, epoch), state)
