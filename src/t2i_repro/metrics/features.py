"""Features folders, as `embed` leaves them."""

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
    """Arrays of a features folder, memory-mapped, and the facts its record states. ``pooled`` [N, d];
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
