"""Multi-scale structural similarity of pairs of images, as a measure of diversity (low is diverse), in float64.

Definition: Wang, Simoncelli and Bovik 2003, in the form of Google's MultiScaleSSIM, which GAN papers use (Odena et al.
2017; HDGAN, Table 3 and Table 5, prints class-wise and overall means with it): five scales, 11 x 11 Gaussian window of
standard deviation 1.5, "valid" borders, 2 x 2 mean between scales; at each scale the contrast-structure term is
averaged over positions and channels, then raised to its weight; the luminance term enters at the coarsest scale alone.
Where an image is smaller than 11 pixels the window shrinks to it (and its deviation in proportion), so 64 px and 128
px images work.

Speed: means and variances are computed once per image, not per pair; blurring is a product with a banded matrix, in
blocks.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import Float64

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, DEVIATION = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BLOCK = 24  # outputs per banded product: larger bands hold more zeros, smaller products run slower
STRIP = 64  # rows worked on at a time, so that intermediate values stay in cache
THREADS = 2
MEMORY = 256 << 20  # bytes of per-image moments kept at a time

Pairs = npt.NDArray[np.integer]


@dataclass(frozen=True)
class _Scale:
    """Of one image at one scale, [channels, h, w]: pixels, window means, and half of (window variance + C2 / 2)."""

    pixels: Float64
    mean: Float64
    spread: Float64


def ms_ssim(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """MS-SSIM of two images, uint8 [H, W, 3] (or any number of channels): at most 1, which equal images have.

    NaN where a contrast-structure term is negative on average (its root is not real): the definition has no value
    there.
    """
    images = [np.asarray(first), np.asarray(second)]
    if images[0].shape != images[1].shape:
        raise ReproError(f"MS-SSIM: images of shapes {images[0].shape} and {images[1].shape}; expected one size")
    return float(ms_ssim_of_pairs(np.stack(images), np.array([[0, 1]]))[0])


def ms_ssim_of_pairs(images: npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]], pairs: npt.ArrayLike) -> Float64:
    """MS-SSIM of each pair, [P]: ``images`` uint8 [N, H, W, C] (memory-mapped, or any sequence of [H, W, C] of one
    size), ``pairs`` int [P, 2] rows of it. NaN where undefined (``ms_ssim``).

    Each value depends on its two images alone, to the last bit, and not on their order. Images in no pair are not read;
    memory is bounded by ``MEMORY``, whatever N. Pairs that share images, side by side, are several times faster.
    Raises ReproError on other types, sizes that differ, sides below 16 pixels, or rows out of range.
    """
    wanted = np.asarray(pairs)
    if wanted.ndim != 2 or wanted.shape[1] != 2 or wanted.dtype.kind not in "iu":
        raise ReproError(f"pairs: found {wanted.dtype} {wanted.shape}; expected integers [P, 2]")
    values = np.empty(len(wanted))
    if not len(wanted):
        return values
    if wanted.min() < 0 or wanted.max() >= len(images):
        raise ReproError(f"pairs: images {wanted.min()} to {wanted.max()}; there are {len(images)}, numbered from 0")
    shape = np.shape(images[wanted[0, 0]])
    if len(shape) != 3 or min(shape[:2]) < 16:
        raise ReproError(f"MS-SSIM: image of shape {shape}; expected [H, W, channels] with sides of at least 16 pixels")
    kept = max(2, MEMORY // (4 * 8 * int(np.prod(shape))))
    moments: dict[int, list[_Scale]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        blurs = [_Blurs() for _ in range(THREADS)]
        for part, needed in _batches(wanted, kept):
            moments = {row: moments[row] for row in needed if row in moments}
            new = [row for row in needed if row not in moments]
            shares = [
                [(row, _checked(images[row], row, shape)) for row in new[number::THREADS]] for number in range(THREADS)
            ]
            for found in pool.map(_moments_of, shares, blurs):
                moments |= found
                del found
            positions = [part[number::THREADS] for number in range(THREADS)]
            chosen = [[(moments[one], moments[other]) for one, other in wanted[share].tolist()] for share in positions]
            for share, compared in zip(positions, pool.map(_compare_all, chosen, blurs), strict=True):
                values[share] = compared
            del chosen  # or images of this batch would stay while the next ones are read
    return values


def _batches(pairs: Pairs, kept: int) -> Iterator[tuple[npt.NDArray[np.intp], list[int]]]:
    """Positions of pairs, in an order that keeps shared images together, with the images they need: at most `kept`."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    part: list[int] = []
    needed: dict[int, None] = {}
    for position in np.lexsort((high, low)).tolist():
        more = dict.fromkeys((int(low[position]), int(high[position])))
        if part and len(needed | more) > kept:
            yield np.array(part), list(needed)
            part, needed = [], {}
        part.append(position)
        needed |= more
    yield np.array(part), list(needed)


def _checked(image: npt.NDArray[np.uint8], row: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(image)
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise ReproError(f"MS-SSIM: image {row} is {pixels.dtype} {pixels.shape}; expected uint8 {shape}")
    return pixels


class _Blur:
    """Gaussian window over strips of ``rows`` + window - 1 rows of ``width`` pixels, "valid": fill ``source``, call
    ``run``, read ``blurred`` [channels, rows, width - window + 1]. ``spare`` is as large and free to use."""

    def __init__(self, channels: int, rows: int, width: int, window: int) -> None:
        columns = width - window + 1
        self.source = np.empty((channels, rows + window - 1, width))
        halfway = np.empty((channels, rows, width))
        self.blurred = np.empty((channels, rows, columns))
        self.spare = np.empty_like(self.blurred)
        self.products: list[tuple[Float64, Float64, Float64]] = []
        for first, outputs in _parts(rows, BLOCK):
            into = slice(first, first + outputs)
            source = self.source[:, first : first + outputs + window - 1]
            self.products.append((_band(window, outputs), source, halfway[:, into]))
        for first, outputs in _parts(columns, BLOCK):
            source = halfway[:, :, first : first + outputs + window - 1]
            self.products.append((source, _band(window, outputs).T, self.blurred[:, :, first : first + outputs]))

    def run(self) -> None:
        for left, right, out in self.products:
            np.matmul(left, right, out=out)


class _Blurs:
    """The blurs that one thread needs, kept from image to image."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int, int], _Blur] = {}

    def strips(self, shape: tuple[int, ...]) -> Iterator[tuple[_Blur, slice, slice]]:
        """Blurs that cover pixels of ``shape``, with the rows each reads and the rows of the result that it gives."""
        channels, height, width = shape
        window = min(WINDOW, height, width)
        for first, rows in _parts(height - window + 1, STRIP):
            key = channels, rows, width
            if key not in self.known:
                self.known[key] = _Blur(channels, rows, width, window)
            yield self.known[key], slice(first, first + rows + window - 1), slice(first, first + rows)


def _parts(total: int, size: int) -> list[tuple[int, int]]:
    """Start and length of nearly equal parts of about ``size``."""
    edges = np.linspace(0, total, max(1, round(total / size)) + 1).astype(int).tolist()
    return [(start, stop - start) for start, stop in pairwise(edges)]


def _band(window: int, outputs: int) -> Float64:
    """The Gaussian window as a banded matrix, [outputs, outputs + window - 1]."""
    offsets = np.arange(window) - (window - 1) / 2
    weights = np.exp(-((offsets / (window * DEVIATION / WINDOW)) ** 2) / 2)
    band = np.zeros((outputs, outputs + window - 1))
    for row in range(outputs):
        band[row, row : row + window] = weights / weights.sum()
    return band


def _moments_of(images: list[tuple[int, npt.NDArray[np.uint8]]], blurs: _Blurs) -> dict[int, list[_Scale]]:
    return {row: _moments(image, blurs) for row, image in images}


def _moments(image: npt.NDArray[np.uint8], blurs: _Blurs) -> list[_Scale]:
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float64)
    scales = []
    for _ in WEIGHTS:
        channels, height, width = pixels.shape
        window = min(WINDOW, height, width)
        mean = np.empty((channels, height - window + 1, width - window + 1))
        spread = np.empty_like(mean)
        for blur, rows, into in blurs.strips(pixels.shape):
            np.copyto(blur.source, pixels[:, rows])
            blur.run()
            mean[:, into] = blur.blurred
            np.multiply(pixels[:, rows], pixels[:, rows], out=blur.source)
            blur.run()
            np.multiply(mean[:, into], mean[:, into], out=blur.spare)
            np.subtract(blur.blurred, blur.spare, out=spread[:, into])
        spread += C2 / 2
        spread /= 2
        scales.append(_Scale(pixels, mean, spread))
        pixels = _halve(pixels)
    return scales


def _halve(pixels: Float64) -> Float64:
    """Mean of 2 x 2 pixels; an odd last row or column counts twice, as reflection at the border has it."""
    _, height, width = pixels.shape
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return (pixels[:, ::2, ::2] + pixels[:, 1::2, ::2] + pixels[:, ::2, 1::2] + pixels[:, 1::2, 1::2]) / 4


def _compare_all(pairs: list[tuple[list[_Scale], list[_Scale]]], blurs: _Blurs) -> list[float]:
    return [_compare(first, second, blurs) for first, second in pairs]


def _compare(first: list[_Scale], second: list[_Scale], blurs: _Blurs) -> float:
    product = 1.0
    for one, other, weight in zip(first, second, WEIGHTS, strict=True):
        coarsest = one is first[-1]
        total = 0.0
        for blur, rows, into in blurs.strips(one.pixels.shape):
            np.multiply(one.pixels[:, rows], other.pixels[:, rows], out=blur.source)
            blur.run()
            term, spare = blur.blurred, blur.spare
            np.multiply(one.mean[:, into], other.mean[:, into], out=spare)
            luminance = (2 * spare + C1) / (one.mean[:, into] ** 2 + other.mean[:, into] ** 2 + C1) if coarsest else 1.0
            term -= spare
            term += C2 / 2
            np.add(one.spread[:, into], other.spread[:, into], out=spare)
            term /= spare
            if coarsest:
                term *= luminance
            total += float(term.sum())
        if total < 0:
            return float("nan")
        product *= (total / one.mean.size) ** weight
    return product
