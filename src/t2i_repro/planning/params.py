"""params.yaml as the planner reads it: the file's own form, and what each declared thing asks of its part."""

from pathlib import Path
from typing import Any

from t2i_repro.core.config import load_params
from t2i_repro.data.layout import check_params as check_datasets
from t2i_repro.models.text_encoder import check_params as check_networks
from t2i_repro.models.text_encoder import param_sections


def read_params(project: Path, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """params.yaml with ``overrides``, checked whole: by its schema, then by the declarations of metrics, layouts,
    families and text encoders. Raises ReproError naming the key, the value found and what is allowed."""
    params = load_params(project, overrides, param_sections())
    check_datasets(params, str(project / "params.yaml"))
    check_networks(params, str(project / "params.yaml"))
    return params
