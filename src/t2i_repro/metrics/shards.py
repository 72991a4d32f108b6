"""Features that several machines computed, put together; what is missing or there twice is named."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import Array


def join_shards(parts: Sequence[tuple[npt.ArrayLike, Array]], count: int) -> Array:
    """Rows of all samples, [count, ...], in the order of their ids, from shards ``(ids [n], rows [n, ...])`` in any
    order; ids are 0 to ``count`` - 1. The bits are those of one machine that did all of it.

    Raises ReproError where a sample is missing, there twice, or no sample at all; where shards have rows of other
    shapes or types.
    """
    if not parts:
        raise ReproError("shards: there is none; expected at least one")
    first = parts[0][1]
    joined = np.empty((count, *first.shape[1:]), dtype=first.dtype)
    owner = np.full(count, -1, dtype=np.int64)
    for index, (shard_ids, rows) in enumerate(parts):
        ids = np.asarray(shard_ids)
        if ids.shape != rows.shape[:1] or ids.dtype.kind not in "iu" or rows.shape[1:] != first.shape[1:]:
            raise ReproError(
                f"shard {index}: {ids.dtype} ids {ids.shape}, rows {rows.shape}; expected as many integers as rows, "
                f"and rows of shape {first.shape[1:]} as in shard 0"
            )
        if rows.dtype != first.dtype:
            raise ReproError(f"shard {index}: rows of {rows.dtype}; expected {first.dtype}, as in shard 0")
        if len(ids) and (ids.min() < 0 or ids.max() >= count):
            raise ReproError(f"shard {index}: ids {ids.min()} to {ids.max()}; expected 0 to {count - 1}")
        known, times = np.unique(ids, return_counts=True)
        twice = known[(times > 1) | (owner[known] >= 0)]
        if len(twice):
            before = owner[twice[0]] if owner[twice[0]] >= 0 else index
            raise ReproError(
                f"shards {before} and {index}: sample {twice[0]} is in both ({len(twice)} samples are there twice)"
                if before != index
                else f"shard {index}: sample {twice[0]} is in it twice ({len(twice)} samples are)"
            )
        owner[ids], joined[ids] = index, rows
    missing = np.flatnonzero(owner < 0)
    if len(missing):
        raise ReproError(f"shards: sample {missing[0]} is in none ({len(missing)} of {count} samples are missing)")
    return joined
