"""R@K between real images and their captions (`metrics/retrieval_at_k.py`)."""

import numpy as np

from t2i_repro.core.schema import COUNT
from t2i_repro.metrics.features import rows_of
from t2i_repro.metrics.hashing import hashed_order
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_of_proportion
from t2i_repro.metrics.registry import Metric, Protocol
from t2i_repro.metrics.retrieval_at_k import retrieval
from t2i_repro.metrics.uncertainty import wilson


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """R@K in per cent, over ``images`` real images chosen by a hash of their index, and all their captions."""
    reference, captions = require(inputs.reference, "reference"), require(inputs.captions, "captions")
    asked, available, k = protocol["images"], len(reference.pooled), protocol["k"]
    chosen = np.sort(hashed_order(reference.origin[:, 0], available, "retrieval")[:asked])
    owners = captions.origin[:, 0]
    kept = np.flatnonzero(np.isin(owners, reference.origin[chosen, 0]))
    owner = rows_of(reference.origin[chosen, 0], owners[kept], "image")
    found = retrieval(reference.pooled[chosen], captions.pooled[kept], owner, (k,))
    by_image = protocol["direction"] == "image-to-text"
    share = (found.image_to_text if by_image else found.text_to_image)[k]
    queries = found.images if by_image else found.captions
    details = {
        "images": found.images,
        "captions": found.captions,
        "ties": found.ties,
        "k": k,
        "direction": protocol["direction"],
    }
    interval = interval_of_proportion(*wilson(round(share * queries), queries))
    shortfalls = [f"{available} images of {asked}"] if available < asked else []
    return MetricResult(100 * share, found.images, None, details, interval, shortfalls=shortfalls)


METRIC = Metric(
    "retrieval",
    compute,
    inputs=("reference", "captions"),
    options={
        "images": {"type": "integer", "minimum": 2},
        "direction": {"enum": ["image-to-text", "text-to-image"]},
        "k": COUNT,
    },
    compares_networks=True,
    quantities="retrieval",
)
