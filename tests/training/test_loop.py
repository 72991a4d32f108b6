"""The loop: what it writes, how it stops, and that none of it shows in the result."""

import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import FakeBatches, digests, gan, schedule, train_gan
from torch import Tensor

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import STATE
from t2i_repro.data.batches import Batch
from t2i_repro.errors import Diverged, Interrupted, ReproError, StorageFull
from t2i_repro.models.state import load_torch, plain, save_torch
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.one_stage import OneStageGAN

SHORT = schedule(steps=7, checkpoint_every=3, grid_every=100)


class At(OneStageGAN):
    """The tiny GAN that does something else before one step (from 0)."""

    number = 0
    action: Callable[["At"], None]

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        losses = super().step(batch, step)
        if step == self.number:
            self.action(self)
        return losses


def at(number: int, action: Callable[[At], None]) -> At:
    system = gan(text="tuned", ema=0.9)
    system.__class__ = At
    system.number, system.action = number, action  # type: ignore[attr-defined]
    return system  # type: ignore[return-value]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a SHORT run that nothing disturbed."""
    out = tmp_path_factory.mktemp("uninterrupted")
    train_gan(out, SHORT)
    return digests(out)


def raising(error: BaseException) -> Callable[[At], None]:
    def action(system: At) -> None:
        raise error

    return action


def test_a_finished_run_holds_what_it_promises(tmp_path: Path) -> None:
    facts = train_gan(tmp_path, schedule(steps=7, grid_every=3, log_every=2))
    assert sorted(digests(tmp_path)) == [
        "checkpoint.pt",
        "generator.pt",
        "grids/step-000003.png",
        "grids/step-000006.png",
        "grids/step-000007.png",
        "losses.csv",
        "tensorboard/events.out.tfevents.losses",
        "text_encoder.pt",
    ]
    rows = (tmp_path / "losses.csv").read_text().splitlines()
    assert rows[0].startswith("step,d_loss,")
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "4", "6", "7"]
    assert facts["steps"] == 7
    assert facts["losses"]["d_loss"] == float(rows[-1].split(",")[1])
    assert "resumed_at" not in facts


def test_snapshots_are_the_weights_that_a_run_of_their_length_ends_with(tmp_path: Path) -> None:
    plan = schedule(steps=7, checkpoint_every=3, grid_every=100, snapshots={2: 1, 4: 2})
    for stop in (2, 4):  # the first after a snapshot and before its checkpoint, the second likewise
        with pytest.raises(ZeroDivisionError):
            train_gan(tmp_path / "cut", plan, at(stop, raising(ZeroDivisionError())))
    train_gan(tmp_path / "cut", plan)
    train_gan(tmp_path / "uninterrupted", plan)
    assert digests(tmp_path / "cut") == digests(tmp_path / "uninterrupted")
    for steps, epoch in plan.snapshots.items():
        train_gan(tmp_path / f"{steps}", schedule(steps=steps))
        for name in ("generator", "text_encoder"):
            kept = tmp_path / "uninterrupted" / f"{name}-{epoch}.pt"
            assert kept.read_bytes() == (tmp_path / f"{steps}" / f"{name}.pt").read_bytes()


def test_a_snapshot_of_weights_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    def spoil(system: At) -> None:
        next(system.discriminator.parameters()).data[0] = float("inf")

    with pytest.raises(Diverged, match="step 2"):
        train_gan(tmp_path, schedule(log_every=100, snapshots={2: 1}), at(1, spoil))
    assert not list(tmp_path.glob("generator*"))


def test_tensorboard_reads_the_same_losses(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_gan(tmp_path, SHORT)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    rows = [row.split(",") for row in (tmp_path / "losses.csv").read_text().splitlines()]
    for column, name in enumerate(rows[0][1:], 1):
        scalars = events.Scalars(f"losses/{name}")
        assert [(s.step, s.value) for s in scalars] == [
            (int(row[0]), pytest.approx(float(row[column]))) for row in rows[1:]
        ]


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 5, 6])
def test_a_crash_in_any_step_leaves_no_trace(tmp_path: Path, stop: int, uninterrupted: dict[str, str]) -> None:
    with pytest.raises(ZeroDivisionError):
        train_gan(tmp_path, SHORT, at(stop, raising(ZeroDivisionError())))
    facts = train_gan(tmp_path, SHORT)
    assert digests(tmp_path) == uninterrupted
    assert facts.get("resumed_at", 0) == stop // 3 * 3


def test_a_crash_after_the_last_step_trains_nothing_again(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    train(gan(text="tuned", ema=0.9), FakeBatches(), tmp_path, SHORT)  # killed before generator.pt was written
    train_gan(tmp_path, SHORT, at(6, raising(AssertionError("trained again"))))
    assert digests(tmp_path) == uninterrupted


def test_how_often_it_saves_and_draws_does_not_change_the_weights(tmp_path: Path) -> None:
    states = []
    for number, (checkpoint, grid) in enumerate([(1, 1), (3, 100), (100, 100), (100, 2)]):
        out = tmp_path / str(number)
        system = gan(text="tuned", ema=0.9)
        if grid == 100:
            system.preview = lambda: None  # type: ignore[method-assign]
        plan = schedule(steps=7, checkpoint_every=checkpoint, grid_every=grid)
        if number == 1:
            with pytest.raises(ZeroDivisionError):
                train_gan(out, plan, at(4, raising(ZeroDivisionError())))
            plan = schedule(steps=7, checkpoint_every=2, grid_every=grid)
        train_gan(out, plan, system)
        states.append((out / "checkpoint.pt").read_bytes())
    assert states[0] == states[1] == states[2] == states[3]


def test_a_preview_leaves_networks_and_random_streams_alone() -> None:
    system = gan(text="tuned", ema=0.9)
    system.step(FakeBatches().batch(0), 0)  # the average now differs from the weights
    before = plain({name: module.state_dict() for name, module in system.modules().items()})
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    picture = system.preview()
    assert torch.equal(torch.rand(4), expected)
    assert picture is not None
    assert picture.tobytes() == system.preview().tobytes()  # type: ignore[union-attr]
    assert system.generator.training
    assert system.text_encoder.training
    for name, module in system.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, before[name][key]), (name, key)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_ends_with_75_and_goes_on_later(
    tmp_path: Path, number: signal.Signals, uninterrupted: dict[str, str]
) -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=f"{number.name} after step 5") as stopped:
        train_gan(tmp_path, SHORT, at(4, lambda system: os.kill(os.getpid(), number)))
    assert stopped.value.exit_code == 75
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert load_torch(tmp_path / ".state/checkpoint.pt")["step"] == 5
    assert train_gan(tmp_path, SHORT)["resumed_at"] == 5
    assert digests(tmp_path) == uninterrupted


def test_a_run_that_is_asked_for_again_is_trained_again(tmp_path: Path, uninterrupted: dict[str, str]) -> None:
    """Its state goes with the record (`building`); what else is there, the last checkpoint included, is no start."""
    train_gan(tmp_path, SHORT)
    shutil.rmtree(tmp_path / STATE)
    steps = []
    again = at(0, lambda system: steps.append(0))
    assert "resumed_at" not in train_gan(tmp_path, SHORT, again)
    assert steps == [0]
    assert digests(tmp_path) == uninterrupted


@pytest.mark.parametrize("damaged", [("checkpoint.pt",), ("checkpoint.pt", "previous.pt")])
def test_a_state_with_a_flipped_bit_is_not_resumed_from(
    damaged: tuple[str, ...], tmp_path: Path, uninterrupted: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        train_gan(tmp_path, SHORT, at(6, raising(RuntimeError("stop"))))
    for name in damaged:
        path = tmp_path / STATE / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    facts = train_gan(tmp_path, SHORT)
    assert facts.get("resumed_at") == (3 if len(damaged) == 1 else None)
    assert "checkpoint.pt: damaged" in caplog.text
    assert digests(tmp_path) == uninterrupted


def poison(system: At) -> None:
    with torch.no_grad():
        next(system.generator.parameters()).fill_(torch.nan)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    with pytest.raises(Diverged, match=r"step 6: loss d_loss is nan.*kept in") as stopped:
        train_gan(tmp_path, SHORT, at(4, poison))
    assert stopped.value.exit_code == 76
    assert load_torch(tmp_path / ".state/checkpoint.pt")["step"] == 3
    train_gan(tmp_path, SHORT)
    assert digests(tmp_path) == uninterrupted


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"step 6: generator\.fc\.weight is not finite"):
        train_gan(tmp_path, SHORT, at(5, poison))
    assert load_torch(tmp_path / ".state/checkpoint.pt")["step"] == 3


def test_a_log_without_rows_yet_still_gets_its_header(tmp_path: Path) -> None:
    rare = schedule(steps=7, checkpoint_every=2, grid_every=100, log_every=100)
    with pytest.raises(ZeroDivisionError):
        train_gan(tmp_path, rare, at(4, raising(ZeroDivisionError())))
    train_gan(tmp_path, rare)
    rows = (tmp_path / "losses.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "7"]


def test_losses_are_checked_even_where_they_are_not_logged(tmp_path: Path) -> None:
    rare = schedule(steps=7, checkpoint_every=100, grid_every=100, log_every=100)
    with pytest.raises(Diverged, match="step 3: loss d_loss is nan"):
        train_gan(tmp_path, rare, at(1, poison))


def test_a_file_size_limit_stops_with_74_and_keeps_the_old_checkpoint(
    tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    system = at(4, lambda system: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1])))
    try:
        with pytest.raises(StorageFull, match=r"checkpoint\.pt: cannot be written") as stopped:
            train_gan(tmp_path, SHORT, system)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert stopped.value.exit_code == 74
    assert load_torch(tmp_path / ".state/checkpoint.pt")["step"] == 3
    assert not list(tmp_path.rglob("*.partial"))
    train_gan(tmp_path, SHORT)
    assert digests(tmp_path) == uninterrupted


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_stops_wherever_it_is_noticed(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch, uninterrupted: dict[str, str]
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StorageFull, match="No space left on device"):
        train_gan(tmp_path, SHORT, at(4, lambda system: patch.setattr(os, call, full)))
    assert load_torch(tmp_path / ".state/checkpoint.pt")["step"] == 3
    train_gan(tmp_path, SHORT)
    assert digests(tmp_path) == uninterrupted


def test_a_state_of_another_artefact_is_refused(tmp_path: Path) -> None:
    train_gan(tmp_path, SHORT)
    other = Schedule("other", "ffffffffff", 7, 0, 3, 100, 1)
    with pytest.raises(ReproError, match="digest 0123456789, not ffffffffff"):
        train_gan(tmp_path, other)


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    def second(system: At) -> None:
        with pytest.raises(ReproError, match="another process is training here"):
            train_gan(tmp_path, SHORT)

    train_gan(tmp_path, SHORT, at(4, second))


def test_a_log_shorter_than_the_checkpoint_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        train_gan(tmp_path, SHORT, at(4, raising(ZeroDivisionError())))
    (tmp_path / "losses.csv").write_text("")
    with pytest.raises(ReproError, match=r"losses\.csv: has 0 bytes, but \d+ when the checkpoint was written"):
        train_gan(tmp_path, SHORT)


def test_equal_content_gives_equal_bytes_however_it_is_shared(tmp_path: Path) -> None:
    pair, key = (0.0, 0.9), "".join(["be", "tas"])
    shared = {"a": {"betas": pair}, "b": {"betas": pair}, "x": torch.zeros(4)}
    apart = {"a": {key: (0.0, 0.9)}, "b": {"".join(["be", "tas"]): [0.0, 0.9]}, "x": torch.zeros(8)[:4]}
    save_torch(tmp_path / "shared.pt", shared)
    save_torch(tmp_path / "apart.pt", apart)
    assert (tmp_path / "shared.pt").read_bytes() == (tmp_path / "apart.pt").read_bytes()


def test_the_average_follows_its_recurrence() -> None:
    system = gan(ema=0.75)
    average, expected = system.averages()["generator"], None
    for step in range(3):
        before = {name: value.clone() for name, value in average.parameters.items()}
        system.step(FakeBatches().batch(step), step)
        average.update()
        for name, parameter in system.generator.named_parameters():
            expected = 0.75 * before[name] + 0.25 * parameter.detach()
            torch.testing.assert_close(average.parameters[name], expected)
    state = system.generator_state()
    assert torch.equal(
        state["blocks.0.norm1.norm.running_mean"], system.generator.state_dict()["blocks.0.norm1.norm.running_mean"]
    )
    assert not torch.equal(state["fc.weight"], system.generator.fc.weight)


def test_the_schedule_is_the_nodes() -> None:
    runtime = {"checkpoint_every": 7, "grid_every": 5, "log_every": 3}
    node = Node(kind="train", name="cub-ssa-gan-s0", scale="smoke", spec={"seed": 4, "epochs": 2}, runtime=runtime)
    found = Schedule.of(node, 12)
    assert found == Schedule("cub-ssa-gan-s0", node.digest, 12, 4, checkpoint_every=7, grid_every=5, log_every=3)
    due = [done for done in range(1, 13) if found.due(found.grid_every, done)]
    assert due == [5, 10, 12]
