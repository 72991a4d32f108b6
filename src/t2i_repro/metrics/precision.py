"""R-precision as text-to-image papers have it: does the right caption beat 99 wrong ones?

AttnGAN (Xu et al. 2018, Sec. 4) describes it, DM-GAN released the code that everybody runs. Numbers printed with it:
AttnGAN, DM-GAN, MSMT-GAN (Table 2), SSA-GAN and others, all by the DAMSM encoders, which those
generators were also trained with; report R-precision by CLIP embeddings as well, not instead.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.hashing import Ids, Integers, below, hashed, hashed_order, identities
from t2i_repro.metrics.moments import Array, blocks
from t2i_repro.metrics.retrieval_at_k import TIE, lengths_of, unit
from t2i_repro.metrics.uncertainty import wilson

CHUNK = 64  # images whose candidates are gathered at a time
CLOSE = 1e-4  # cosines in float32 that differ by less are computed again in float64
THREADS = 2


@dataclass(frozen=True)
class RPrecision:
    """``value``: share of hits, in [0, 1]; papers print percent. ``std``: population standard deviation over folds,
    the "+-" of papers: it is the spread of single folds, not the error of ``value``. ``low``, ``high``: 95 % Wilson
    interval. ``ties``: hits where a wrong caption scores as high as the right one."""

    value: float
    std: float
    low: float
    high: float
    images: int
    candidates: int
    folds: int
    ties: int


def r_precision(
    images: Array,
    captions: Array,
    own: npt.ArrayLike,
    groups: npt.ArrayLike,
    ids: Ids | None = None,
    caption_ids: Ids | None = None,
    candidates: int = 100,
    folds: int = 10,
    seed: int = 0,
    compat: bool = False,
) -> RPrecision:
    """R-precision of ``images`` [N, d] (embeddings of generated images) among ``captions`` [C, d] (each caption encoded
    once).

    ``own`` [N]: row of the caption each image was made from. ``groups`` [C]: integer that a mismatching caption must
    not share: the class of the caption's image (CUB, Oxford), or its image if there are no classes (COCO). Each
    image is compared by cosine with its own caption and ``candidates`` - 1 mismatching ones, drawn with replacement;
    it is a hit when none of them scores higher (a tie is a hit, as released).

    What is drawn depends on ``seed``, the sample's id in ``ids`` and the set of ``caption_ids`` (both default to row
    indices): with ids, order, shards and batches change nothing. ``compat``: as released, each fold leaves out
    its last image (2,999 of 3,000) and the value is the mean over folds.

    Raises ReproError on wrong shapes, non-finite embeddings, or where every caption shares an image's group.
    """
    rows = np.asarray(own)
    drawn = mismatching(rows, groups, ids, caption_ids, candidates - 1, seed)
    beaten, tied = compare(images, captions, rows, drawn)
    return score_hits(~beaten, tied & ~beaten, candidates, folds, ids, seed, compat)


def r_precision_of_candidates(
    images: Array,
    captions: Array,
    own: npt.ArrayLike,
    candidates: npt.NDArray[np.integer],
    folds: int = 10,
    ids: Ids | None = None,
    compat: bool = False,
) -> RPrecision:
    """R-precision with chosen wrong captions: ``candidates`` [N, K], rows of ``captions`` that each image's
    own caption, row ``own`` [N], has to beat. The rest as in ``r_precision``."""
    beaten, tied = compare(images, captions, own, candidates)
    return score_hits(~beaten, tied & ~beaten, candidates.shape[1] + 1, folds, ids, compat=compat)


def mismatching(
    own: npt.ArrayLike,
    groups: npt.ArrayLike,
    ids: Ids | None = None,
    caption_ids: Ids | None = None,
    count: int = 99,
    seed: int = 0,
) -> Integers:
    """Rows of ``count`` captions for each image, [N, count], uniform among those whose group is not that of its own
    caption."""
    rows, labels = np.asarray(own), np.asarray(groups)
    if labels.ndim != 1 or rows.ndim != 1 or rows.dtype.kind not in "iu" or count < 1 or not len(rows):
        raise ReproError(
            f"found own of shape {rows.shape}, groups of shape {labels.shape}; expected [N] rows of captions and [C]"
        )
    if rows.min() < 0 or rows.max() >= len(labels):
        raise ReproError(f"own: captions {rows.min()} to {rows.max()}; there are {len(labels)}, numbered from 0")
    order = np.lexsort((identities(caption_ids, len(labels)), labels))
    ordered = labels[order]
    starts, stops = np.searchsorted(ordered, labels[rows]), np.searchsorted(ordered, labels[rows], side="right")
    left = len(labels) - (stops - starts)
    if left.min() == 0:
        raise ReproError(f"image {int(left.argmin())}: all {len(labels)} captions share its group; nothing mismatches")
    keys = hashed(identities(ids, len(rows)), "candidates", seed)
    bits = hashed(keys[:, None] + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15), "candidate")
    positions = below(bits, left[:, None])
    positions += np.where(positions >= starts[:, None], (stops - starts)[:, None], 0)
    return order[positions]


def compare(
    images: Array, captions: Array, own: npt.ArrayLike, candidates: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each image, [N]: whether a candidate scores higher than its own caption, and whether one scores the same.

    ``candidates`` [N, K]: rows of ``captions``. Cosines are exact to float64: a float32 pass finds close calls, which
    are computed again.
    """
    pictures, rows = unit(images, "image embeddings"), np.asarray(own)
    if captions.ndim != 2 or pictures.shape[1] != captions.shape[1]:
        raise ReproError(
            f"images of {pictures.shape[1]} dimensions and captions {captions.shape}; expected one space, [C, d]"
        )
    small_texts = np.asarray(captions, dtype=np.float32)  # not copied from a float32 file
    shrink = np.empty(len(captions), dtype=np.float32)
    start = 0
    for block in blocks(captions):
        shrink[start : start + len(block)] = 1 / lengths_of(block, "caption embeddings", start)
        start += len(block)
    if len(rows) != len(pictures) or len(candidates) != len(pictures):
        raise ReproError(
            f"{len(pictures)} images, {len(rows)} own captions, {len(candidates)} rows of candidates; expected as many"
        )
    answers = np.einsum("nd,nd->n", pictures, unit(captions[rows], "caption embeddings"))
    small_pictures = pictures.astype(np.float32)
    margins = np.empty(len(pictures))

    def screen(start: int) -> None:
        part = slice(start, start + CHUNK)
        chosen = candidates[part]
        products = (small_texts.take(chosen, axis=0) @ small_pictures[part, :, None])[..., 0]
        margins[part] = (products * shrink[chosen]).max(axis=1) - answers[part]

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(screen, range(0, len(pictures), CHUNK)))
    for row in np.flatnonzero(np.abs(margins) < CLOSE):
        texts = unit(captions[candidates[row]], "caption embeddings")
        margins[row] = float((texts @ pictures[row]).max() - answers[row])
    return margins > TIE, np.abs(margins) <= TIE


def score_hits(
    hits: npt.NDArray[np.bool_],
    ties: npt.NDArray[np.bool_] | None = None,
    candidates: int = 100,
    folds: int = 10,
    ids: Ids | None = None,
    seed: int = 0,
    compat: bool = False,
) -> RPrecision:
    """R-precision from a hit or miss of each image [N]; folds are dealt by a hash of ``ids`` and ``seed``.

    Without ``compat``, folds are as equal as N allows. Raises ReproError on fewer images than folds (twice as many
    with it).
    """
    found = np.asarray(hits, dtype=bool)
    if found.ndim != 1 or folds < 1 or len(found) < folds * (2 if compat else 1):
        raise ReproError(
            f"R-precision: found hits of shape {found.shape} for {folds} folds; expected at least one image in each"
        )
    shuffled = found[hashed_order(ids, len(found), "folds", seed)]
    size = len(found) // folds
    if compat:
        parts = [shuffled[fold * size : (fold + 1) * size - 1] for fold in range(folds)]
    else:
        parts = list(np.array_split(shuffled, folds))
    shares = np.array([part.mean() for part in parts])
    value = float(shares.mean()) if compat else float(found.mean())
    counted = np.concatenate(parts)
    low, high = wilson(int(counted.sum()), len(counted))
    tied = 0 if ties is None else int(np.asarray(ties).sum())
    return RPrecision(value, float(shares.std()), low, high, len(found), candidates, folds, tied)
