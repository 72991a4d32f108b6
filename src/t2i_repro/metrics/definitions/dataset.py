"""Numbers of images, captions and classes of a dataset."""

from t2i_repro.data.prepared import Prepared
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    data: Prepared = require(inputs.data, "data")
    classes = {name: set(data.class_ids[rows].tolist()) for name, rows in data.splits.items()}
    counts = {
        "images": len(data),
        "captions-per-image": len(data.caption_image) / len(data),
        "classes": len(classes["train"] | classes["test"]),
        "train-classes": len(classes["train"]),
        "test-classes": len(classes["test"]),
    }
    return MetricResult(counts[protocol["what"]], len(data), None, {"counts": counts})


METRIC = Metric(
    "dataset",
    compute,
    inputs=("data",),
    options={"what": {"enum": ["images", "captions-per-image", "classes", "train-classes", "test-classes"]}},
    exact=True,
    quantities="dataset",
)
