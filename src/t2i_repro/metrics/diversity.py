"""MS-SSIM over a set of generated images, class by class and overall, as HDGAN prints it (Tables 3 and 5).

HDGAN's paper: 400 random pairs of each class (20,000 on CUB), 10,000 overall. Its released code takes 20 images of a
class, the first 19 as rows and the last 19 as columns: 361 pairs, 18 of an image with itself (which score 1) and most
others twice, which raises the mean m by about 0.05 (1 - m). ``compat`` repeats that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.hashing import Ids, Integers, below, hashed, hashed_order, identities
from t2i_repro.metrics.moments import Float64
from t2i_repro.metrics.structural_similarity import ms_ssim_of_pairs

Images = npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Diversity:
    """``mean``: of all pairs' MS-SSIM (class-wise: of the classes' means), at most 1. ``std``: population standard
    deviation of the classes' means (HDGAN's "inter-class", Sec. 4.1), overall of the pairs. ``by_class``: mean of each
    class, empty overall. ``pairs``: pairs compared. ``undefined``: those without a real value; they count as 0, or with
    ``compat`` not at all."""

    mean: float
    std: float
    by_class: dict[int, float]
    pairs: int
    undefined: int


def class_wise_ms_ssim(
    images: Images,
    class_ids: npt.ArrayLike,
    pairs: int = 400,
    ids: Ids | None = None,
    seed: int = 0,
    compat: bool = False,
    sample: int | None = None,
) -> Diversity:
    """MS-SSIM between images of one class: uint8 [N, S, S, 3], with integers [N].

    Per class, ``pairs`` distinct pairs (all, if there are fewer), drawn by a hash of ``ids`` (default: row indices)
    from all its images, or from ``sample`` of them, which is several times faster and noisier. ``compat``: the
    released code's pairs of ``sample`` images, default 20. Raises ReproError on a class with a single image.
    """
    labels = np.asarray(class_ids)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ReproError(
            f"class_ids: found {labels.dtype} {labels.shape}; expected one integer for each of {len(images)} images"
        )
    keys = identities(ids, len(images))
    chosen = {}
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise ReproError(f"class-wise MS-SSIM: class {label} has one image; expected at least 2 of every class")
        if compat:
            chosen[label] = members[released_pairs(keys[members], sample or 20, seed)]
            continue
        members = members[hashed_order(keys[members], len(members), "sample", seed)[:sample]]
        chosen[label] = members[distinct_pairs(keys[members], pairs, seed)]
    values = ms_ssim_of_pairs(images, np.concatenate(list(chosen.values())))
    undefined = int(np.isnan(values).sum())
    ends = np.cumsum([len(rows) for rows in chosen.values()])[:-1]
    by_class = {label: _mean(part, compat) for label, part in zip(chosen, np.split(values, ends), strict=True)}
    means = np.array(list(by_class.values()))
    return Diversity(float(means.mean()), float(means.std()), by_class, len(values), undefined)


def overall_ms_ssim(
    images: Images, pairs: int = 10_000, ids: Ids | None = None, seed: int = 0, compat: bool = False, sample: int = 101
) -> Diversity:
    """MS-SSIM between any images: uint8 [N, S, S, 3].

    ``pairs`` distinct pairs (all, if there are fewer), drawn by a hash of ``ids``. ``compat``: the released code's
    pairs of ``sample`` images (101 give 10,000; its default of 20 gives 361). Raises ReproError on fewer than 2
    images.
    """
    keys = identities(ids, len(images))
    if len(keys) < 2:
        raise ReproError(f"MS-SSIM: found {len(keys)} images; expected at least 2")
    values = ms_ssim_of_pairs(
        images, released_pairs(keys, sample, seed) if compat else distinct_pairs(keys, pairs, seed)
    )
    undefined = np.isnan(values)
    counted = values[~undefined] if compat else np.where(undefined, 0.0, values)
    spread = float(counted.std()) if len(counted) else float("nan")
    return Diversity(_mean(values, compat), spread, {}, len(values), int(undefined.sum()))


def distinct_pairs(ids: Ids, count: int, seed: int = 0) -> Integers:
    """``count`` different pairs of different images, rows [P, 2], or all pairs if there are no more; a function of
    the set of ids, whatever their order."""
    order = np.argsort(identities(ids, len(ids)), kind="stable")
    total = len(order) * (len(order) - 1) // 2
    if count >= total:
        numbers = np.arange(total)
    elif 2 * count > total:
        numbers = np.argsort(hashed(np.arange(total, dtype=np.uint64), "pairs", seed))[:count]
    else:
        draws = below(hashed(np.arange(4 * count + 64, dtype=np.uint64), "pairs", seed), total)
        _, first = np.unique(draws, return_index=True)
        numbers = draws[np.sort(first)[:count]]
    # Pair number j (j - 1) / 2 + i is (i, j), i < j.
    high = ((1 + np.sqrt(1 + 8 * numbers.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > numbers
    high += (high + 1) * high // 2 <= numbers
    return order[np.stack([numbers - high * (high - 1) // 2, high], axis=1)]


def released_pairs(ids: Ids, sample: int = 20, seed: int = 0) -> Integers:
    """HDGAN's released pairs, rows [(n - 1)^2, 2], of the ``sample`` images that come first by a hash of their ids."""
    chosen = hashed_order(ids, len(ids), "sample", seed)[:sample]
    rows, columns = np.meshgrid(chosen[:-1], chosen[1:], indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()], axis=1)


def _mean(values: Float64, compat: bool) -> float:
    if not compat:
        return float(np.nan_to_num(values, nan=0.0).mean())
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
