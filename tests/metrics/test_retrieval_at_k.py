"""R@K against sorting, and with ties."""

from itertools import permutations

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics import retrieval_at_k as module
from t2i_repro.metrics.retrieval_at_k import retrieval


def embeddings(images: int, captions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(images), rng.integers(0, images, captions - images)])
    pictures = rng.standard_normal((images, 8))
    return pictures, pictures[owner] + 1.2 * rng.standard_normal((captions, 8)), owner


def by_sorting(pictures: np.ndarray, texts: np.ndarray, owner: np.ndarray, k: int) -> tuple[float, float]:
    similar = (pictures / np.linalg.norm(pictures, axis=1)[:, None]) @ (
        texts / np.linalg.norm(texts, axis=1)[:, None]
    ).T
    to_text = [i in owner[np.argsort(-row)[:k]] for i, row in enumerate(similar)]
    to_image = [owner[c] in np.argsort(-column)[:k] for c, column in enumerate(similar.T)]
    return float(np.mean(to_text)), float(np.mean(to_image))


@pytest.mark.parametrize("rows", [7, 512])
def test_equals_sorting(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    pictures, texts, owner = embeddings(60, 250)
    found = retrieval(pictures, texts, owner)
    assert (found.images, found.captions, found.ties) == (60, 250, 0)
    for k in (1, 5, 10):
        to_text, to_image = by_sorting(pictures, texts, owner, k)
        assert found.image_to_text[k] == pytest.approx(to_text, abs=1e-12)
        assert found.text_to_image[k] == pytest.approx(to_image, abs=1e-12)
    assert 0 < found.text_to_image[1] < found.text_to_image[10] < 1


def test_lengths_and_order_change_nothing() -> None:
    pictures, texts, owner = embeddings(30, 100)
    found = retrieval(pictures, texts, owner)
    rng = np.random.default_rng(1)
    images, captions = rng.permutation(30), rng.permutation(100)
    again = retrieval(3 * pictures[images].astype(np.float32), texts[captions], np.argsort(images)[owner[captions]])
    assert again.image_to_text == pytest.approx(found.image_to_text)
    assert again.text_to_image == pytest.approx(found.text_to_image)


def test_an_encoder_that_says_nothing_is_at_chance() -> None:
    found = retrieval(np.ones((10, 4)), np.ones((50, 4)), np.repeat(np.arange(10), 5))
    assert found.text_to_image == pytest.approx({1: 0.1, 5: 0.5, 10: 1.0})
    # 1 - C(45, k) / C(50, k)
    assert found.image_to_text[1] == pytest.approx(0.1)
    assert found.image_to_text[5] == pytest.approx(1 - np.prod([(45 - i) / (50 - i) for i in range(5)]))
    assert found.ties == 60


def test_ties_give_the_mean_over_their_orders() -> None:
    pictures = np.array([[1.0, 0.0], [0.0, 1.0]])
    texts = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.0], [1.0, 0.0], [0.1, 1.0]])
    owner = np.array([0, 0, 1, 1, 1])
    found = retrieval(pictures, texts, owner, ks=(1, 2, 3))
    for k in (1, 2, 3):
        tied = [np.isin(0, owner[list(order)[:k]]) for order in permutations([0, 2, 3])]
        assert found.image_to_text[k] == pytest.approx((np.mean(tied) + 1) / 2)


def test_bad_input_is_refused() -> None:
    pictures, texts, owner = embeddings(5, 12)
    with pytest.raises(ReproError, match="image 4 has no caption"):
        retrieval(pictures, texts, np.minimum(owner, 3))
    with pytest.raises(ReproError, match="row 2 is zero"):
        retrieval(pictures * (np.arange(5) != 2)[:, None], texts, owner)
    with pytest.raises(ReproError, match="caption_image"):
        retrieval(pictures, texts, owner + 1)
    with pytest.raises(ReproError, match="one space"):
        retrieval(pictures[:, :4], texts, owner)
