"""The training loop: one for GANs, DAMSM and classifiers.

A step is a pure function of what a checkpoint holds and of its own number: the batch is a function of (seed, step),
and every random draw comes from a stream that is seeded anew at the step's beginning. So there is no random state to
save, and a run that was killed at any moment and started again ends, on the same machine, in the same bits.

In ``out``: ``losses.csv``, ``tensorboard/``, ``grids/step-*.png``, weights of the epochs that the schedule names and,
at the end, ``checkpoint.pt`` (full state); ``.state/checkpoint.pt`` on the way.
"""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import atomic_write
from t2i_repro.data.batches import Batch, Batches, prefetch
from t2i_repro.errors import Interrupted
from t2i_repro.training.average import Average
from t2i_repro.training.checkpoint import Checkpoints, check_weights, save_weights, storage
from t2i_repro.training.environment import reproducible, stop_signals
from t2i_repro.training.loss_log import LossLog, last_losses


class Trainable:
    """What the loop trains. All that changes from step to step must be in ``modules``, ``optimisers``, ``averages``."""

    device: torch.device

    def modules(self) -> dict[str, nn.Module]:
        """Every network that a step changes, its buffers included."""
        raise NotImplementedError

    def optimisers(self) -> dict[str, Optimizer]:
        raise NotImplementedError

    def averages(self) -> dict[str, Average]:
        """Running averages of weights, updated by the loop after each step."""
        return {}

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """What others need of the trained networks: state dicts by the name of their file."""
        return {}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Train on one batch; ``step`` counts from 0. Returns detached scalars, the same names every time."""
        raise NotImplementedError

    def preview(self) -> Image | None:
        """A picture of the present state from fixed inputs. Must leave every network as it was."""
        return None


@dataclass(frozen=True)
class Schedule:
    """How long to train, from which seed, and how often to write (in steps). ``snapshots``: the steps after which
    weights are kept, with the epochs they end."""

    name: str
    digest: str  # of the node: a state of another one is refused
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

    Returns facts for the record: steps, the last losses, the device and, for a resumed run, the step it went on from.
    Raises Interrupted after SIGTERM or SIGINT (state saved), Diverged when a loss or a weight is not finite and
    StorageFull when the disk is; the last good checkpoint then stands.
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
                    raise Interrupted(
                        f"{out}: stopped by {stop[0]} after step {done}; run it again to go on from there"
                    )
        checkpoints.finish()
    facts = {"steps": schedule.steps, "losses": last_losses(out), "device": system.device.type}
    return facts | ({"resumed_at": start} if start else {})


def save_preview(system: Trainable, path: Path) -> None:
    picture = system.preview()
    if picture is not None:
        path.parent.mkdir(exist_ok=True)
        with storage(path), atomic_write(path) as file:
            picture.save(file, "PNG")
