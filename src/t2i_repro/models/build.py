"""Builds the networks of a system (``papers/*.yaml``, resolved) as its family declares them."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import nn

from t2i_repro.core.declarations import resolve
from t2i_repro.models.base import Generator
from t2i_repro.models.family import family_of

System = Mapping[str, Any]


def build_generator(system: System, image_size: int = 256, base_size: int = 4, text_dim: int = 256) -> Generator:
    """The generator of ``system`` with untrained weights, from torch's default random stream. ``base_size``: side of
    its first feature map; ``text_dim``: length of the sentence embedding."""
    build = cast(Callable[..., Generator], resolve(family_of(system).generator))
    return build(system, image_size, base_size, text_dim)


def build_discriminator(
    system: System, image_size: int = 256, text_dim: int = 256, *, as_released: bool = False
) -> nn.Module:
    """The discriminator of ``system``, likewise; ``as_released`` adds the parameters that the released code creates and
    never uses."""
    family = family_of(system)
    reference = family.released_discriminator if as_released else None
    build = cast(Callable[..., nn.Module], resolve(reference or family.discriminator))
    return build(system, image_size, text_dim)


def count_parameters(network: nn.Module, trainable: bool = False) -> int:
    """Number of parameters; buffers do not count."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)
