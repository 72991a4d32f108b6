"""Frechet distance between Gaussians fitted to two sets of features (Heusel et al. 2017, Eq. 6), in float64.

    |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))

With factors F of the covariances, S = F' F, the last trace is the sum of the singular values of F1 F2', or of the
square roots of the eigenvalues of F1 S2 F1'. The second is faster and loses half the digits of small eigenvalues, so
it is used where an estimate of that loss is negligible. Neither forms the square root of a non-symmetric matrix, so
nothing complex appears and rank-deficient covariances need no jitter.

A factor is the first available of: the centred samples themselves (no more samples than dimensions), the
Cholesky factor of a well-conditioned covariance, the R of a QR decomposition of the samples, or, where only moments
are known, an eigendecomposition without the directions that rounding made up.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import ROWS, Array, Float64, Moments, blocks, forget

EPSILON = float(np.finfo(np.float64).eps)
TILE = 128  # two of float64 fit a core's cache
CONDITION = 1e-10  # smallest squared Cholesky pivot, relative to the largest variance, that is trusted
TOLERANCE = 1e-11  # estimated relative error up to which eigenvalues replace singular values


def frechet_distance(first: Array, second: Array) -> float:
    """Frechet distance between two sets of features, [N, d] and [M, d], N and M >= 2, any float type, memory-mapped
    or not.

    Covariances are unbiased (N - 1), as in every published FID. Two identical sets, in any order, give exactly 0.
    Raises ReproError on wrong shapes, fewer than two rows, NaN or infinity.
    """
    for name, features in (("first", first), ("second", second)):
        check_features(features, f"{name} set of features")
    if first.shape[1] != second.shape[1]:
        raise ReproError(f"features of {first.shape[1]} and of {second.shape[1]} dimensions: two different networks?")
    if same_rows(first, second):
        return 0.0
    moments = Moments.of(first), Moments.of(second)
    varying = _varying(moments[0].scatter, moments[1].scatter)
    covariances = [_part(one.covariance, varying) for one in moments]
    factors = [
        partial(_factor_of_samples, features, varying, one.mean[varying], covariance)
        for features, one, covariance in zip((first, second), moments, covariances, strict=True)
    ]
    small = 0 if len(first) <= len(second) else 1
    cross = _trace_of_root(factors[small], factors[1 - small], covariances[1 - small])
    return _distance(moments[0].mean, moments[0].covariance, moments[1].mean, moments[1].covariance, cross)


def frechet_from_moments(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> float:
    """Frechet distance between N(mean1, covariance1) and N(mean2, covariance2): means [d], covariances [d, d].

    Equal moments give exactly 0. Directions whose variance is below d * 2.2e-16 of the largest count as empty: moments
    in float64 know nothing of them.
    """
    means = [np.asarray(mean, dtype=np.float64) for mean in (mean1, mean2)]
    full = [np.asarray(covariance, dtype=np.float64) for covariance in (covariance1, covariance2)]
    for mean, covariance in zip(means, full, strict=True):
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or len(mean) != len(means[0]):
            raise ReproError(f"mean of shape {mean.shape} with covariance {covariance.shape}; expected [d] and [d, d]")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise ReproError("mean or covariance holds NaN or infinity")
    if np.array_equal(means[0], means[1]) and np.array_equal(full[0], full[1]):
        return 0.0
    full = [_symmetric(covariance) for covariance in full]
    varying = _varying(full[0], full[1])
    covariances = [_part(covariance, varying) for covariance in full]
    cross = _trace_of_root(
        partial(_factor_of_covariance, covariances[0]), partial(_factor_of_covariance, covariances[1]), covariances[1]
    )
    return _distance(means[0], full[0], means[1], full[1], cross)


def check_features(features: Array, name: str) -> None:
    """Raise ReproError naming the set and the row unless features are [N >= 2, d] of finite numbers."""
    if features.ndim != 2 or len(features) < 2 or features.shape[1] < 1:
        raise ReproError(f"{name}: found shape {features.shape}; expected [N, d] with at least 2 rows")
    start = 0
    for block in blocks(features):
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            raise ReproError(f"{name}: row {start + bad[0]} holds NaN or infinity; compute the features again")
        start += len(block)


def same_rows(first: Array, second: Array) -> bool:
    """Whether two sets hold the same rows, in any order."""
    if first.shape != second.shape or not np.array_equal(_first_column(first), _first_column(second)):
        return False
    if np.array_equal(first, second):
        return True
    if first.dtype != second.dtype:
        return False
    rows = f"V{first.shape[1] * first.itemsize}"
    one, other = (np.sort(np.ascontiguousarray(features + 0.0).view(rows).ravel()) for features in (first, second))
    return bool(np.array_equal(one, other))


def _first_column(features: Array) -> Array:
    """Its values, sorted; read a block at a time, for a column of a mapped file touches every page of it."""
    column = np.empty(len(features), dtype=features.dtype)
    for start in range(0, len(features), ROWS):
        column[start : start + ROWS] = features[start : start + ROWS, 0]
        forget(features)
    column.sort()
    return column


def _varying(first: Float64, second: Float64) -> npt.NDArray[np.intp]:
    """Columns that vary in both sets; the others (a unit that never fires) add nothing to the cross term."""
    return np.flatnonzero((np.diag(first) > 0) & (np.diag(second) > 0))


def _symmetric(covariance: Float64) -> Float64:
    return covariance if _is_symmetric(covariance) else (covariance + covariance.T) / 2


def _is_symmetric(matrix: Float64) -> bool:
    """Tile by tile: reading the full transpose misses the cache, seven times slower."""
    starts = range(0, len(matrix), TILE)
    return all(
        np.array_equal(
            matrix[row : row + TILE, column : column + TILE], matrix[column : column + TILE, row : row + TILE].T
        )
        for row in starts
        for column in starts[: row // TILE + 1]
    )


def _part(covariance: Float64, columns: npt.NDArray[np.intp]) -> Float64:
    return covariance if len(columns) == len(covariance) else covariance[np.ix_(columns, columns)]


def _distance(mean1: Float64, covariance1: Float64, mean2: Float64, covariance2: Float64, cross: float) -> float:
    shift = mean1 - mean2
    value = float(shift @ shift) + float(np.trace(covariance1)) + float(np.trace(covariance2)) - 2 * cross
    return max(value, 0.0)


def _factor_of_samples(features: Array, columns: npt.NDArray[np.intp], mean: Float64, covariance: Float64) -> Float64:
    """F with F' F = covariance of ``columns``, at most d rows, as exact as the samples allow."""
    count, dimensions = len(features), len(columns)
    if count - 1 <= dimensions:
        return _contrasts(np.asarray(features[:, columns], dtype=np.float64) - mean) / np.sqrt(count - 1)
    factor = _cholesky(covariance)
    if factor is not None:
        return factor
    triangle = np.zeros((0, dimensions))
    for block in blocks(features):
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, block[:, columns] - mean]), mode="r"))
    return triangle / np.sqrt(count - 1)


def _contrasts(centred: Float64) -> Float64:
    """[N - 1, d] with the scatter of `centred` [N, d]: a Householder reflection turns the empty direction (1, .., 1)
    into the first row, which is left out. With it, rounding would add the square root of an eigenvalue that is 0."""
    count = len(centred)
    axis = np.full(count, 1 / np.sqrt(count))
    axis[0] += 1
    return centred[1:] - np.outer(axis[1:], (axis @ centred) * (2 / (axis @ axis)))


def _cholesky(covariance: Float64) -> Float64 | None:
    """Upper triangular factor, or None where the covariance is singular or nearly so."""
    if not covariance.size:
        return covariance
    # SciPy takes a third of the start of any `score`, and few need it.
    from scipy.linalg import lapack

    lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
    if failed or np.diag(lower).min() ** 2 < CONDITION * np.diag(covariance).max():
        return None
    return np.asarray(lower.T)


def _factor_of_covariance(covariance: Float64) -> Float64:
    factor = _cholesky(covariance)
    return _truncated_root(covariance) if factor is None else factor


def _truncated_root(covariance: Float64) -> Float64:
    """Factor from the eigenvectors above rounding noise."""
    if not covariance.size:
        return covariance
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * EPSILON * max(values[-1], 0.0)
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


def _trace_of_root(factor: Callable[[], Float64], other: Callable[[], Float64], covariance: Float64) -> float:
    """tr((S1 S2)^(1/2)) from a factor of S1, and S2; a factor of S2 is made only where it is needed."""
    rows = factor()
    if min(rows.size, covariance.size) == 0:
        return 0.0
    # As above: keeps SciPy out of scores without a Fréchet distance.
    from scipy.linalg import eigvalsh

    values = eigvalsh(_product(rows, covariance), driver="evd", overwrite_a=True, check_finite=False)
    noise = EPSILON * max(float(values[-1]), 0.0)
    roots = np.sqrt(np.maximum(values, 0.0))
    # An eigenvalue known to +-noise has a root known to +-noise / (2 root); signs differ, so squares add.
    lost = float(np.linalg.norm(noise / (2 * np.sqrt(np.maximum(values, noise))))) if noise else 0.0
    total = float(roots.sum())
    if lost <= TOLERANCE * total:
        return total
    return float(np.linalg.svd(rows @ other().T, compute_uv=False).sum())


def _product(rows: Float64, covariance: Float64) -> Float64:
    """The lower triangle of F S F', F = ``rows``; where F is triangular at half the cost of two products."""
    if rows.shape[0] == rows.shape[1] and not np.tril(rows, -1).any():
        # As above.
        from scipy.linalg import lapack

        product, _ = lapack.dsygst(covariance, rows.T, itype=2, lower=1)
        return np.asarray(product)
    return np.asarray(rows @ covariance @ rows.T)
