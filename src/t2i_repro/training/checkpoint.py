"""Checkpoints: whole or absent, and the same bytes for the same content."""

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from t2i_repro.core.record import atomic_write
from t2i_repro.errors import Diverged, ReproError, StorageFull

if TYPE_CHECKING:
    from t2i_repro.training.loop import Trainable

FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn a full disk, quota or file size limit into StorageFull."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # torch.save hides what its file raised
        if isinstance(cause, OSError) and cause.errno in FULL:
            raise StorageFull(
                f"{path}: cannot be written: {os.strerror(cause.errno)}. What stood there before is intact; "
                f"make room and run it again."
            ) from error
        raise


def plain(value: Any) -> Any:
    """The same content in fresh containers and CPU tensors that own their memory.

    Pickle writes an object that it meets twice as a reference, so that equal states could differ in their bytes by
    which of their parts happen to be one object; here only equal strings are.
    """
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        return tensor if whole else tensor.clone()
    if isinstance(value, Mapping):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return sys.intern(value) if type(value) is str else value


def save_torch(path: Path, value: Any) -> None:
    """Write ``plain(value)`` in torch's format, atomically. Raises StorageFull."""
    with storage(path), atomic_write(path) as file:
        torch.save(plain(value), file)


def load_torch(path: Path) -> Any:
    """Tensors and plain values of a file, on the CPU. Raises ReproError where it is no such file."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ReproError(f"{path}: cannot be read as a torch file ({error}); remove it and build it again") from error


def state_of(system: "Trainable") -> dict[str, Any]:
    """All that training changes, as nested dicts of tensors."""
    return {
        "modules": {name: module.state_dict() for name, module in system.modules().items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in system.optimisers().items()},
        "averages": {name: average.parameters for name, average in system.averages().items()},
    }


def load_state(system: "Trainable", state: dict[str, Any]) -> None:
    """The reverse of ``state_of``."""
    for name, module in system.modules().items():
        module.load_state_dict(state["modules"][name])
    for name, optimiser in system.optimisers().items():
        optimiser.load_state_dict(state["optimisers"][name])
    for name, average in system.averages().items():
        average.load(state["averages"][name])


def weights_file(name: str, epoch: int | None = None) -> str:
    """Where a run keeps weights to sample from: those of its end, or of the end of an earlier epoch (from 1)."""
    return f"{name}.pt" if epoch is None else f"{name}-{epoch}.pt"


def save_weights(system: "Trainable", out: Path, epoch: int | None = None) -> None:
    """Write what the system is sampled from, now."""
    for name, state in system.weights().items():
        save_torch(out / weights_file(name, epoch), state)


def check_weights(system: "Trainable", out: Path, step: int) -> None:
    """Raise Diverged unless every weight and buffer is finite."""
    for name, module in system.modules().items():
        for key, value in module.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise Diverged(diverged(out, step, f"{name}.{key} is not finite"))


def diverged(out: Path, step: int, what: str) -> str:
    return (
        f"{out}: step {step}: {what}. The last good state is kept in {out / '.state'}, but going on from it leads here "
        f"again: training is deterministic. Lower the learning rate or change the seed."
    )


class Checkpoints:
    """The newest state of a training: ``.state/checkpoint.pt`` on the way, ``checkpoint.pt`` at the end.

    Holds a lock, so that two processes never train in one folder; the kernel drops it with the process.
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
            for litter in folder.glob(".*.partial"):  # of a process that was killed while it wrote
                litter.unlink()

    def restore(self, system: "Trainable") -> tuple[int, dict[str, int]]:
        """Load the newest state. Returns its step (0: none) and where the logs stood."""
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

    def save(self, system: "Trainable", step: int, offsets: dict[str, int]) -> None:
        save_torch(self.current, {"digest": self.digest, "step": step, "offsets": offsets, **state_of(system)})

    def finish(self) -> None:
        """Make the newest state the final one; the state folder goes."""
        if self.current.exists():
            os.replace(self.current, self.final)
        shutil.rmtree(self.folder)

    def close(self) -> None:
        self._lock.close()
