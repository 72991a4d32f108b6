"""Kernel distance, KID (`metrics/kernel.py`)."""

from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_around
from t2i_repro.metrics.kernel import kernel_distance
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """KID over all pairs, with its jackknife standard error."""
    features, reference = require(inputs.features, "features"), require(inputs.reference, "reference")
    found = kernel_distance(features.pooled, reference.pooled)
    interval = interval_around(found.value, found.error_of_first, "delete-one jackknife")
    return MetricResult(found.value, len(features.pooled), None, {"error_of_both": found.error}, interval)


METRIC = Metric("kernel-distance", compute, inputs=("features", "reference"), standalone=True)
