"""GPUs shared by the jobs of one machine: each job takes a card of its own, or waits until one is free.

Snakemake only counts GPUs (`--resources gpu=4`) and tells no job which one to use. A card is taken by locking a file
for as long as the process lives; the kernel releases the lock of a process that dies, however it dies.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

VISIBLE = "CUDA_VISIBLE_DEVICES"  # set by users and by SLURM: the cards that this process may use
PRETENDED = "T2I_REPRO_CARDS"  # names of cards, separated by commas, in place of those of the machine (for tests)
POLL_SECONDS = 0.2

_held: list[IO[str]] = []  # open files; closing one gives its card back


def visible_cards(count: Callable[[], int]) -> list[str]:
    """Names of the cards that this process may use, as CUDA_VISIBLE_DEVICES spells them (numbers, UUIDs).

    ``count`` returns how many of them CUDA would find; it must not start CUDA, which reads the variable only once.
    """
    named = os.environ.get(PRETENDED)
    if named is None:
        found = count()
        named = os.environ.get(VISIBLE, ",".join(map(str, range(found)))) if found else ""
    return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]


def take_card(cards: Sequence[str], folder: Path | None = None) -> str | None:
    """Take one of ``cards`` until this process ends, waiting until one is free, and make it the only visible one.

    Returns its name, or None where there are none. Must be called before CUDA starts. Jobs of one user on one machine
    see each other's locks, which lie in ``folder`` (default: below the folder for temporary files).
    """
    if not cards:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"t2i-repro-cards-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while True:
        for card in cards:
            file = (folder / f"{card.replace('/', '-')}.lock").open("a", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _held.append(file)
            os.environ[VISIBLE] = card
            return card
        if not waiting:
            logging.getLogger(__name__).info("all cards are taken (%s); waiting for one", ", ".join(cards))
            waiting = True
        time.sleep(POLL_SECONDS)
