"""FID of infinitely many samples, extrapolated (Chong and Forsyth, "Effectively Unbiased FID and Inception Score",
2020).

FID of N samples exceeds that of the generator by a term that falls as 1/N and differs between generators, so that it
may change their order. A straight line through FIDs of subsets, over 1/N, is read off at 1/N = 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.hashing import Ids, hashed_order
from t2i_repro.metrics.moments import Array


@dataclass(frozen=True)
class Extrapolation:
    """``value`` at infinitely many samples, ``error`` its standard error from the residuals of the line, ``slope`` per
    1/N; ``points``: (number of samples, distance) of each subset. Subsets overlap, so ``error`` is a lower bound."""

    value: float
    error: float
    slope: float
    points: tuple[tuple[int, float], ...]


def frechet_infinity(
    samples: Array,
    reference: Array,
    frechet: Callable[[Array, Array], float] = frechet_distance,
    points: int = 15,
    smallest: int | None = None,
    ids: Ids | None = None,
    seed: int = 0,
) -> Extrapolation:
    """FID-infinity of ``samples`` [N, d] against ``reference`` [M, d].

    Subsets of ``points`` sizes, evenly spaced from ``smallest`` (5,000 as the authors have it; N / 4 if N < 20,000)
    to N, each drawn independently, without replacement by a hash of ``ids`` (default: row indices). ``frechet(subset,
    reference)`` may be any distance whose bias falls as 1/N. The reference's own bias stays. The value may be below 0
    by noise.

    Raises ReproError on fewer than 3 points or when sizes do not differ.
    """
    count = len(samples)
    first = (5000 if count >= 20000 else count // 4) if smallest is None else smallest
    if points < 3 or not 2 <= first <= count - points:
        raise ReproError(
            f"FID-infinity: found {points} subsets of {first} to {count} samples; expected >= 3, of distinct sizes >= 2"
        )
    found = []
    for size in np.linspace(first, count, points).astype(int):
        rows = np.sort(hashed_order(ids, count, "infinity", seed, int(size))[:size])
        found.append((int(size), frechet(samples[rows], reference)))
    inverse = np.array([1 / size for size, _ in found])
    distances = np.array([distance for _, distance in found])
    centred = inverse - inverse.mean()
    slope = float(centred @ distances / (centred @ centred))
    value = float(distances.mean() - slope * inverse.mean())
    residuals = distances - value - slope * inverse
    variance = residuals @ residuals / (points - 2) * (1 / points + inverse.mean() ** 2 / (centred @ centred))
    return Extrapolation(value, float(np.sqrt(variance)), slope, tuple(found))
