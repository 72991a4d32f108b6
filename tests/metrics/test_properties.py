"""What may change no number: the order of samples, shards, the size of blocks, the number of workers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from t2i_repro import metrics
from t2i_repro.errors import ReproError
from t2i_repro.metrics import moments, precision, sources
from t2i_repro.metrics import retrieval_at_k as recall
from t2i_repro.metrics import structural_similarity as structural
from t2i_repro.metrics.sources import open_source

RNG = np.random.default_rng(0)
COUNT = 90
FAKE, REAL, TEXT = (RNG.standard_normal((count, 12)).astype(np.float32) + 0.5 for count in (COUNT, 110, 130))
PROBABILITIES = RNG.dirichlet(np.ones(7), COUNT)
IMAGES = RNG.integers(0, 256, (COUNT, 16, 16, 3), dtype=np.uint8)
OWN, GROUPS = RNG.integers(0, 130, COUNT), np.arange(130) // 5

# The score of the samples `rows` (numbers of some or all of them, in any order), by their numbers alone.
SCORES: dict[str, Callable[[np.ndarray], float]] = {
    "fid": lambda rows: metrics.frechet_distance(FAKE[rows], REAL),
    "kid": lambda rows: metrics.kernel_distance(FAKE[rows], REAL).value,
    "cmd": lambda rows: metrics.cross_modal_distance(FAKE[rows], REAL, TEXT).cmd,
    "fid-interval": lambda rows: metrics.frechet_interval(FAKE[rows], REAL, 5, ids=rows).error,
    "fid-infinity": lambda rows: metrics.frechet_infinity(FAKE[rows], REAL, points=4, ids=rows).value,
    "is": lambda rows: metrics.inception_score(PROBABILITIES[rows], 3, metrics.hashed_splits(rows, 3))[0],
    "is-std": lambda rows: metrics.inception_score(PROBABILITIES[rows], 3, metrics.hashed_splits(rows, 3))[1],
    "r-precision": lambda rows: metrics.r_precision(FAKE[rows], TEXT, OWN[rows], GROUPS, ids=rows).value,
    "r-precision-std": lambda rows: metrics.r_precision(FAKE[rows], TEXT, OWN[rows], GROUPS, ids=rows).std,
    "ms-ssim": lambda rows: metrics.overall_ms_ssim(IMAGES[rows], 20, ids=rows).mean,
    "class-wise": lambda rows: metrics.class_wise_ms_ssim(IMAGES[rows], rows % 3, 9, ids=rows).std,
}
ALL = np.arange(COUNT)


@pytest.mark.parametrize("name", SCORES)
def test_order_and_shards_change_nothing(name: str) -> None:
    expected = SCORES[name](ALL)
    shuffled = np.random.default_rng(1).permutation(COUNT)
    assert SCORES[name](shuffled) == pytest.approx(expected, rel=1e-9)
    joined = metrics.join_shards([(part, part) for part in np.array_split(shuffled, 4)], COUNT)
    assert SCORES[name](joined) == expected
    fewer = SCORES[name](ALL[:-30])
    assert fewer != expected


@pytest.mark.parametrize("name", SCORES)
def test_blocks_and_workers_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = SCORES[name](ALL)
    for module, key, value in (
        (moments, "ROWS", 13),
        (recall, "ROWS", 13),
        (precision, "CHUNK", 7),
        (precision, "THREADS", 5),
        (structural, "THREADS", 5),
    ):
        monkeypatch.setattr(module, key, value)
    monkeypatch.setattr("t2i_repro.metrics.kernel.ROWS", 13)
    monkeypatch.setattr("t2i_repro.metrics.cross_modal.LARGE", 20)
    assert SCORES[name](ALL) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("workers", [1, 7])
def test_workers_that_decode_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    for number, pixels in enumerate(IMAGES[:40]):
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    expected = open_source(tmp_path)
    monkeypatch.setattr(sources, "WORKERS", workers)
    monkeypatch.setattr(sources, "WAITING", 3)
    found = open_source(tmp_path)
    assert found.digest == expected.digest
    np.testing.assert_array_equal(found.read(0, 40, 12), expected.read(0, 40, 12))


def test_shards_that_do_not_fit_are_named() -> None:
    parts = [(np.array([2, 0]), FAKE[[2, 0]]), (np.array([1, 3]), FAKE[[1, 3]])]
    np.testing.assert_array_equal(metrics.join_shards(parts, 4), FAKE[:4])
    for broken, message in (
        ((parts, 5), r"sample 4 is in none \(1 of 5"),
        (([*parts, (np.array([3, 4]), FAKE[3:5])], 5), "shards 1 and 2: sample 3 is in both"),
        (([(np.array([0, 0]), FAKE[:2])], 1), "shard 0: sample 0 is in it twice"),
        ((parts, 3), "shard 1: ids 1 to 3; expected 0 to 2"),
        (([parts[0], (np.array([1]), FAKE[:1, :5])], 3), "shard 1: int64 ids"),
        (([parts[0], (np.array([1]), FAKE[:1].astype(float))], 3), "rows of float64; expected float32"),
        (([], 3), "there is none"),
    ):
        with pytest.raises(ReproError, match=message):
            metrics.join_shards(*broken)  # type: ignore[arg-type]
