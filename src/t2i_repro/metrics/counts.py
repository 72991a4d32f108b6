"""Columns that count: parameters, GPUs, images of a dataset."""

import zipfile
from pathlib import Path
from typing import Any

from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.inputs import Given, Result, needed

TEXT_FILES = ("text_encoder.pt", "itm.pt", "encoder.pt")


def score_parameters(given: Given, spec: dict[str, Any]) -> Result:
    """Parameters of the parts named, in millions: as the training counted them, those of a frozen text encoder as they
    lie in its file."""
    counts: dict[str, int] = dict(needed(given.run, "run")["facts"]["parameters"])
    if "text_encoder" not in counts and given.text is not None:
        files = [given.text / name for name in TEXT_FILES if (given.text / name).exists()]
        if files:
            counts["text_encoder"] = stored_values(files[0])
    absent = [part for part in spec["parts"] if part not in counts]
    if absent:
        raise ReproError(f"{spec['protocol']}: no count of {', '.join(absent)}; the training has {', '.join(counts)}")
    parts = {part: counts[part] for part in spec["parts"]}
    return Result(sum(parts.values()) / 1e6, sum(parts.values()), None, {"parts": parts, "of": counts})


def stored_values(path: Path) -> int:
    """Float32 values in a file of torch: a zip archive with one member below `data/` for each storage."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist() if "/data/" in entry.filename) // 4


def score_devices(given: Given, spec: dict[str, Any]) -> Result:
    """GPUs that a training ran on."""
    run = needed(given.run, "run")
    hardware = run.get("facts", {}).get("trained", run).get("hardware", {})  # of a checkpoint: where it was trained
    count = int("gpu" in hardware)
    return Result(count, count, None, {"hardware": hardware})


def score_dataset(given: Given, spec: dict[str, Any]) -> Result:
    """What a dataset counts."""
    data: Prepared = needed(given.data, "data")
    classes = {name: set(data.class_ids[rows].tolist()) for name, rows in data.splits.items()}
    counts = {
        "images": len(data),
        "captions-per-image": len(data.caption_image) / len(data),
        "classes": len(classes["train"] | classes["test"]),
        "train-classes": len(classes["train"]),
        "test-classes": len(classes["test"]),
    }
    return Result(counts[spec["what"]], len(data), None, {"counts": counts})
