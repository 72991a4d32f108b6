"""FID extrapolated to infinitely many samples (`metrics/infinity.py`)."""

from dataclasses import asdict

from t2i_repro.metrics.infinity import frechet_infinity
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_around
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """FID at 1/N = 0. Its interval is that of the straight line: a lower bound of the real one."""
    features, reference = require(inputs.features, "features"), require(inputs.reference, "reference")
    found = frechet_infinity(features.pooled, reference.pooled, points=protocol["points"])
    interval = interval_around(found.value, found.error, "residuals of the line", len(found.points) - 2)
    return MetricResult(found.value, len(features.pooled), None, {**asdict(found), "std_over": None}, interval)


METRIC = Metric(
    "frechet-infinity",
    compute,
    inputs=("features", "reference"),
    options={"points": {"type": "integer", "minimum": 3, "default": 15}},
    standalone=True,
)
