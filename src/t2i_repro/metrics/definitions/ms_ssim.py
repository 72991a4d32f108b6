"""MS-SSIM of pairs of samples: their diversity (`metrics/structural_similarity.py`, `metrics/diversity.py`)."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from t2i_repro.core.schema import COUNT
from t2i_repro.metrics.diversity import Diversity, class_wise_ms_ssim, overall_ms_ssim
from t2i_repro.metrics.images import Images
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_around
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """``value: mean`` over pairs of any samples or of one class, or the ``deviation`` between classes."""
    images: Images = require(inputs.images, "images")
    compat, pairs = protocol["compat"], protocol["pairs"]
    rows = cast(Sequence[np.ndarray], ImageRows(images))
    found: Diversity
    if within_classes(protocol):
        found = class_wise_ms_ssim(rows, images.origin[:, 2], pairs, compat=compat, sample=protocol["sample"])
    else:
        sample = {} if protocol["sample"] is None else {"sample": protocol["sample"]}
        found = overall_ms_ssim(rows, pairs, compat=compat, **sample)
    details: dict[str, Any] = {
        "pairs": found.pairs,
        "undefined": found.undefined,
        "mean": found.mean,
        "deviation": found.std,
        "by_class": {str(label): value for label, value in found.by_class.items()},
        "std_over": f"{len(found.by_class)} classes" if found.by_class else "pairs",
    }
    # Classes are independent; pairs share images, so that their error is a lower bound.
    freedom = (len(found.by_class) or found.pairs) - 1
    deviation = protocol["value"] == "deviation"
    value = found.std if deviation else found.mean
    if freedom < 1:
        return MetricResult(value, images.count, None, details)
    error = found.std / np.sqrt(2 * freedom if deviation else freedom)
    method = f"standard error over {'classes' if found.by_class else 'pairs'}"
    return MetricResult(value, images.count, None, details, interval_around(value, error, method, freedom))


def within_classes(protocol: Protocol) -> bool:
    """Pairs of one class: a sample's class is that of its caption."""
    return protocol["of"] == "classes"


class ImageRows:
    """Images as a sequence that reads one at a time."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images.count

    def __getitem__(self, row: Any) -> np.ndarray:
        return self.images.read(int(row), int(row) + 1)[0]


METRIC = Metric(
    "ms-ssim",
    compute,
    inputs=("images",),
    options={
        "of": {"enum": ["all", "classes"]},
        "value": {"enum": ["mean", "deviation"]},
        "pairs": COUNT,
        "sample": {"description": "Images the pairs are of", "type": "integer", "minimum": 2, "default": None},
        "compat": {"description": "As released, its mistakes repeated", "type": "boolean", "default": False},
    },
    standalone=True,
    needs_captions=within_classes,
    quantities="ms-ssim",
)
