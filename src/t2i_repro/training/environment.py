"""What surrounds a training: device, determinism, signals."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
import torch.utils.deterministic

DETERMINISTIC: Any = torch.utils.deterministic  # its attribute is unknown to mypy


def pick_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def reproducible() -> Iterator[None]:
    """Deterministic algorithms only: an operation that has none raises instead of varying."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; cuBLAS asks for it
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


@contextmanager
def stop_signals() -> Iterator[list[str]]:
    """A list that is empty until SIGTERM or SIGINT comes and then holds its name.

    Both only ask for a stop; a second SIGINT has its usual effect. (Schedulers may send SIGTERM twice: to the job and
    to its processes.) Outside the main thread, where Python allows no handler, the list stays empty.
    """
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
