"""Reader of `metric.json`, which a score writes (its content: metrics/score.py)."""

import json
from pathlib import Path
from typing import Any

from t2i_repro.errors import ReproError


def read_metric(folder: Path) -> dict[str, Any]:
    """The metric of a score's folder. Raises ReproError if it cannot be read."""
    path = folder / "metric.json"
    try:
        metric: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReproError(f"{path}: cannot be read ({error}); remove {folder} and score it again") from error
    return metric
