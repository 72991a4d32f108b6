"""R-precision against a loop, and what may not change it."""

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics.precision import compare, mismatching, r_precision, score_hits
from t2i_repro.metrics.uncertainty import wilson


def task(
    images: int = 400, captions: int = 600, classes: int = 20, noise: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((captions, 16)).astype(np.float32)
    own = rng.integers(0, captions, images)
    pictures = texts[own] + noise * rng.standard_normal((images, 16)).astype(np.float32)
    return pictures, texts, own, rng.integers(0, classes, captions)


def test_equals_a_loop() -> None:
    pictures, texts, own, groups = task()
    drawn = mismatching(own, groups)
    hits = []
    for picture, mine, others in zip(pictures, own, drawn, strict=True):
        candidates = texts[[mine, *others]].astype(np.float64)
        cosines = candidates @ picture / np.linalg.norm(candidates, axis=1)
        hits.append(np.argmax(cosines) == 0)
    found = r_precision(pictures, texts, own, groups)
    assert (found.images, found.candidates, found.folds, found.ties) == (400, 100, 10, 0)
    assert found.value == pytest.approx(np.mean(hits))
    assert 0.1 < found.value < 0.9
    assert (found.low, found.high) == wilson(sum(hits), 400)
    beaten, _ = compare(pictures, texts, own, drawn)
    assert np.array_equal(~beaten, hits)


def test_candidates_mismatch_and_are_uniform() -> None:
    _, _, own, groups = task()
    drawn = mismatching(own, groups)
    assert drawn.shape == (400, 99)
    assert (groups[drawn] != groups[own][:, None]).all()
    uses = np.bincount(drawn.ravel(), minlength=600)  # 66 expected, deviation about 8
    assert 35 < uses.min() < uses.max() < 100
    assert len(np.unique(drawn, axis=0)) == 400
    assert not np.array_equal(drawn, mismatching(own, groups, seed=1))


def test_order_shards_and_batches_change_nothing() -> None:
    pictures, texts, own, groups = task()
    ids, caption_ids = np.arange(400) * 3 + 5, np.arange(600) + 1000
    found = r_precision(pictures, texts, own, groups, ids, caption_ids)
    rng = np.random.default_rng(1)
    images, captions = rng.permutation(400), rng.permutation(600)
    again = r_precision(
        pictures[images],
        texts[captions],
        np.argsort(captions)[own[images]],
        groups[captions],
        ids[images],
        caption_ids[captions],
    )
    assert again == found
    beaten, _ = compare(pictures, texts, own, mismatching(own, groups, ids, caption_ids))
    shards = [
        compare(pictures[part], texts, own[part], mismatching(own[part], groups, ids[part], caption_ids))[0]
        for part in (slice(0, 13), slice(13, 400))
    ]
    assert np.array_equal(np.concatenate(shards), beaten)
    assert score_hits(~beaten, ids=ids).value == found.value
    assert r_precision(pictures, texts, own, groups, [f"sample-{i}" for i in ids]).images == 400


def test_right_captions_win_and_shuffled_ones_are_at_chance() -> None:
    pictures, texts, own, groups = task(images=3000, captions=3000, noise=0.1)
    assert r_precision(pictures, texts, own, groups).value > 0.99
    wrong = np.random.default_rng(2).permutation(own)
    shuffled = r_precision(pictures, texts, wrong, groups)
    assert shuffled.value == pytest.approx(0.01, abs=4 * np.sqrt(0.01 * 0.99 / 3000))


def test_ties_are_hits_and_counted() -> None:
    found = r_precision(np.ones((20, 3)), np.ones((30, 3)), np.arange(20), np.arange(30) % 3)
    assert (found.value, found.ties) == (1.0, 20)


def test_close_calls_are_decided_in_float64() -> None:
    texts = np.array([[1.0, 1.0], [1 + 1e-9, 1 - 1e-9], [1 - 1e-9, 1 + 1e-9]])
    beaten, tied = compare(np.array([[1.0, 0.5]]), texts, [0], np.array([[1, 2]]))
    assert (beaten[0], tied[0]) == (True, False)
    beaten, tied = compare(np.array([[1.0, 0.5]]), texts, [1], np.array([[0, 2]]))
    assert (beaten[0], tied[0]) == (False, False)


def test_folds() -> None:
    hits = np.random.default_rng(3).random(1000) < 0.7
    found = score_hits(hits)
    assert found.value == pytest.approx(hits.mean())
    assert found.std == pytest.approx(np.sqrt(0.7 * 0.3 / 100), rel=0.6)
    ordered = score_hits(np.arange(1000) < 500, folds=2)
    assert ordered.std < 0.1


def test_released_folds_leave_one_image_out() -> None:
    """30,000 images: each of ten folds has 2,999, so that the value is a multiple of 1 / 29,990."""
    hits = np.random.default_rng(4).random(30_000) < 0.68
    found = score_hits(hits, compat=True)
    assert found.value * 29_990 == pytest.approx(round(found.value * 29_990), abs=1e-6)
    assert found.value == pytest.approx(score_hits(hits).value, abs=4e-4)
    assert score_hits(np.ones(20), compat=True).value == 1.0
    every = [score_hits(np.arange(20) == place, compat=True).value for place in range(20)]
    assert sorted(every) == [0.0] * 10 + [pytest.approx(0.1)] * 10


def test_bad_input_is_refused() -> None:
    pictures, texts, own, groups = task(30, 40)
    with pytest.raises(ReproError, match="nothing mismatches"):
        r_precision(pictures, texts, own, np.zeros(40, dtype=int))
    with pytest.raises(ReproError, match="there are 40"):
        r_precision(pictures, texts, own + 40, groups)
    with pytest.raises(ReproError, match="one space"):
        r_precision(pictures[:, :3], texts, own, groups)
    with pytest.raises(ReproError, match="image embeddings: row 3"):
        r_precision(np.where(np.arange(30)[:, None] == 3, np.nan, pictures), texts, own, groups)
    with pytest.raises(ReproError, match="twice"):
        r_precision(pictures, texts, own, groups, np.zeros(30, dtype=int))
    with pytest.raises(ReproError, match="10 folds"):
        score_hits(np.ones(9))
