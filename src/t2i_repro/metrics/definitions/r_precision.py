"""R-precision: how often the own caption of a sample is nearest among candidates (`metrics/precision.py`)."""

from t2i_repro.core.schema import COUNT
from t2i_repro.metrics.features import rows_of
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_of_proportion
from t2i_repro.metrics.precision import RPrecision, r_precision
from t2i_repro.metrics.registry import Metric, Protocol, always


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """In per cent; ± over folds as printed, and Wilson's interval."""
    features, captions = require(inputs.features, "features"), require(inputs.captions, "captions")
    own = rows_of(captions.origin[:, 1], features.origin[:, 1], "caption")
    groups = captions.origin[:, 2] if captions.facts["has_classes"] else captions.origin[:, 0]
    found: RPrecision = r_precision(
        features.pooled,
        captions.pooled,
        own,
        groups,
        caption_ids=captions.origin[:, 1],
        candidates=protocol["candidates"],
        folds=protocol["folds"],
        compat=protocol["compat"],
    )
    details = {
        "splits": protocol["folds"],
        "std_over": f"{protocol['folds']} folds",
        "candidates": protocol["candidates"],
        "captions": len(groups),
        "ties": found.ties,
        "mismatching": "another class" if captions.facts["has_classes"] else "another image",
    }
    interval = interval_of_proportion(found.low, found.high)
    return MetricResult(100 * found.value, found.images, 100 * found.std, details, interval)


METRIC = Metric(
    "r-precision",
    compute,
    inputs=("features", "captions"),
    options={
        "candidates": {"type": "integer", "minimum": 2, "default": 100},
        "folds": COUNT | {"default": 10},
        "compat": {"description": "As released, its mistakes repeated", "type": "boolean", "default": False},
    },
    standalone=True,
    needs_captions=always,
)
