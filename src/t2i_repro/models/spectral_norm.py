"""Spectral normalisation of the DM-GAN and GR-GAN discriminators."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import check_choice

EPSILON = 1e-12
Iteration = Literal["training", "released"]
ITERATIONS: tuple[Iteration, ...] = ("training", "released")


class SpectralConv2d(nn.Conv2d):
    """A convolution by weight / sigma, with sigma = u W v of one power iteration per forward.

    ``iteration`` ``training``: u and v are buffers and move in training mode only, so that an evaluation leaves the
    network as it was. ``released``: the authors' wrapper, where they are parameters without gradient that move at
    *every* forward, eval mode included. In training mode the two compute the same.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        iteration: Iteration = "training",
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding)
        check_choice("compat.spectral_norm", iteration, ITERATIONS)
        self.iteration = iteration
        self.u: Tensor
        self.v: Tensor
        for name, size in (("u", channels_out), ("v", channels_in * kernel * kernel)):
            start = F.normalize(torch.randn(size), dim=0, eps=EPSILON)
            if iteration == "released":
                self.register_parameter(name, nn.Parameter(start, requires_grad=False))
            else:
                self.register_buffer(name, start)

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight.flatten(1)
        self.v.copy_(F.normalize(matrix.t() @ self.u, dim=0, eps=EPSILON))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0, eps=EPSILON))

    def forward(self, features: Tensor) -> Tensor:
        if self.training or self.iteration == "released":
            self._iterate()
        # Copies: the next forward moves u and v in place, while this one's graph may still be waiting for backward.
        u, v = self.u.detach().clone(), self.v.detach().clone()
        sigma = u @ (self.weight.flatten(1) @ v)
        return self._conv_forward(features, self.weight / sigma, self.bias)
