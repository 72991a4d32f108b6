"""Checkpoints of a training: written atomically, and equal bytes for equal content."""

import fcntl
import os
import shutil
from pathlib import Path

import torch

from t2i_repro.core.record import storage
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


class Checkpoints:
    """The newest state of a training: ``.state/checkpoint.pt`` while it runs, ``checkpoint.pt`` at the end.

    Holds a lock, so that two processes never train in one folder; the kernel releases it when the process ends.
    """

    def __init__(self, out: Path, digest: str) -> None:
        self.folder, self.final, self.digest = out / ".state", out / "checkpoint.pt", digest
        self.current = self.folder / "checkpoint.pt"
        with storage(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
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
        """Load the newest state. Returns its step (0: none) and the sizes of the logs at that step."""
        path = self.current if self.current.exists() else self.final
        if not path.exists():
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
        save_torch(self.current, {"digest": self.digest, "step": step, "offsets": offsets, **state_of(system)})

    def finish(self) -> None:
        """Make the newest state the final one and remove the state folder."""
        if self.current.exists():
            os.replace(self.current, self.final)
        shutil.rmtree(self.folder)

    def close(self) -> None:
        self._lock.close()
