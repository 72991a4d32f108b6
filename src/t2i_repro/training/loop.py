"""The training loop: one for GANs, text encoders and classifiers.

A step is a pure function of the checkpoint and of the step's index: the batch is a function of (seed, step), and every
random draw comes from a stream that is seeded again at the start of the step. There is therefore no random state to
save, and a run that is killed at any point and started again ends, on the same machine, in the same bits.

Files in ``out``: ``losses.csv``, ``tensorboard/``, ``grids/step-*.png``, weights of the epochs named in the schedule
and, at the end, ``checkpoint.pt`` (full state); ``.state/checkpoint.pt`` while training runs.
"""

import signal
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import atomic_write
from t2i_repro.data.batches import Batch, Batches, prefetch
from t2i_repro.errors import Interrupted
from t2i_repro.models.state import reproducible
from t2i_repro.training.checkpoint import Checkpoints, check_weights
from t2i_repro.training.loss_log import LossLog, last_losses
from t2i_repro.training.trainable import Trainable, save_weights


@dataclass(frozen=True)
class Schedule:
    """How long to train, with which seed, and how often to write (in steps).

    ``snapshots`` maps steps after which weights are kept to the epochs that end there.
    """

    name: str
    digest: str  # of the node: the state of another one is refused
    steps: int
    seed: int
    checkpoint_every: int
    grid_every: int
    log_every: int
    snapshots: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, node: Node, steps: int) -> "Schedule":
        how = {name: node.runtime[name] for name in ("checkpoint_every", "grid_every", "log_every")}
        return cls(node.name, node.digest, steps, node.spec["seed"], **how)

    def due(self, every: int, done: int) -> bool:
        return done % every == 0 or done == self.steps


def train(system: Trainable, batches: Batches, out: Path, schedule: Schedule) -> dict[str, Any]:
    """Train to ``schedule.steps``, from the newest checkpoint in ``out`` where there is one.

    Returns facts for the record: steps, the last losses, the device and, for a resumed run, the step it resumed at.
    Raises Interrupted after SIGTERM or SIGINT (state saved), Diverged when a loss or a weight is not finite and
    StorageFull when the disk is full; the last good checkpoint is then kept.
    """
    with reproducible(), stop_signals() as stop, closing(Checkpoints(out, schedule.digest)) as checkpoints:
        start, offsets = checkpoints.restore(system)
        ahead = cast(Generator[Batch], prefetch(batches, start, schedule.steps))
        with (
            closing(LossLog(out, offsets)) as log,
            closing(ahead) as stream,
            tqdm(total=schedule.steps, initial=start, desc=schedule.name, disable=None) as bar,
        ):
            for done, batch in enumerate(stream, start + 1):
                torch.manual_seed(derive_seed(schedule.seed, "step", done - 1))
                losses = system.step(batch.to(system.device), done - 1)
                for average in system.averages().values():
                    average.update()
                log.add(done, losses, keep=schedule.due(schedule.log_every, done))
                stopping = bool(stop) and done < schedule.steps
                drawing = schedule.due(schedule.grid_every, done)
                saving = schedule.due(schedule.checkpoint_every, done) or stopping
                if drawing or saving or schedule.due(schedule.log_every, done):
                    bar.set_postfix(log.write(), refresh=False)
                if drawing:  # before the checkpoint: a run killed in between draws it again
                    save_preview(system, out / "grids" / f"step-{done:06d}.png")
                if done in schedule.snapshots:  # likewise
                    check_weights(system, out, done)
                    save_weights(system, out, schedule.snapshots[done])
                if saving:
                    check_weights(system, out, done)
                    checkpoints.save(system, done, log.sync())
                bar.update()
                if stopping:
                    raise Interrupted(f"{out}: stopped by {stop[0]} after step {done}; run it again to resume")
        checkpoints.finish()
    facts = {"steps": schedule.steps, "losses": last_losses(out), "device": system.device.type}
    return facts | ({"resumed_at": start} if start else {})


def save_preview(system: Trainable, path: Path) -> None:
    picture = system.preview()
    if picture is not None:
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as file:
            picture.save(file, "PNG")


@contextmanager
def stop_signals() -> Iterator[list[str]]:
    """A list that is empty until SIGTERM or SIGINT arrives and then holds its name.

    Both only request a stop; a second SIGINT has its usual effect. (Schedulers may send SIGTERM twice: to the job and
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
