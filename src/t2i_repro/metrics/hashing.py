"""Random choices as functions of samples' ids: order, shards and batches change nothing."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from t2i_repro.core.digest import derive_seed
from t2i_repro.errors import ReproError

Ids = Sequence[int] | Sequence[str] | npt.NDArray[np.integer]
Integers = npt.NDArray[np.int64]


def identities(ids: Ids | None, count: int) -> npt.NDArray[np.uint64]:
    """Ids of ``count`` samples as distinct uint64; strings are hashed, None means the row indices.

    Raises ReproError on another number than ``count``, on duplicates, and on negative integers.
    """
    found = np.arange(count) if ids is None else np.asarray(ids)
    if found.shape != (count,):
        raise ReproError(f"ids: found shape {found.shape}; expected one id for each of {count} samples")
    if found.dtype.kind in "US":
        texts = [str(text).encode() for text in found]
        keys = np.array(
            [int.from_bytes(blake2b(text, digest_size=8).digest(), "big") for text in texts], dtype=np.uint64
        )
    elif found.dtype.kind == "u" or (found.dtype.kind == "i" and (count == 0 or found.min() >= 0)):
        keys = found.astype(np.uint64)
    else:
        raise ReproError(f"ids: found {found.dtype}; expected integers >= 0, or strings")
    distinct, counts = np.unique(keys, return_counts=True)
    if len(distinct) != count:
        twice = found[np.flatnonzero(keys == distinct[counts > 1][0])[0]]
        raise ReproError(
            f"ids: {count - len(distinct)} of {count} samples are there twice (id {twice}, say); expected distinct ids"
        )
    return keys


def hashed(keys: npt.NDArray[np.uint64], *purpose: object) -> npt.NDArray[np.uint64]:
    """64 uniform bits for each key and purpose; distinct keys have distinct bits."""
    return mix(mix(keys) ^ np.uint64(derive_seed(*purpose)))


def hashed_order(ids: Ids | None, count: int, *purpose: object) -> npt.NDArray[np.intp]:
    """Rows in the order of their ids' hashes: a shuffle that depends on the ids alone."""
    return np.argsort(hashed(identities(ids, count), *purpose), kind="stable")


def hashed_splits(ids: npt.ArrayLike, splits: int) -> Integers:
    """Split 0..splits-1 of each sample, from a hash of its id (distinct integers >= 0), whatever their order.

    Ids are ranked by their hash and dealt round, so that split sizes differ by one at most. Raises ReproError on
    duplicate ids.
    """
    keys = identities(np.asarray(ids), len(np.asarray(ids)))
    found = np.empty(len(keys), dtype=np.int64)
    found[np.argsort(mix(keys))] = np.arange(len(keys)) % splits
    return found


def below(bits: npt.NDArray[np.uint64], limits: int | Integers) -> Integers:
    """Integers 0 <= n < limit (limit < 2^40, say) from uniform bits."""
    uniform = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (uniform * limits).astype(np.int64)


def mix(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele et al. 2014), a bijection: distinct keys have distinct hashes."""
    mixed = np.asarray(keys, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
