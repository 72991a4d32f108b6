"""How far a rebuilt number can be trusted: the spread over seeds, the noise of sampling, and the digits it knows.

The two are kept apart. Another training gives another number: that is the spread over seeds. Another sample of the same
run gives another number, too: that is the noise of sampling, which a score tells of itself (`uncertainty`).
"""

from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

from t2i_repro.metrics.quantiles import student_quantile

CONFIDENCE = 0.95
COUNTED = ("parameters", "devices", "dataset")  # metrics that count: nothing about them is random
DEVIATION, ERROR = "standard deviation", "standard error"


@dataclass(frozen=True)
class Spread:
    """``value``: mean over seeds. ``std`` is what stands behind ±: ``std_is`` (standard deviation, standard error)
    over ``std_over`` (3 seeds, 10 splits, samples); None where nothing is known.

    ``sampling``: {error, method} of ``value`` over samples of the same runs. ``interval``: {low, high, of}, where the
    value lies with 95% confidence: the mean over seeds where there are several, else this one sample's. ``digits_by``:
    the uncertainty that decides on digits. ``exact``: counted.
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
    """Of the scores (metric.json) of one cell, one per seed."""
    values = [float(score["value"]) for score in scores]
    value = fmean(values)
    if all(score["metric"] in COUNTED for score in scores):
        return Spread(value, interval=interval_of(min(values), max(values), "counted"), exact=True)
    sampling = sampling_noise(scores)
    if len(scores) > 1:
        std, over = stdev(values), f"{len(scores)} seeds"
        half = student_quantile(CONFIDENCE, len(scores) - 1) * std / sqrt(len(scores))
        return Spread(value, std, DEVIATION, over, sampling, interval_of(value - half, value + half, over), std)
    (score,) = scores
    error = None if sampling is None else sampling["error"]
    told = score.get("uncertainty")
    interval = None if told is None else interval_of(told["low"], told["high"], "samples")
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
    """Standard error of the mean of ``scores`` over samples of their runs; None where one of them does not tell."""
    told = [score.get("uncertainty") for score in scores]
    known = [one for one in told if one is not None and one.get("error") is not None]
    if len(known) < len(scores):
        return None
    error = sqrt(sum(one["error"] ** 2 for one in known)) / len(known)
    return {"error": error, "method": known[0]["method"]}


def known_digits(uncertainty: float | None, digits: int) -> int:
    """Decimals that a number of this uncertainty knows: down to its first significant figure (0.3: one, 0.03: two, 12:
    -1, tens), and never more than ``digits``, those of print."""
    if uncertainty is None or not isfinite(uncertainty) or uncertainty <= 0:
        return digits
    return min(digits, -int(f"{uncertainty:.0e}".split("e")[1]))  # 0.097 counts as 0.1


def number(value: float, std: float | None, digits: int) -> str:
    """`4.97 ± 0.09` to so many decimals; negative: to tens, hundreds."""

    def text(given: float) -> str:
        return f"{round(given, digits) + 0.0:.{max(digits, 0)}f}".replace("-", "−")  # + 0.0: no minus before zero

    return text(value) if std is None else f"{text(value)} ± {text(std)}"
