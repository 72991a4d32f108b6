"""Visual-semantic similarity of samples and their captions (`metrics/semantic.py`)."""

from pathlib import Path

import numpy as np

from t2i_repro.metrics.features import captions_of, rows_of
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import interval_around
from t2i_repro.metrics.moments import ROWS
from t2i_repro.metrics.registry import Metric, Protocol, always
from t2i_repro.metrics.semantic import cosines, of_cosines


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """Mean cosine of each sample and its caption in the joint space of the ranking network."""
    features, captions = require(inputs.features, "features"), require(inputs.captions, "captions")
    folder: Path = require(inputs.ranking_network, "ranking_network")
    maps = {name: np.load(folder / f"{name}.npy") for name in ("image", "text")}
    own = rows_of(captions.origin[:, 1], captions_of(features, captions), "caption")
    parts = []
    for start in range(0, len(own), ROWS):
        rows = {"image": features.pooled[start : start + ROWS], "text": captions.pooled[own[start : start + ROWS]]}
        joint = [part.astype(np.float64) @ maps[name][:-1] + maps[name][-1] for name, part in rows.items()]
        parts.append(cosines(*joint))
    found = of_cosines(np.concatenate(parts))
    interval = interval_around(found.mean, found.std / np.sqrt(found.pairs), "standard error of the mean")
    details = {"std_over": f"{found.pairs} images", "joint": maps["image"].shape[1]}
    shortfalls = ["the ranking network is ours: only its order compares"]
    return MetricResult(found.mean, found.pairs, found.std, details, interval, shortfalls=shortfalls)


METRIC = Metric(
    "vs-similarity",
    compute,
    inputs=("features", "captions", "ranking_network"),
    needs_captions=always,
)
