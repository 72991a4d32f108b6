"""Kernel Inception Distance (Binkowski et al., "Demystifying MMD GANs", ICLR 2018, Sec. 4), in float64.

The squared maximum mean discrepancy under k(x, y) = (x.y / d + 1)^3, unbiased: its expectation is 0 for equal
distributions whatever N, unlike FID's, and it may come out negative.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import check_features, same_rows
from t2i_repro.metrics.moments import Array, Float64, forget

ROWS = 1024  # rows of a block of the kernel matrix: 8 MB in float64


@dataclass(frozen=True)
class KernelDistance:
    """``value``: unbiased estimate (negative by chance, when distributions are close); ``error``: standard error, over
    draws of the first set alone and of both; ``counts``: rows of the two sets. Papers often print KID x 1000."""

    value: float
    error_of_first: float
    error: float
    counts: tuple[int, int]


def kernel_distance(first: Array, second: Array) -> KernelDistance:
    """KID of all pairs of two sets of features, [N, d] and [M, d], N and M >= 3, any float type, memory-mapped or not.

    The full-sample U-statistic: no subsets, nothing random, independent of order. Standard errors are those of the
    delete-one jackknife, which row sums of the kernel matrices give in closed form. Two identical sets (in any order)
    give exactly 0, not the negative number of the U-statistic: they are not independent draws.

    Time O((N + M)^2 d), memory O(block). Raises ReproError on wrong shapes, too few rows, NaN or infinity.
    """
    for name, features in (("first", first), ("second", second)):
        check_features(features, f"{name} set of features")
        if len(features) < 3:
            raise ReproError(f"{name} set of features: found {len(features)} rows; expected at least 3")
    _same_width(first, second)
    n, m = len(first), len(second)
    if same_rows(first, second):
        return KernelDistance(0.0, 0.0, 0.0, (n, m))
    own1, own2 = _row_sums(first, None)[0], _row_sums(second, None)[0]
    cross1, cross2 = _row_sums(first, second)
    total1, total2, total = own1.sum(), own2.sum(), cross1.sum()
    within1, within2, between = total1 / (n * (n - 1)), total2 / (m * (m - 1)), total / (n * m)
    value = within1 + within2 - 2 * between
    without1 = (total1 - 2 * own1) / ((n - 1) * (n - 2)) + within2 - 2 * (total - cross1) / ((n - 1) * m)
    without2 = within1 + (total2 - 2 * own2) / ((m - 1) * (m - 2)) - 2 * (total - cross2) / (n * (m - 1))
    variance1, variance2 = (n - 1) * without1.var(), (m - 1) * without2.var()
    return KernelDistance(float(value), float(np.sqrt(variance1)), float(np.sqrt(variance1 + variance2)), (n, m))


def kernel_distance_of_subsets(
    first: Array, second: Array, subsets: int = 100, size: int = 1000, seed: int = 2020
) -> tuple[float, float]:
    """Mean and population standard deviation of KID over random subsets, as libraries print it.

    With the defaults the subsets are those of torch-fidelity (NumPy's legacy generator, seed 2020, the first set drawn
    first, without replacement), hence they depend on the order of rows. The deviation is that of subsets of ``size``:
    no standard error of the mean, and larger than ``kernel_distance(...).error``. ``size`` is never cut down silently.

    Raises ReproError when a set has fewer than ``size`` rows.
    """
    for name, features in (("first", first), ("second", second)):
        check_features(features, f"{name} set of features")
        if not 2 <= size <= len(features):
            raise ReproError(
                f"{name} set of features: {len(features)} rows for subsets of {size}; give size <= {len(features)}"
            )
    _same_width(first, second)
    rng = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        one = first[rng.choice(len(first), size, replace=False)]
        other = second[rng.choice(len(second), size, replace=False)]
        sums = _row_sums(one, None)[0].sum() + _row_sums(other, None)[0].sum()
        values.append(sums / (size * (size - 1)) - 2 * _row_sums(one, other)[0].sum() / size**2)
    return float(np.mean(values)), float(np.std(values))


def _same_width(first: Array, second: Array) -> None:
    if first.shape[1] != second.shape[1]:
        raise ReproError(f"features of {first.shape[1]} and of {second.shape[1]} dimensions: two different networks?")


def _kernel(first: Float64, second: Float64) -> Float64:
    products = first @ second.T
    products /= first.shape[1]
    products += 1
    cubes = products * products
    cubes *= products
    return cubes


def _row_sums(first: Array, second: Array | None) -> tuple[Float64, Float64]:
    """Sums of the kernel matrix over its columns and over its rows; within one set (``second`` None) without its
    diagonal."""
    other = first if second is None else second
    sums, columns = np.zeros(len(first)), np.zeros(len(other))
    for start in range(0, len(first), ROWS):
        block = _float64(first, start)
        for at in range(0 if second is not None else start, len(other), ROWS):
            values = _kernel(block, _float64(other, at))
            if second is None and at == start:
                np.fill_diagonal(values, 0.0)
                sums[start : start + ROWS] += values.sum(axis=1)
                continue
            sums[start : start + ROWS] += values.sum(axis=1)
            (sums if second is None else columns)[at : at + ROWS] += values.sum(axis=0)
        forget(first)
        forget(other)
    return sums, columns


def _float64(features: Array, start: int) -> npt.NDArray[np.float64]:
    return np.asarray(features[start : start + ROWS], dtype=np.float64)
