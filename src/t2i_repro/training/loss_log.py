"""The loss log: a CSV file and TensorBoard events, cut back to the checkpoint on resume.

Neither holds wall times or host names, so both are the same bytes however often a run was interrupted. (TensorBoard's
own writer puts the time into each event and the host into the file's name.) In TensorBoard choose STEP as the axis.
"""

import csv
import io
import math
import os
from pathlib import Path

import torch
from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from torch import Tensor

from t2i_repro.core.record import storage
from t2i_repro.errors import Diverged, ReproError
from t2i_repro.training.checkpoint import diverged

CSV, EVENTS = "losses.csv", "tensorboard/events.out.tfevents.losses"


class Appended:
    """A file that is cut to ``offset`` bytes and then appended to."""

    def __init__(self, path: Path, offset: int) -> None:
        self.path = path
        with storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            size = os.fstat(self._file).st_size
            if size < offset:
                os.close(self._file)
                raise ReproError(
                    f"{path}: has {size} bytes, but {offset} when the checkpoint was written; restore it, or remove "
                    f"the run's folder to start again"
                )
            os.truncate(self._file, offset)
            os.lseek(self._file, offset, os.SEEK_SET)

    def write(self, data: bytes) -> None:
        with storage(self.path):
            while data:  # a disk that fills up accepts a part first
                data = data[os.write(self._file, data) :]

    def sync(self) -> int:
        """Flush to the disk; returns the file's size."""
        with storage(self.path):
            os.fsync(self._file)
        return os.lseek(self._file, 0, os.SEEK_CUR)

    def close(self) -> None:
        os.close(self._file)


class LossLog:
    """Collects losses on the device and reads them only when it writes, so that no step waits for the one before.

    ``offsets``: what ``sync`` returned when the checkpoint was written; empty: start new files.
    """

    def __init__(self, out: Path, offsets: dict[str, int]) -> None:
        self._out = out
        self._files = {name: Appended(out / name, offsets.get(name, 0)) for name in (CSV, EVENTS)}
        self._new = not offsets.get(CSV)
        self._pending: list[tuple[int, bool, dict[str, Tensor]]] = []
        self._last: dict[str, str] = {}

    def add(self, step: int, losses: dict[str, Tensor], keep: bool) -> None:
        """Add the losses of a step (counted from 1); ``keep`` them in the log, or only check them."""
        self._pending.append((step, keep, losses))

    def write(self) -> dict[str, str]:
        """Write the losses to keep; returns the newest, formatted. Raises Diverged naming step and loss."""
        pending, self._pending = self._pending, []
        if pending:
            values = torch.stack([torch.stack(list(losses.values())).double() for _, _, losses in pending]).tolist()
            for (step, keep, losses), row in zip(pending, values, strict=True):
                self._check_and_write(step, keep, dict(zip(losses, row, strict=True)))
        return self._last

    def _check_and_write(self, step: int, keep: bool, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            if not math.isfinite(value):
                raise Diverged(diverged(self._out, step, f"loss {name} is {value}"))
        if keep:
            header = ",".join(["step", *losses]) + "\n" if self._new else ""
            row = ",".join([str(step), *(f"{value:.9g}" for value in losses.values())])
            self._files[CSV].write(f"{header}{row}\n".encode())
            self._files[EVENTS].write(events(step, losses, first=self._new))
            self._new = False
        self._last = {name: f"{value:.3g}" for name, value in losses.items()}

    def sync(self) -> dict[str, int]:
        return {name: file.sync() for name, file in self._files.items()}

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def events(step: int, losses: dict[str, float], first: bool) -> bytes:
    """TensorBoard records of one step; ``first`` adds the file's version. The step takes the place of the time."""
    scalars = [Summary.Value(tag=f"losses/{name}", simple_value=value) for name, value in losses.items()]
    records = [Event(wall_time=0, file_version="brain.Event:2")] if first else []
    records.append(Event(wall_time=step, step=step, summary=Summary(value=scalars)))
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for record in records:
        writer.write(record.SerializeToString())
    return buffer.getvalue()


def last_losses(out: Path) -> dict[str, float]:
    """The last row of ``losses.csv``, without its step."""
    with (out / CSV).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: float(value) for name, value in rows[-1].items() if name != "step"} if rows else {}
