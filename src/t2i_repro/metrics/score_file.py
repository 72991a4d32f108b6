"""Reading `metric.json`, whose keys `score.py` lists."""

import json
from pathlib import Path
from typing import Any

from t2i_repro.core.record import read_recorded
from t2i_repro.errors import ReproError


def read_metric(folder: Path) -> dict[str, Any]:
    """`metric.json` of a score's folder. Raises ReproError unless it is the file of the record: neither a number nor
    that it is comparable may be edited after it was computed."""
    try:
        metric: dict[str, Any] = json.loads(read_recorded(folder, "metric.json"))
    except ValueError as error:
        raise ReproError(f"{folder / 'metric.json'}: cannot be read ({error}); remove {folder} and score it") from error
    return metric
