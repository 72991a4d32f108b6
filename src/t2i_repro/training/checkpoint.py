"""Checkpoints of a training: written atomically, and equal bytes for equal content."""

import fcntl
import logging
import os
import shutil
import zipfile
from pathlib import Path

import torch

from t2i_repro.core.record import STATE, atomic_write, storage
from t2i_repro.errors import Diverged, ReproError
from t2i_repro.models.state import load_torch, save_torch
from t2i_repro.training.trainable import Trainable, load_state, state_of


def check_weights(system: Trainable, out: Path, step: int) -> None:
    """Raise Diverged unless every weight and buffer is finite."""
    for name, module in system.modules().items():
        for key, value in module.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise Diverged(diverged(out, step, f"{name}.{key} is not finite"))


def diverged(out: Path, step: int, what: str) -> str:
    """Message of a Diverged error."""
    return (
        f"{out}: step {step}: {what}. The last good state is kept in {out / '.state'}, but resuming from it leads here "
        f"again: training is deterministic. Lower the learning rate or change the seed."
    )


def is_intact(path: Path) -> bool:
    """Whether the bytes of a state are those that were written. torch itself compares no checksums when it loads."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        damaged = str(error)
    if damaged is not None:
        logging.getLogger(__name__).warning("%s: damaged (%s); an earlier state is used", path, damaged)
    return damaged is None


class Checkpoints:
    """The states of a training: the newest two in ``.state/`` while it runs, the last as ``checkpoint.pt`` at the end.

    ``.state/`` is removed when the artefact's record is written (core/record.py), so only a training that was
    interrupted resumes: one that is asked for again begins at step 0. Holds a lock, so that two processes never train
    in one folder; the kernel releases it when the process ends.
    """

    def __init__(self, out: Path, digest: str) -> None:
        self.folder, self.final, self.digest = out / STATE, out / "checkpoint.pt", digest
        self.current, self.previous = self.folder / "checkpoint.pt", self.folder / "previous.pt"
        with storage(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise ReproError(f"{out}: another process is training here; wait for it, or stop it first") from error
        except OSError:
            pass  # a file system without locks
        for folder in (out, self.folder, out / "grids"):
            for leftover in folder.glob(".*.partial"):  # of a process that was killed while it wrote
                leftover.unlink()

    def restore(self, system: Trainable) -> tuple[int, dict[str, int]]:
        """Load the newest state that is intact. Returns its step (0: none) and the sizes of the logs at that step."""
        path = next((path for path in (self.current, self.previous) if path.exists() and is_intact(path)), None)
        if path is None:
            return 0, {}
        saved = load_torch(path)
        if saved["digest"] != self.digest:
            raise ReproError(
                f"{path}: is the state of an artefact with digest {saved['digest']}, not {self.digest}; "
                f"choose another --out or remove {path.parent}"
            )
        load_state(system, saved)
        return saved["step"], saved["offsets"]

    def save(self, system: Trainable, step: int, offsets: dict[str, int]) -> None:
        fresh = self.folder / "next-checkpoint.pt"
        save_torch(fresh, {"digest": self.digest, "step": step, "offsets": offsets, **state_of(system)})
        if self.current.exists():
            os.replace(self.current, self.previous)
        os.replace(fresh, self.current)

    def finish(self) -> None:
        """Make the newest state the final one."""
        with self.current.open("rb") as source, atomic_write(self.final) as target:
            shutil.copyfileobj(source, target)

    def close(self) -> None:
        self._lock.close()
