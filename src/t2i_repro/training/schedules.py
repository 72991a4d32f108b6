"""Schedules over epochs: learning rates, and when weights are kept. Needs no torch."""

from typing import Any


def damsm_rate(epoch: int, initial: float, decay: float) -> float:
    """Learning rate of an epoch (from 0): decays once per epoch until it is no longer above a tenth of the initial."""
    rate = initial
    for _ in range(epoch):
        if rate <= initial / 10:
            break
        rate *= decay
    return rate


def snapshot_epochs(train: dict[str, Any]) -> list[int]:
    """Epochs (from 1), evenly spread, after which a training keeps weights to sample from. The last is its end."""
    epochs: int = train["epochs"]
    count = min(train.get("snapshots", 1), epochs)
    return [epochs * number // count for number in range(1, count + 1)]
