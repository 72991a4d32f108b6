"""Features folders, the output of `embed`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from t2i_repro.core.record import read_record
from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import Array


@dataclass(frozen=True)
class Features:
    """Arrays of a features folder, memory-mapped, and its record. ``pooled`` [N, d];
    ``probabilities`` [N, K] or None; ``origin`` [N, 3]: image, caption and class of each row."""

    folder: Path
    record: dict[str, Any]
    pooled: Array
    probabilities: Array | None
    origin: npt.NDArray[np.int64]

    @property
    def facts(self) -> dict[str, Any]:
        return self.record["facts"]


def open_features(folder: Path) -> Features:
    """Raises ReproError when the folder's arrays are missing or disagree with its record."""
    record = read_record(folder)
    probabilities = None
    try:
        pooled, origin = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pooled", "origin"))
        if "probabilities.npy" in record["files"]:
            probabilities = np.load(folder / "probabilities.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ReproError(f"{folder}: features cannot be read ({error}); remove the folder and embed again") from error
    lengths = {"pooled": len(pooled), "origin": len(origin)}
    if probabilities is not None:
        lengths["probabilities"] = len(probabilities)
    if set(lengths.values()) != {record["facts"]["n"]}:
        raise ReproError(
            f"{folder}: {', '.join(f'{name}.npy has {rows} rows' for name, rows in lengths.items())}, record.json says "
            f"{record['facts']['n']}: shards are missing or double; remove the folder and embed again"
        )
    return Features(folder, record, pooled, probabilities, origin)


def captions_of(features: Features, captions: Features) -> npt.NDArray[np.int64]:
    """Caption that each sample was made from, int64 [N]; of a real image, which has several, the first."""
    order = np.argsort(captions.origin[:, 1], kind="stable")
    owners, first = np.unique(captions.origin[order, 0], return_index=True)
    images = features.origin[:, 0]
    found = features.origin[:, 1].copy()
    real = found < 0
    found[real] = captions.origin[order[first[rows_of(owners, images[real], "image")]], 1]
    return found


def rows_of(known: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], what: str) -> npt.NDArray[np.int64]:
    """Row in ``known`` of each of ``wanted``. Raises ReproError when one is missing, or known twice."""
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    if len(ordered) > 1 and (np.diff(ordered) == 0).any():
        raise ReproError(f"{what} {ordered[:-1][np.diff(ordered) == 0][0]} is there twice; expected distinct ones")
    positions = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    absent = wanted[ordered[positions] != wanted]
    if len(absent):
        raise ReproError(
            f"{what} {absent[0]} of the samples is not among the {len(known)} known ones: samples of another split, or "
            f"without a captions.csv?"
        )
    return order[positions]
