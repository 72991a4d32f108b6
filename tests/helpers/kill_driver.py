"""Kills trainings and starts them again; run as a script by test_kill.py.

A process of its own, which imports torch once and forks: a restart then costs milliseconds. Prints JSON: the digests
of an uninterrupted run and those of runs that were killed.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tiny import SNAPSHOTS, digests, schedule, train_gan

PLAN = schedule(snapshots=SNAPSHOTS)
WATCHED = ("write", "fsync", "replace", "unlink")


def attempt(out: Path, kill_after: float | None = None, kill_at_call: int | None = None) -> bool:
    """Train in a child; True if it finished, False if the kill came first."""
    child = os.fork()
    if child == 0:
        if kill_at_call is not None:
            kill_self_at(kill_at_call)
        try:
            train_gan(out, PLAN)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit(f"a training failed by itself in {out}")
    return os.WIFEXITED(status)


def kill_self_at(number: int) -> None:
    """SIGKILL this process just before, or just after, the given call among those that write."""
    calls = 0

    def guarded(original: Callable) -> Callable:
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == number:
                if number % 2:
                    original(*arguments, **options)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return call

    for name in WATCHED:
        setattr(os, name, guarded(getattr(os, name)))
    torch.save = guarded(torch.save)


def main(folder: Path, seed: int, wanted: int) -> None:
    """Kill by the clock in every other run, else at a call that writes; up to four times each."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    train_gan(folder / "whole", PLAN)  # here, so that the children inherit what torch loads at first use
    expected = digests(folder / "whole")
    started = time.monotonic()
    attempt(folder / "timed")
    duration = time.monotonic() - started
    resumed_from: list[int] = []
    found = [digests(folder / "timed")]
    while len(resumed_from) < wanted:
        out = folder / f"run{len(found)}"
        for _ in range(4):
            by_clock = {"kill_after": draw.uniform(0, duration)}
            by_call = {"kill_at_call": draw.randint(1, 80)}
            if attempt(out, **(by_clock if len(found) % 2 else by_call)):  # type: ignore[arg-type]
                break
            resumed_from.append(newest_step(out))
        attempt(out)
        found.append(digests(out))
    print(json.dumps({"kills": len(resumed_from), "resumed_from": resumed_from, "expected": expected, "found": found}))


def newest_step(out: Path) -> int:
    """Step of the checkpoint a killed run left, 0 if none."""
    path = out / ".state" / "checkpoint.pt"
    return torch.load(path)["step"] if path.exists() else 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
