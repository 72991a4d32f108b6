"""params.yaml with all its checks: the form of the file, and the keys that declarations ask for."""

from pathlib import Path
from typing import Any

from t2i_repro.core.config import load_params
from t2i_repro.data.layout import check_params as check_datasets
from t2i_repro.metrics.registry import check_params as check_protocols
from t2i_repro.models.text_encoder import check_params as check_networks
from t2i_repro.models.text_encoder import param_sections
from t2i_repro.registry.systems import check_params as check_systems


def read_params(project: Path, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read params.yaml with ``overrides``. Checks it by its schema, then by the declarations of layouts, text encoders,
    families and metrics. Raises ReproError naming the key, the value found and what is allowed."""
    params = load_params(project, overrides, param_sections())
    source = str(project / "params.yaml") + (" with --config" if overrides else "")
    for check in (check_datasets, check_networks, check_systems, check_protocols):
        check(params, source)
    return params
