"""What surrounds a training: device, determinism, signals."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
