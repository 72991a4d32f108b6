"""Batches are a function of (seed, step), and draw what the papers draw."""

from pathlib import Path

import numpy as np
import pytest
import torch
from raw_data import STEMS, caption_file, prepared, write_cub

from t2i_repro.data.batches import Batch, Batches, prefetch
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError

FIELDS = ("images", "tokens", "lengths", "class_ids", "image_index", "caption_index")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    root = tmp_path_factory.mktemp("batches")
    base = write_cub(root)
    for number in range(len(STEMS)):
        lengths = ((2, 9), (3,), (9, 2, 10), (1, 12), (2, 9), (2, 9))[number]  # as ragged as real captions can be
        lines = [f"number{number} " + " ".join(f"w{place}" for place in range(length)) for length in lengths]
        caption_file(base, number).write_text("\n".join(lines) + "\n")
    return prepared(root, root / "out", captions_per_image=3)[0]


def batches(data: Prepared, **changes: object) -> Batches:
    return Batches(data, **{"split": "train", "image_size": 16, "batch": 2, "words": 5, "seed": 3, **changes})  # type: ignore[arg-type]


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in FIELDS)


def test_any_order_gives_the_same_batches(data: Prepared) -> None:
    forward, backward = batches(data), batches(data)
    steps = range(9)
    ahead = [forward.batch(step) for step in steps]
    behind = [backward.batch(step) for step in reversed(steps)][::-1]
    assert all(same(first, second) for first, second in zip(ahead, behind, strict=True))
    assert all(same(first, forward.batch(step)) for step, first in enumerate(ahead))
    assert not any(same(ahead[0], later) for later in ahead[1:])
    assert not same(ahead[0], batches(data, seed=4).batch(0))


def test_global_random_state_does_not_matter(data: Prepared) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = batches(data).batch(5)
    torch.manual_seed(2)
    np.random.seed(2)
    before = torch.random.get_rng_state()
    assert same(first, batches(data).batch(5))
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_epoch_shows_every_image_once(data: Prepared) -> None:
    source = batches(data)
    assert source.steps_per_epoch == 2
    epochs = [torch.cat([source.batch(step).image_index for step in (2 * epoch, 2 * epoch + 1)]) for epoch in range(30)]
    assert all(sorted(epoch.tolist()) == [0, 1, 2, 3] for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 10
    three = batches(data, batch=3)  # an incomplete batch is dropped: at most once
    assert three.steps_per_epoch == 1
    assert len(set(three.batch(0).image_index.tolist())) == 3


def test_captions_belong_to_their_image_and_all_get_their_turn(data: Prepared) -> None:
    source, seen = batches(data), set()
    for step in range(80):
        batch = source.batch(step)
        assert batch.lengths.tolist() == sorted(batch.lengths.tolist(), reverse=True)
        assert batch.tokens.shape[1] == batch.lengths[0]
        for row, (image, caption) in enumerate(
            zip(batch.image_index.tolist(), batch.caption_index.tolist(), strict=True)
        ):
            seen.add(caption)
            assert data.caption_image[caption] == image
            assert batch.class_ids[row] == data.class_ids[image]
            length = int(batch.lengths[row])
            words = batch.tokens[row, :length].tolist()
            original = data.tokens(caption).tolist()
            assert length == min(5, len(original))
            places = [original.index(word) for word in words]
            assert places == sorted(set(places))  # an ordered subset, no word twice
            assert not batch.tokens[row, length:].any()
    assert seen == {caption for image in data.splits["train"] for caption in data.caption_ids(int(image))}


def test_long_captions_lose_other_words_each_time(data: Prepared) -> None:
    source = batches(data)
    subsets: dict[int, set[tuple[int, ...]]] = {}
    for step in range(300):
        batch = source.batch(step)
        for row, caption in enumerate(batch.caption_index.tolist()):
            if len(data.tokens(caption)) > 5:
                subsets.setdefault(caption, set()).add(tuple(batch.tokens[row].tolist()))
    assert len(subsets) == 4
    assert all(len(found) > 20 for found in subsets.values())
    kept = {word for found in subsets.values() for subset in found for word in subset}
    assert kept == {int(word) for caption in subsets for word in data.tokens(caption)}


def test_every_step_draws_from_a_stream_of_its_own(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    from t2i_repro.data import batches as module

    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "derive_seed", lambda *parts: asked.append(parts) or hash(parts) & 0xFFFF)
    for split in ("train", "test"):
        for seed in (0, 1):
            source = batches(data, split=split, seed=seed)
            for step in range(10):
                source.batch(step)
    assert len(set(asked)) == len(asked) == 2 * (10 + 5) + 2 * (10 + 10)


def test_images_are_crops_and_flips_in_range(tmp_path: Path) -> None:
    write_cub(tmp_path)
    data, _ = prepared(tmp_path, tmp_path / "out")
    height, width = data.shapes[0]
    ramp = np.arange(width, dtype=np.uint8) * 10 + np.arange(height, dtype=np.uint8)[:, None]
    pixels = np.load(tmp_path / "out" / "pixels.npy")
    pixels[: height * width * 3] = np.repeat(ramp[..., None], 3, 2).ravel()
    np.save(tmp_path / "out" / "pixels.npy", pixels)
    data = Prepared(tmp_path / "out")
    seen = set()
    source = batches(data, batch=4)
    for step in range(150):
        batch = source.batch(step)
        assert batch.images.shape == (4, 3, 16, 16)
        assert batch.images.dtype == torch.float32
        assert batch.images.is_contiguous()
        row = batch.image_index.tolist().index(0)
        crop = torch.round((batch.images[row, 0] + 1) * 127.5).to(torch.uint8).numpy()
        flipped = crop[0, 0] > crop[0, 1]
        crop = crop[:, ::-1] if flipped else crop
        left, top = divmod(int(crop[0, 0]), 10)
        np.testing.assert_array_equal(crop, ramp[top : top + 16, left : left + 16])
        seen.add((left, top, bool(flipped)))
    assert len(seen) == 4 * 4 * 2  # 19 - 16 + 1 offsets each way, both directions


def test_other_sizes_are_resized_and_images_can_be_left_out(data: Prepared) -> None:
    plain, half = batches(data, batch=4).batch(1), batches(data, batch=4, image_size=8).batch(1)
    assert half.images.shape == (4, 3, 8, 8)
    assert torch.equal(plain.caption_index, half.caption_index)
    assert torch.allclose(plain.images.mean((2, 3)), half.images.mean((2, 3)), atol=0.02)
    none = batches(data, batch=4, images=False).batch(1)
    assert none.images.shape == (4, 3, 0, 0)
    assert torch.equal(none.tokens, plain.tokens)


def test_a_split_smaller_than_a_batch_is_refused(data: Prepared) -> None:
    with pytest.raises(ReproError, match="split test has 2 images, fewer than a batch of 3"):
        batches(data, split="test", batch=3)


def test_prefetch_gives_the_same_batches(data: Prepared) -> None:
    source = batches(data)
    found = list(prefetch(source, 3, 12))
    assert len(found) == 9
    assert all(same(batch, source.batch(step)) for step, batch in enumerate(found, 3))


def test_prefetch_passes_errors_on_and_ends_when_closed(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    source = batches(data)
    ahead = prefetch(source, 0, 1000)
    next(ahead)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]

    def broken(step: int) -> Batch:
        raise OSError(f"disk gone at {step}")

    monkeypatch.setattr(source, "batch", broken)
    with pytest.raises(OSError, match="disk gone at 7"):
        list(prefetch(source, 7, 9))
