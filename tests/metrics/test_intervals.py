"""Every score that is not a count has an interval: how far another sample would move it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2i_repro.core.config import load_params
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.images import Images
from t2i_repro.metrics.inputs import MetricInputs, MetricResult
from t2i_repro.metrics.intervals import interval_around, interval_of_proportion
from t2i_repro.metrics.registry import metrics

COUNT = 60


def features(
    rng: np.random.Generator, count: int, shift: float = 0.0, classes: int = 0, captions: bool = False
) -> Features:
    pooled = (rng.standard_normal((count, 8)) + shift).astype(np.float32)
    probabilities = rng.dirichlet(np.ones(classes), count).astype(np.float32) if classes else None
    rows = np.arange(count)
    origin = np.stack([rows // (1 if not captions else 2), rows, rows % 5], axis=1)
    facts = {"dimensions": 8, "classes": classes, "has_classes": True, "images": "x", "network": "n"}
    return Features(Path(), {"facts": facts}, pooled, probabilities, origin)


def result(name: str, protocol: dict[str, Any], tmp_path: Path) -> MetricResult:
    rng = np.random.default_rng(0)
    for side in ("image", "text"):
        np.save(tmp_path / f"{side}.npy", rng.standard_normal((9, 4)))
    pictures = rng.integers(0, 256, (COUNT, 176, 176, 3), dtype=np.uint8)
    origin = np.stack([np.arange(COUNT)] * 2 + [np.arange(COUNT) % 5], axis=1)
    images = Images(COUNT, 176, lambda start, stop: pictures[start:stop], False, False, None, origin)
    inputs = MetricInputs(
        features(rng, COUNT, 0.3, classes=6),
        features(rng, COUNT),
        features(rng, 2 * COUNT, captions=True),
        images,
        tmp_path,
    )
    small = {"pairs": 12, "sample": 5} if protocol["metric"] == "ms-ssim" else {}
    return metrics()[protocol["metric"]].score(inputs, {"protocol": name, **protocol, **small, "images": COUNT})


@pytest.mark.parametrize("metric", [name for name, metric in metrics().items() if not metric.exact])
def test_every_score_has_an_interval_around_it(metric: str, project: Path, tmp_path: Path) -> None:
    protocols = load_params(project)["protocols"]
    chosen = [name for name, entry in protocols.items() if entry["metric"] == metric and "px" not in name]
    assert chosen
    for name in chosen:
        found = result(name, protocols[name], tmp_path)
        assert found.uncertainty is not None, name
        assert found.uncertainty["low"] <= found.value <= found.uncertainty["high"], name
        assert found.uncertainty["error"] > 0, name
        assert found.uncertainty["method"], name
        assert found.uncertainty["confidence"] == 0.95


def test_intervals_are_those_of_the_tables() -> None:
    """t of 9 degrees is 2.262, z 1.960; Wilson's of 5 hits in 10 is 0.2366 to 0.7634."""
    found = interval_around(4.0, 0.1, "splits", 9)
    assert found is not None
    assert (found["low"], found["high"]) == (pytest.approx(3.7738, abs=1e-3), pytest.approx(4.2262, abs=1e-3))
    found = interval_around(4.0, 0.1, "images")
    assert found is not None
    assert found["high"] == pytest.approx(4.196, abs=1e-4)
    assert interval_around(4.0, float("nan"), "pairs") is None
    share = interval_of_proportion(0.2366, 0.7634)
    assert (share["low"], share["high"]) == (pytest.approx(23.66), pytest.approx(76.34))
    assert share["error"] == pytest.approx(13.44, abs=0.01)


def test_the_mean_over_splits_is_known_better_than_a_split(tmp_path: Path) -> None:
    """Population deviation s over 10 splits: the mean's standard error is s / sqrt(9)."""
    found = result("is", {"metric": "inception-score", "network": "n", "splits": 10}, tmp_path)
    assert found.std is not None
    assert found.uncertainty is not None
    assert found.uncertainty["error"] == pytest.approx(found.std / 3)
    alone = result("is", {"metric": "inception-score", "network": "n", "splits": 1}, tmp_path)
    assert alone.uncertainty is None
