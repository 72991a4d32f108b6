"""Inception Score: mean and population standard deviation over splits (`metrics/inception_splits.py`)."""

import numpy as np

from t2i_repro.core.schema import COUNT
from t2i_repro.errors import ReproError
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.inception_splits import inception_score
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_around
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """IS ± deviation over splits; the interval is that of the mean over splits."""
    features: Features = require(inputs.features, "features")
    splits = protocol["splits"]
    if features.probabilities is None:
        raise ReproError(f"{features.folder}: {features.facts['network']} has no classes, so no Inception Score")
    if len(features.probabilities) < splits:
        raise ReproError(
            f"protocol {protocol['protocol']} cuts the samples into {splits} splits, and {features.facts['images']} "
            f"has {len(features.probabilities)} images; expected at least {splits}"
        )
    value, std = inception_score(features.probabilities, splits)
    details = {"splits": splits, "split_by": "hash of the sample's index", "classes": features.facts["classes"]}
    if splits < 2:
        return MetricResult(value, len(features.pooled), std, details)
    error = std / np.sqrt(splits - 1)
    interval = interval_around(value, error, "standard error of the mean over splits", splits - 1)
    return MetricResult(value, len(features.pooled), std, details, interval)


METRIC = Metric(
    "inception-score",
    compute,
    inputs=("features",),
    options={"splits": COUNT},
    standalone=True,
    trained_network="fine-tuned by this project; the one released in 2016 is another",
)
