"""Mean and covariance in float64, computed block by block; moments of shards merge."""

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError

Array = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

ROWS = 4096  # rows read at a time: 64 MB in float64 at 2048 dimensions


def blocks(features: Array) -> Iterator[Float64]:
    """Rows of `features` [N, d] in float64, a block at a time, so that a memory-mapped file is never all in memory."""
    for start in range(0, len(features), ROWS):
        yield np.asarray(features[start : start + ROWS], dtype=np.float64)
        forget(features)


def forget(features: Array) -> None:
    """Release the pages of a mapped file: they count as this process's memory until the system reclaims them."""
    mapped = getattr(features, "_mmap", None)
    if mapped is not None and getattr(features, "mode", None) == "r" and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Moments:
    """Count, mean [d] and scatter [d, d] (sum of outer products of deviations from the mean) of a set of vectors.

    Merging follows Chan, Golub and LeVeque (1979): unlike sums of raw squares it loses no digits when the mean is
    large relative to the spread.
    """

    count: int
    mean: Float64
    scatter: Float64

    @classmethod
    def of(cls, features: Array) -> "Moments":
        """Moments of the rows of `features` [N, d]."""
        return cls.of_blocks(blocks(features))

    @classmethod
    def of_blocks(cls, parts: Iterable[Float64]) -> "Moments":
        """Moments of all rows of blocks [n, d], one in memory at a time."""
        total: Moments | None = None
        for block in parts:
            mean = block.mean(axis=0)
            centred = block - mean
            part = cls(len(block), mean, centred.T @ centred)
            total = part if total is None else total.merge(part)
        if total is None:
            raise ReproError("moments of an empty set of features; expected at least one row")
        return total

    def merge(self, other: "Moments") -> "Moments":
        """Moments of the union of two disjoint sets."""
        count = self.count + other.count
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(shift, shift * (self.count * other.count / count))
        return Moments(count, self.mean + shift * (other.count / count), scatter)

    @property
    def covariance(self) -> Float64:
        """Unbiased covariance [d, d] (division by N - 1). Raises ReproError when N < 2."""
        if self.count < 2:
            raise ReproError(f"covariance of {self.count} vector; expected at least 2")
        return self.scatter / (self.count - 1)
