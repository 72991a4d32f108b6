"""Uncertainty of a metric: intervals over samples, noise floor of a perfect generator, intervals of proportions.

None of this is the spread over training seeds, which needs several runs. Nothing here needs torch.

Groups are functions of the samples' ids (`hashing.py`), so that order, shards and batches change nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2i_repro.core.digest import derive_seed
from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import check_features, frechet_distance, frechet_from_moments
from t2i_repro.metrics.hashing import Ids, Integers, hashed_order
from t2i_repro.metrics.moments import ROWS, Array, Float64, Moments, forget
from t2i_repro.metrics.quantiles import normal_quantile, student_quantile

Statistic = Callable[[Moments], float]

EMPTY = 1e-13  # eigenvalue, relative to the largest, below which a direction of a covariance is rounding noise


@dataclass(frozen=True)
class Interval:
    """A value, its standard error and a two-sided confidence interval; ``bias`` is the estimated excess of ``value``
    over what infinitely many samples would give (None if not estimated). The interval is around ``value``, bias
    included: it says what another set of as many samples would give, not what more samples would."""

    value: float
    error: float
    low: float
    high: float
    bias: float | None
    method: str
    replicates: int
    confidence: float


def wilson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927, Eq. 4) of a proportion ``hits / count``, both ends in [0, 1].

    Unlike hits +- z standard errors it is right near 0 and 1 too. Raises ReproError unless 0 <= hits <= count, count >
    0.
    """
    if count < 1 or not 0 <= hits <= count:
        raise ReproError(f"proportion: found {hits} hits among {count}; expected 0 <= hits <= count and count >= 1")
    z = normal_quantile(confidence)
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return (0.0 if hits == 0 else low), (1.0 if hits == count else high)


def jackknife_of_moments(
    statistic: Statistic,
    samples: Array,
    groups: int = 20,
    ids: Ids | None = None,
    confidence: float = 0.95,
    gather: Callable[[Array], Moments] = Moments.of,
) -> Interval:
    """Delete-a-group jackknife (Shao and Tu 1995, 5.1) of a statistic of mean and covariance of ``samples`` [N, d].

    Rows are read twice, whatever ``groups``, and a group at a time. Groups go by a hash of ``ids`` (default: row
    indices). ``gather``: moments of rows, if not of the rows as they are. Raises ReproError for fewer than two samples
    in a group.

    Example: ``jackknife_of_moments(lambda moments: cross_modal_from_moments(moments, real, text).cmd, fake)``.
    """
    members = _deal(ids, len(samples), groups)
    full = gather(samples)
    left_out = []
    for group in range(groups):
        part = gather(_picked(samples, members == group))
        left_out.append(statistic(_without(full, part)))
    return _jackknifed(statistic(full), left_out, confidence)


def frechet_interval(
    samples: Array, reference: Array, groups: int = 20, ids: Ids | None = None, confidence: float = 0.95
) -> Interval:
    """Frechet distance of ``samples`` [N, d] to ``reference`` [M, d] with its jackknife interval over the samples.

    The reference set belongs to the protocol and is held fixed. ``bias`` is what N samples instead of infinitely many
    add, to first order in 1/N (compare ``frechet_infinity``).
    """
    value = frechet_distance(samples, reference)
    interval = jackknife_of_moments(frechet_to(Moments.of(reference)), samples, groups, ids, confidence)
    shift = value - interval.value  # of rounding alone, where covariances are rank-deficient
    return Interval(value, interval.error, interval.low + shift, interval.high + shift, *_rest(interval))


@dataclass(frozen=True)
class Floor:
    """Score of a perfect generator with ``samples`` samples: mean and standard deviation over ``repeats`` draws."""

    mean: float
    std: float
    samples: int
    repeats: int


def noise_floor(statistic: Statistic, truth: Moments, samples: int, repeats: int = 10, seed: int = 0) -> Floor:
    """Score of ``samples`` vectors drawn from N(mean, covariance) of ``truth``, the moments of the real features.

    Print it with every FID and CMD: differences of its size mean nothing. The cost does not grow with ``samples``:
    the scatter of N Gaussian vectors is drawn directly (Bartlett's decomposition of the Wishart distribution).
    """
    if samples < 2 or repeats < 2:
        raise ReproError(f"noise floor: found {samples} samples, {repeats} repeats; expected at least 2 of both")
    values, vectors = np.linalg.eigh(truth.covariance)
    kept = values > EMPTY * max(float(values[-1]), 0.0)
    factor = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    scores = []
    for repeat in range(repeats):
        rng = np.random.default_rng(derive_seed("noise floor", seed, repeat))
        root = _wishart_root(rng, samples - 1, len(factor)) @ factor
        mean = truth.mean + rng.standard_normal(len(factor)) @ factor / np.sqrt(samples)
        scores.append(statistic(Moments(samples, mean, root.T @ root)))
    return Floor(float(np.mean(scores)), float(np.std(scores)), samples, repeats)


def frechet_to(reference: Moments) -> Statistic:
    """Frechet distance to ``reference`` as a function of moments, for ``jackknife_of_moments`` and ``noise_floor``."""
    covariance = reference.covariance
    return lambda moments: frechet_from_moments(moments.mean, moments.covariance, reference.mean, covariance)


def frechet_noise_floor(reference: Array, samples: int, repeats: int = 10, seed: int = 0) -> Floor:
    """FID of a perfect generator at ``samples`` samples against the real features ``reference`` [M, d]."""
    check_features(reference, "real features")
    truth = Moments.of(reference)
    return noise_floor(frechet_to(truth), truth, samples, repeats, seed)


def _deal(ids: Ids | None, count: int, groups: int) -> Integers:
    """Group of each sample; sizes differ by one at most."""
    if groups < 2 or count < 2 * groups:
        raise ReproError(
            f"jackknife: found {count} samples for {groups} groups; expected >= 2 groups, >= 2 samples in each"
        )
    group_of = np.empty(count, dtype=np.int64)
    group_of[hashed_order(ids, count, "jackknife")] = np.arange(count) % groups
    return group_of


def _picked(samples: Array, chosen: npt.NDArray[np.bool_]) -> Array:
    """``samples[chosen]``, from a block of a mapped file at a time."""
    parts = []
    for start in range(0, len(samples), ROWS):
        parts.append(samples[start : start + ROWS][chosen[start : start + ROWS]])
        forget(samples)
    return np.concatenate(parts)


def _without(full: Moments, part: Moments) -> Moments:
    """Moments of what is left of a set: the inverse of ``Moments.merge``."""
    count = full.count - part.count
    mean = full.mean + (full.mean - part.mean) * (part.count / count)
    shift = part.mean - mean
    scatter = full.scatter - part.scatter - np.outer(shift, shift * (part.count * count / full.count))
    return Moments(count, mean, scatter)


def _jackknifed(value: float, without: list[float], confidence: float) -> Interval:
    groups, left_out = len(without), np.asarray(without)
    error = float(np.sqrt((groups - 1) * left_out.var()))
    bias = (groups - 1) * (float(left_out.mean()) - value)
    half = student_quantile(confidence, groups - 1) * error
    return Interval(value, error, value - half, value + half, bias, "jackknife", groups, confidence)


def _rest(interval: Interval) -> tuple[float | None, str, int, float]:
    return interval.bias, interval.method, interval.replicates, interval.confidence


def _wishart_root(rng: np.random.Generator, freedom: int, size: int) -> Float64:
    """A with A' A ~ Wishart(freedom, identity of ``size``); [min(freedom, size), size]."""
    if freedom <= size:
        return rng.standard_normal((freedom, size))
    root = np.triu(rng.standard_normal((size, size)), 1)
    root[np.diag_indices(size)] = np.sqrt(rng.chisquare(freedom - np.arange(size)))
    return root
