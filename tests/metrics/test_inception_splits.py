import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics.hashing import hashed_splits
from t2i_repro.metrics.inception_splits import contiguous_splits, inception_score


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_definition_with_contiguous_splits() -> None:
    probabilities = softmax(np.random.default_rng(0).standard_normal((40, 7)) * 2)
    scores = []
    for part in np.split(probabilities, 4):
        divergence = (part * (np.log(part) - np.log(part.mean(axis=0)))).sum(axis=1)
        scores.append(np.exp(divergence.mean()))
    mean, std = inception_score(probabilities, 4, contiguous_splits(40, 4))
    assert mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert std == pytest.approx(np.std(scores), rel=1e-10)


def test_extremes_are_exact() -> None:
    sure = np.tile(np.eye(5), (10, 1))
    mean, std = inception_score(sure, 5, np.repeat(np.arange(5), 10))
    assert (mean, std) == (pytest.approx(5, rel=1e-12), pytest.approx(0, abs=1e-12))
    assert inception_score(np.full((20, 4), 0.25), 2) == (1.0, 0.0)


def test_splits_belong_to_samples_not_to_their_order() -> None:
    ids = np.arange(1003)
    numbers = hashed_splits(ids, 10)
    assert set(np.bincount(numbers)) == {100, 101}
    order = np.random.default_rng(1).permutation(1003)
    np.testing.assert_array_equal(hashed_splits(ids[order], 10), numbers[order])
    probabilities = softmax(np.random.default_rng(2).standard_normal((1003, 6)))
    mixed = inception_score(probabilities[order], 10, hashed_splits(ids[order], 10))
    assert mixed == pytest.approx(inception_score(probabilities, 10), rel=1e-12)


def test_samples_sorted_by_class_do_not_spoil_the_score() -> None:
    """Contiguous splits of sorted samples see one class each, and the score falls to 1."""
    sorted_by_class = np.repeat(np.eye(10) * 0.9 + 0.01, 50, axis=0)
    assert inception_score(sorted_by_class, 10, contiguous_splits(500, 10))[0] < 1.001
    assert inception_score(sorted_by_class, 10)[0] > 4


def test_bad_probabilities_are_refused() -> None:
    good = np.full((20, 4), 0.25)
    with pytest.raises(ReproError, match="there are 5"):
        inception_score(good[:5], 10)
    with pytest.raises(ReproError, match="row 3"):
        inception_score(np.where(np.arange(20)[:, None] == 3, np.nan, good), 2)
    with pytest.raises(ReproError, match="row 0 does not sum to 1"):
        inception_score(good * 3, 2)
    with pytest.raises(ReproError, match="twice"):
        hashed_splits([1, 2, 2], 2)
