"""What a network goes through outside of its forward pass: files of weights, modes, devices, determinism."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.utils.deterministic
from torch import Tensor, nn

from t2i_repro.core.cards import take_card, visible_cards
from t2i_repro.core.record import atomic_write
from t2i_repro.errors import ReproError

DETERMINISTIC: Any = torch.utils.deterministic  # its attribute is unknown to mypy


def plain(value: Any) -> Any:
    """A copy with fresh containers and CPU tensors that own their memory.

    Pickle writes an object that it meets twice as a reference, so the bytes of two equal states could differ by which
    of their parts are the same object. In the copy only equal strings are shared.
    """
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        owns_memory = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        return tensor if owns_memory else tensor.clone()
    if isinstance(value, Mapping):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return sys.intern(value) if type(value) is str else value


def save_torch(path: Path, value: Any) -> None:
    """Write ``plain(value)`` in torch's format, atomically: equal content gives equal bytes. Raises StorageFull."""
    with atomic_write(path) as file:
        torch.save(plain(value), file)


def load_torch(path: Path) -> Any:
    """Tensors and plain values of a file, on the CPU. Raises ReproError if the file cannot be read as such."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ReproError(f"{path}: cannot be read as a torch file ({error}); remove it and build it again") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a state dict. Raises ReproError if it does not fit."""
    try:
        network.load_state_dict(load_torch(path))
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise ReproError(f"{path}: does not fit a {type(network).__name__} ({detail}); build it again") from error


def weights_file(name: str, epoch: int | None = None) -> str:
    """File of a run that holds weights to sample from: those of its end, or those after an earlier epoch (from 1)."""
    return f"{name}.pt" if epoch is None else f"{name}-{epoch}.pt"


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; afterwards every submodule is in its previous mode."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Parameters take no gradient inside; gradients still flow through the network to its inputs."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


@cache
def pick_device() -> torch.device:
    """A card of this process's own, waited for if all are taken (core/cards.py); the CPU where there are none."""
    take_card(visible_cards(torch.cuda.device_count))
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def reproducible() -> Iterator[None]:
    """Deterministic algorithms only: an operation that has none raises instead of varying."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS requires it; read when CUDA starts
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill, benchmark = DETERMINISTIC.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    DETERMINISTIC.fill_uninitialized_memory = False  # a debugging aid that costs time
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        DETERMINISTIC.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark = benchmark
