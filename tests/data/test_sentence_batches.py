"""Batches with a sentence embedding and a wrong image for each right one."""

import numpy as np
import pytest
import torch
from flow import build

from t2i_repro.data.batches import Batches, prefetch
from t2i_repro.data.prepared import Prepared
from t2i_repro.data.sentence_batches import SentenceBatch, SentenceBatches


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("data")
    layout = {"layout": "cub", "captions_per_image": 10}
    classes = {"train_classes": 3, "test_classes": 2, "images_per_class": 4, "side": 40, "seed": 0}
    raw = build(folder, "standin", {**layout, **classes})
    build(
        folder,
        "prepare",
        {**layout, "year": None, "boxes": True, "image_size": 16, "manifest": None},
        {"raw": raw},
    )
    return Prepared(folder / "prepare")


def make(prepared: Prepared, choice: str = "mean-of-4", seed: int = 0) -> SentenceBatches:
    """Each caption's embedding is (its number, its image)."""
    numbers = np.arange(len(prepared.caption_image))
    vectors = np.stack([numbers, prepared.caption_image], axis=1).astype(np.float32)
    return SentenceBatches(prepared, "train", 16, 4, 18, seed, vectors, choice)  # type: ignore[arg-type]


def test_they_are_the_plain_batches_and_more(prepared: Prepared) -> None:
    plain, more = Batches(prepared, "train", 16, 4, 18, 0).batch(5), make(prepared).batch(5)
    for name, value in vars(plain).items():
        assert torch.equal(value, getattr(more, name)), name


def test_a_batch_is_a_function_of_seed_and_step(prepared: Prepared) -> None:
    first, again, other = make(prepared), make(prepared), make(prepared, seed=1)
    for step in (4, 0):
        for name, value in vars(first.batch(step)).items():
            assert torch.equal(value, getattr(again.batch(step), name)), name
    assert not torch.equal(first.batch(0).wrong, first.batch(3).wrong)
    assert not torch.equal(first.batch(0).wrong, other.batch(0).wrong)


def test_the_sentence_is_of_the_image(prepared: Prepared) -> None:
    for choice in ("mean-of-4", "random", "first"):
        batch = make(prepared, choice).batch(2)
        assert torch.equal(batch.sentence[:, 1].long(), batch.image_index)
        first = torch.from_numpy(prepared.caption_start)[batch.image_index]
        assert torch.equal(batch.sentence[:, 0] == first, torch.full((4,), choice == "first")) or choice == "random"
    means = torch.cat([make(prepared).batch(step).sentence[:, 0] % 10 for step in range(6)])
    assert len(set(means.tolist())) > 6  # captions are drawn anew each time
    assert means.min() >= 1.5  # the mean of four different places of ten
    assert means.max() <= 7.5


def test_wrong_images_are_of_the_split_and_of_other_classes(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    images = SentenceBatches._images

    def look(self: SentenceBatches, index: np.ndarray, *place: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
        seen.append(index)
        return images(self, index, *place)

    monkeypatch.setattr(SentenceBatches, "_images", look)
    for step in range(8):
        batch = make(prepared).batch(step)
        right, wrong = seen[-2:]
        assert np.array_equal(right, batch.image_index)
        assert set(wrong) <= set(prepared.splits["train"])
        assert (prepared.class_ids[wrong] != prepared.class_ids[right]).all()
        assert batch.wrong.shape == batch.images.shape
        assert batch.wrong.abs().max() <= 1


def test_they_go_through_prefetching_and_to_a_device(prepared: Prepared) -> None:
    batches = make(prepared)
    for step, batch in enumerate(prefetch(batches, 0, 3)):
        moved = batch.to("cpu")
        assert isinstance(moved, SentenceBatch)
        assert torch.equal(moved.wrong, batches.batch(step).wrong)
