"""MS-SSIM against its definition written out in NumPy, against a library where they agree, and over whole sets."""

import tracemalloc

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics import structural_similarity as module
from t2i_repro.metrics.diversity import class_wise_ms_ssim, distinct_pairs, overall_ms_ssim, released_pairs
from t2i_repro.metrics.structural_similarity import ms_ssim, ms_ssim_of_pairs

WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def pictures(count: int, height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth random images with something in common, so that no term of their MS-SSIM is negative, and some noise."""
    rng = np.random.default_rng(seed)
    coarse = 0.5 * rng.random((1, 8, 8, channels)) + 0.5 * rng.random((count, 8, 8, channels))
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    fine = coarse[:, rows][:, :, columns]
    fine = fine + 0.1 * rng.random((1, height, width, channels)) + 0.1 * rng.random(fine.shape)
    return (255 * fine / fine.max()).astype(np.uint8)


def by_definition(first: np.ndarray, second: np.ndarray) -> float:
    """Two-dimensional windows, explicit variances, everything per pair."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        size = min(11, *one.shape[:2])
        at = np.arange(size) - (size - 1) / 2
        window = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * (1.5 * size / 11) ** 2))
        window /= window.sum()

        def mean(image: np.ndarray, window: np.ndarray = window) -> np.ndarray:
            return np.einsum(
                "hwcyx,yx->hwc", np.lib.stride_tricks.sliding_window_view(image, window.shape, (0, 1)), window
            )

        mean1, mean2 = mean(one), mean(other)
        variance1, variance2 = mean(one**2) - mean1**2, mean(other**2) - mean2**2
        common = mean(one * other) - mean1 * mean2
        c1, c2 = 2.55**2, 7.65**2
        structure = (2 * common + c2) / (variance1 + variance2 + c2)
        luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
        result *= np.mean(structure if scale < 4 else structure * luminance) ** weight
        one, other = halved(one), halved(other)
    return float(result)


def halved(image: np.ndarray) -> np.ndarray:
    height, width, channels = image.shape
    result = np.empty(((height + 1) // 2, (width + 1) // 2, channels))
    for y in range(result.shape[0]):
        for x in range(result.shape[1]):
            below, right = min(2 * y + 1, height - 1), min(2 * x + 1, width - 1)
            result[y, x] = (image[2 * y, 2 * x] + image[below, 2 * x] + image[2 * y, right] + image[below, right]) / 4
    return result


@pytest.mark.parametrize("shape", [(64, 64), (128, 128), (176, 176), (256, 256), (75, 101), (64, 97)])
def test_equals_its_definition(shape: tuple[int, int]) -> None:
    images = pictures(3, *shape)
    found = ms_ssim_of_pairs(images, [[0, 1], [2, 1]])
    assert found[0] == pytest.approx(by_definition(images[0], images[1]), rel=1e-12)
    assert found[1] == pytest.approx(by_definition(images[2], images[1]), rel=1e-12)
    assert 0 < found.min() < found.max() < 1


def test_scales_are_halved_as_ndimage_does() -> None:
    """Google's code downsamples with ndimage's 2 x 2 mean, "reflect"."""
    ndimage = pytest.importorskip("scipy.ndimage")
    for shape in ((8, 8, 3), (7, 9, 3)):
        image = np.random.default_rng(1).random(shape)
        expected = ndimage.convolve(image, np.full((2, 2, 1), 0.25), mode="reflect")[::2, ::2]
        np.testing.assert_allclose(halved(image), expected, rtol=1e-14)


def test_equals_pytorch_msssim_on_one_channel() -> None:
    """With several channels that library multiplies scales before it averages channels; with one it is the same."""
    pytorch_msssim = pytest.importorskip("pytorch_msssim")
    import torch

    images = pictures(2, 256, 256, channels=1)
    one, other = (torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in images)
    # Its own window, in float32, does not quite sum to 1, which costs it 4e-6 here.
    window = torch.exp(-(torch.arange(-5, 6, dtype=torch.float64) ** 2) / 4.5)
    expected = pytorch_msssim.ms_ssim(one, other, data_range=255, win=(window / window.sum()).view(1, 1, 1, 11))
    assert ms_ssim(images[0], images[1]) == pytest.approx(expected.item(), rel=1e-12)


def test_symmetric_and_one_for_an_image_with_itself() -> None:
    images = pictures(2, 64, 64)
    assert ms_ssim(images[0], images[1]) == ms_ssim(images[1], images[0])
    assert ms_ssim(images[0], images[0]) == pytest.approx(1, abs=1e-12)
    assert ms_ssim(np.full((64, 64, 3), 7, np.uint8), np.full((64, 64, 3), 7, np.uint8)) == pytest.approx(1, abs=1e-12)


def test_undefined_for_inverted_images() -> None:
    image = pictures(1, 64, 64)[0]
    assert np.isnan(ms_ssim(image, 255 - image))


def test_values_do_not_depend_on_neighbours_threads_or_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(9, 64, 64)
    pairs = distinct_pairs(range(9), 36)
    whole = ms_ssim_of_pairs(images, pairs)
    assert np.array_equal(whole[[5, 30]], ms_ssim_of_pairs(images, pairs[[5, 30]]))
    monkeypatch.setattr(module, "MEMORY", 3 * 4 * 8 * 64 * 64 * 3)
    monkeypatch.setattr(module, "THREADS", 1)
    assert np.array_equal(whole, ms_ssim_of_pairs(list(images), pairs[:, ::-1]))
    order = np.random.default_rng(2).permutation(9)
    assert np.array_equal(whole, ms_ssim_of_pairs(images[order], np.argsort(order)[pairs]))


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 8 * 4 * 8 * 64 * 64 * 3)
    peaks = []
    for count in (20, 80):
        images = pictures(count, 64, 64)
        tracemalloc.start()
        ms_ssim_of_pairs(images, np.arange(count).reshape(-1, 2))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_class_wise_and_overall() -> None:
    images, labels = pictures(12, 64, 64), np.arange(12) % 2
    every = {
        label: np.mean([by_definition(images[i], images[j]) for i in range(label, 12, 2) for j in range(label, i, 2)])
        for label in (0, 1)
    }
    found = class_wise_ms_ssim(images, labels)
    assert found.pairs == 30
    assert found.undefined == 0
    assert found.by_class == pytest.approx(every, rel=1e-12)
    assert found.mean == pytest.approx(np.mean(list(every.values())), rel=1e-12)
    assert found.std == pytest.approx(abs(every[0] - every[1]) / 2, rel=1e-9)
    few = overall_ms_ssim(images, pairs=20)
    assert few.pairs == 20
    assert few.mean == pytest.approx(ms_ssim_of_pairs(images, distinct_pairs(range(12), 20)).mean(), rel=1e-12)


def test_order_of_samples_changes_nothing() -> None:
    images, labels, ids = pictures(12, 64, 64), np.arange(12) % 2, np.arange(12) + 100
    order = np.random.default_rng(3).permutation(12)
    found = class_wise_ms_ssim(images, labels, pairs=7, ids=ids)
    assert class_wise_ms_ssim(images[order], labels[order], pairs=7, ids=ids[order]) == found
    assert class_wise_ms_ssim(images, labels, pairs=7, ids=ids, seed=1) != found
    assert overall_ms_ssim(images[order], pairs=9, ids=ids[order]).mean == pytest.approx(
        overall_ms_ssim(images, pairs=9, ids=ids).mean
    )


def test_released_pairs_hold_self_pairs_and_repeat_others() -> None:
    pairs = released_pairs(range(600), 20)
    assert pairs.shape == (361, 2)
    assert len(np.unique(pairs)) == 20
    assert (pairs[:, 0] == pairs[:, 1]).sum() == 18
    # 361 - 18 pairs, of the 190 distinct ones: 153 twice, 37 once.
    _, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    assert sorted(np.unique(counts[counts > 0], return_counts=True)[1].tolist()) == sorted([153, 37 + 18])
    assert len(released_pairs(range(600), 101)) == 10_000


def test_self_pairs_raise_the_released_score() -> None:
    images, labels = pictures(20, 64, 64), np.zeros(20, dtype=int)
    released, ours = class_wise_ms_ssim(images, labels, compat=True), class_wise_ms_ssim(images, labels, pairs=190)
    assert ours.pairs == 190
    assert released.pairs == 361
    assert released.mean == pytest.approx(ours.mean + 18 / 361 * (1 - ours.mean), abs=0.01)
    assert released.mean > ours.mean


def test_undefined_pairs_are_counted() -> None:
    image = pictures(1, 64, 64)[0]
    images, labels = np.stack([image, 255 - image, image]), np.zeros(3, dtype=int)
    found = class_wise_ms_ssim(images, labels)
    assert (found.pairs, found.undefined) == (3, 2)
    assert found.mean == pytest.approx(1 / 3)
    released = overall_ms_ssim(images, compat=True)
    assert released.undefined > 0
    assert released.mean == pytest.approx(1)


@pytest.mark.parametrize(("count", "wanted"), [(10, 45), (10, 100), (10, 40), (1000, 300)])
def test_distinct_pairs(count: int, wanted: int) -> None:
    pairs = distinct_pairs(range(count), wanted)
    assert len(pairs) == min(wanted, count * (count - 1) // 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs)
    assert pairs.min() >= 0
    assert pairs.max() < count


def test_distinct_pairs_are_spread_evenly() -> None:
    pairs = distinct_pairs(range(200), 8000)
    uses = np.bincount(pairs.ravel(), minlength=200)  # 80 expected, deviation about 6.9
    assert 45 < uses.min() < uses.max() < 115


@pytest.mark.parametrize(
    ("images", "pairs", "says"),
    [
        (np.zeros((2, 64, 64, 3), np.float32), [[0, 1]], "float32.*expected uint8"),
        (np.zeros((2, 8, 64, 3), np.uint8), [[0, 1]], "at least 16 pixels"),
        (np.zeros((2, 64, 64, 3), np.uint8), [[0, 2]], "there are 2"),
        (np.zeros((2, 64, 64, 3), np.uint8), [0, 1], r"\[P, 2\]"),
        ([np.zeros((64, 64, 3), np.uint8), np.zeros((64, 65, 3), np.uint8)], [[0, 1]], r"image 1 .*\(64, 65, 3\)"),
    ],
)
def test_bad_images_are_refused(images: np.ndarray, pairs: list, says: str) -> None:
    with pytest.raises(ReproError, match=says):
        ms_ssim_of_pairs(images, pairs)


def test_single_image_of_a_class_is_refused() -> None:
    with pytest.raises(ReproError, match="class 7 has one image"):
        class_wise_ms_ssim(pictures(3, 64, 64), [5, 5, 7])
