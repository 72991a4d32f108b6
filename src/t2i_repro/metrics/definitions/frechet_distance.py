"""Fréchet distance, FID (`metrics/frechet.py`)."""

from dataclasses import asdict
from typing import Any

import numpy as np

from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.hashing import hashed_splits
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import FLOOR_REPEATS, jackknife_groups
from t2i_repro.metrics.registry import Metric, Protocol
from t2i_repro.metrics.uncertainty import frechet_interval, frechet_noise_floor


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """FID with its jackknife interval and two floors: of a perfect generator, and between halves of the reference."""
    features, reference = require(inputs.features, "features"), require(inputs.reference, "reference")
    details: dict[str, Any] = {"dimensions": features.facts["dimensions"]}
    halves = hashed_splits(np.arange(len(reference.pooled)), 2)
    first, second = np.flatnonzero(halves == 0), np.flatnonzero(halves == 1)
    if len(second) >= 2:
        between = frechet_distance(np.asarray(reference.pooled[first]), np.asarray(reference.pooled[second]))
        details["noise_floor"] = {"value": between, "n": [len(first), len(second)], "of": "two halves of the reference"}
    count = len(features.pooled)
    floor = asdict(frechet_noise_floor(reference.pooled, count, FLOOR_REPEATS))
    if count < 4:
        return MetricResult(frechet_distance(features.pooled, reference.pooled), count, None, details, None, floor)
    interval = frechet_interval(features.pooled, reference.pooled, jackknife_groups(count))
    return MetricResult(interval.value, count, None, details, asdict(interval), floor)


METRIC = Metric("frechet-distance", compute, inputs=("features", "reference"), standalone=True)
