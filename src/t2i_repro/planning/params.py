"""params.yaml as the planner reads it: the file's own form, and what each declared thing asks of its part."""

from pathlib import Path
from typing import Any

from t2i_repro.core.config import load_params


def read_params(project: Path, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """params.yaml with ``overrides``, checked whole: by its schema, then by the declarations of metrics, layouts,
    families and text encoders. Raises ReproError naming the key, the value found and what is allowed."""
    return load_params(project, overrides)
