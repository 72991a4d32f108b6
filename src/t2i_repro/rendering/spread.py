"""Uncertainty of a rebuilt number: spread over seeds, sampling noise, and the digits that they justify.

The spread over seeds says how the number changes with another training. Sampling noise says how it changes with another
sample of the same run; each score estimates its own (`uncertainty` in metric.json). They are kept apart.
"""

from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

from t2i_repro.metrics.quantiles import student_quantile
from t2i_repro.metrics.registry import is_exact

CONFIDENCE = 0.95
DEVIATION, ERROR = "standard deviation", "standard error"


@dataclass(frozen=True)
class Spread:
    """A value with its uncertainty; None where it is unknown.

    ``value``: mean over seeds. ``std``: the number after ±, a ``std_is`` (standard deviation, standard error) over
    ``std_over`` (3 seeds, 10 splits, samples). ``sampling``: {error, method}, the standard error of ``value`` over
    samples of the same runs. ``interval``: {low, high, of}, the 95% confidence interval of the mean over seeds, or of a
    single run over its samples. ``digits_by``: the uncertainty that limits the digits shown. ``exact``: the value is
    counted.
    """

    value: float
    std: float | None = None
    std_is: str | None = None
    std_over: str | None = None
    sampling: dict[str, Any] | None = None
    interval: dict[str, Any] | None = None
    digits_by: float | None = None
    exact: bool = False


def spread_of(scores: list[dict[str, Any]]) -> Spread:
    """Spread of the scores (metric.json) of one cell, one per seed."""
    values = [float(score["value"]) for score in scores]
    value = fmean(values)
    if all(is_exact(score["metric"]) for score in scores):
        return Spread(value, interval=interval_of(min(values), max(values), "counted"), exact=True)
    sampling = sampling_noise(scores)
    if len(scores) > 1:
        std, over = stdev(values), f"{len(scores)} seeds"
        half = student_quantile(CONFIDENCE, len(scores) - 1) * std / sqrt(len(scores))
        return Spread(value, std, DEVIATION, over, sampling, interval_of(value - half, value + half, over), std)
    (score,) = scores
    error = None if sampling is None else sampling["error"]
    own = score.get("uncertainty")
    interval = None if own is None else interval_of(own["low"], own["high"], "samples")
    if score["std"] is None:
        if error is None:
            return Spread(value, interval=interval)
        return Spread(value, error, ERROR, "samples", sampling, interval, error)
    std, over = score["std"], score["details"].get("std_over") or f"{score['details']['splits']} splits"
    return Spread(
        value,
        std,
        DEVIATION,
        over,
        sampling,
        interval or interval_of(value - std, value + std, over),
        std if error is None else error,
    )


def interval_of(low: float, high: float, of: str) -> dict[str, Any]:
    return {"low": low, "high": high, "of": of}


def sampling_noise(scores: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Standard error of the mean of ``scores`` over samples of their runs; None if one of them has no estimate."""
    estimates = [score.get("uncertainty") for score in scores]
    known = [one for one in estimates if one is not None and one.get("error") is not None]
    if len(known) < len(scores):
        return None
    error = sqrt(sum(one["error"] ** 2 for one in known)) / len(known)
    return {"error": error, "method": known[0]["method"]}


def known_digits(uncertainty: float | None, digits: int) -> int:
    """Number of decimals justified by an uncertainty: down to its first significant digit (0.3: 1, 0.03: 2, 12: -1,
    that is tens), and at most ``digits``, those of print."""
    if uncertainty is None or not isfinite(uncertainty) or uncertainty <= 0:
        return digits
    return min(digits, -int(f"{uncertainty:.0e}".split("e")[1]))  # 0.097 counts as 0.1


def format_value(value: float, std: float | None, digits: int) -> str:
    """`4.97 ± 0.09`, rounded to ``digits`` decimals; a negative number of them rounds to tens, hundreds."""

    def text(number: float) -> str:
        return f"{round(number, digits) + 0.0:.{max(digits, 0)}f}".replace("-", "−")  # + 0.0: no minus before zero

    return text(value) if std is None else f"{text(value)} ± {text(std)}"
