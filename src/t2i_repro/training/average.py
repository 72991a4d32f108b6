"""Exponential moving average of a network's parameters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """average <- decay * average + (1 - decay) * parameter, from the initial weights, without bias correction.

    Over parameters only: ``state()`` lays them over the network's own buffers, as the papers that use one do.
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
        """The network holds the averaged parameters inside, its own afterwards."""
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
