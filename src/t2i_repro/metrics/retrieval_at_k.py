"""Retrieval R@K between images and captions, both directions, by counting ranks.

Printed by GR-GAN (Table 3: about 1,000 images x 5,000 captions) and by papers on image-text matching. R@K falls as
there are more candidates, so the result includes their counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import Array, Float64, blocks

TIE = 1e-12  # cosines in float64 that differ by less are equal but for rounding
ROWS = 512


@dataclass(frozen=True)
class Retrieval:
    """Shares in [0, 1] by K. ``image_to_text[K]``: any caption of the image is among its K nearest captions (R@K of
    "image -> text"); ``text_to_image[K]``: the caption's image is among its K nearest images. ``ties``: queries whose
    answer ties with a wrong one."""

    image_to_text: dict[int, float]
    text_to_image: dict[int, float]
    images: int
    captions: int
    ties: int


def retrieval(
    images: Array, captions: Array, caption_image: npt.ArrayLike, ks: tuple[int, ...] = (1, 5, 10)
) -> Retrieval:
    """R@K by cosine of ``images`` [N, d] and ``captions`` [C, d]; ``caption_image`` [C] is the row of each caption's
    image.

    Any number of captions per image, at least one. Embeddings need not be of unit norm. When answers tie with wrong
    ones (duplicate captions, a collapsed encoder) the value is what random tie-breaking gives on average, so that it
    depends on no order. Memory O(N + C) plus a block of similarities.

    Raises ReproError on wrong shapes, zero or non-finite rows, images without a caption.
    """
    pictures, texts = unit(images, "image embeddings"), unit(captions, "caption embeddings")
    owner = np.asarray(caption_image)
    if pictures.shape[1] != texts.shape[1]:
        raise ReproError(
            f"images of {pictures.shape[1]} and captions of {texts.shape[1]} dimensions; expected one space"
        )
    if owner.shape != (len(texts),) or owner.dtype.kind not in "iu" or owner.min() < 0 or owner.max() >= len(pictures):
        raise ReproError(
            f"caption_image: expected the row (0 to {len(pictures) - 1}) of the image of each of {len(texts)} captions"
        )
    per_image = np.bincount(owner, minlength=len(pictures))
    if per_image.min() == 0:
        raise ReproError(
            f"image {int(per_image.argmin())} has no caption ({int((per_image == 0).sum())} images have none)"
        )
    # Captions of one image side by side: rows of `similar` then hold their owners' in consecutive columns.
    order = np.argsort(owner, kind="stable")
    texts, owner = texts[order], owner[order]
    starts = np.concatenate([[0], np.cumsum(per_image)])
    higher_captions = np.zeros(len(pictures), dtype=np.int64)
    tied_wrong, tied_own = np.zeros_like(higher_captions), np.zeros_like(higher_captions)
    higher_images, tied_images = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
    answers = np.einsum("cd,cd->c", texts, pictures[owner])
    best = np.maximum.reduceat(answers, starts[:-1])
    for start in range(0, len(pictures), ROWS):
        stop = min(start + ROWS, len(pictures))
        similar = pictures[start:stop] @ texts.T
        higher_images += (similar > answers + TIE).sum(axis=0)
        tied_images += (np.abs(similar - answers) <= TIE).sum(axis=0)
        bound = best[start:stop, None]
        higher_captions[start:stop] = (similar > bound + TIE).sum(axis=1)
        tied = np.abs(similar - bound) <= TIE
        mine = slice(starts[start], starts[stop])
        rows = np.arange(mine.start, mine.stop)
        own = tied[owner[rows] - start, rows]
        tied_own[start:stop] = np.bincount(owner[rows][own] - start, minlength=stop - start)
        tied_wrong[start:stop] = tied.sum(axis=1) - tied_own[start:stop]
    tied_images -= 1  # the answer itself
    one = np.ones_like(tied_images)
    return Retrieval(
        {k: float(_chance(k, higher_captions, tied_wrong, tied_own).mean()) for k in ks},
        {k: float(_chance(k, higher_images, tied_images, one).mean()) for k in ks},
        len(pictures),
        len(texts),
        int((tied_wrong > 0).sum() + (tied_images > 0).sum()),
    )


def unit_blocks(embeddings: Array, name: str) -> Iterator[Float64]:
    """``unit``, a block of rows at a time."""
    start = 0
    for block in blocks(embeddings):
        yield unit(block, name, start)
        start += len(block)


def unit(embeddings: Array, name: str, first: int = 0) -> Float64:
    """Rows scaled to length 1, in float64; ``first``: index of the first of them. Raises ReproError on rows that are
    zero, NaN or infinite."""
    rows = np.asarray(embeddings, dtype=np.float64)
    return rows / lengths_of(rows, name, first)[:, None]


def lengths_of(rows: Float64, name: str, first: int = 0) -> Float64:
    """Lengths of rows [N, d]; raises as ``unit``."""
    if rows.ndim != 2 or not rows.size:
        raise ReproError(f"{name}: found shape {rows.shape}; expected [N, d]")
    lengths = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        several = f"{len(bad)} of {len(rows)} rows do"
        raise ReproError(f"{name}: row {first + bad[0]} is zero or holds NaN or infinity ({several})")
    return np.asarray(lengths)


def _chance(
    k: int, higher: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> Float64:
    """Probability that one of ``right`` answers is among the first k, ``higher`` being before them and ``wrong``
    tied."""
    missed = np.ones(len(higher))
    for position in range(k):
        # This position among the tied ones goes to a wrong one, as all earlier ones did.
        step = np.maximum(wrong - position, 0) / np.maximum(wrong + right - position, 1)
        missed = np.where(higher + position < k, missed * step, missed)
    return 1 - missed
