"""95% intervals over samples as `metric.json` holds them: {low, high, error, method, confidence}."""

from typing import Any

import numpy as np

from t2i_repro.metrics.quantiles import normal_quantile, student_quantile

CONFIDENCE = 0.95
GROUPS = 20  # of the jackknife; fewer for fewer than 40 samples
FLOOR_REPEATS = 10  # draws of a perfect generator


def jackknife_groups(count: int) -> int:
    """Number of groups for ``count`` samples: each group has two at least."""
    return min(GROUPS, count // 2)


def interval_around(value: float, error: float, method: str, freedom: int | None = None) -> dict[str, Any] | None:
    """Interval value ± q·error: q of Student's t with ``freedom`` degrees of freedom, of the normal distribution if
    None. None when the standard error is not finite."""
    if not np.isfinite(error):
        return None
    half = error * (normal_quantile(CONFIDENCE) if freedom is None else student_quantile(CONFIDENCE, freedom))
    ends = {"low": value - half, "high": value + half, "error": float(error)}
    return {**ends, "method": method, "confidence": CONFIDENCE}


def interval_of_proportion(low: float, high: float) -> dict[str, Any]:
    """Wilson's interval [low, high] of a proportion in per cent, with the standard error that corresponds to it."""
    error = 100 * (high - low) / 2 / normal_quantile(CONFIDENCE)
    return {"low": 100 * low, "high": 100 * high, "error": error, "method": "Wilson", "confidence": CONFIDENCE}
