"""Rendered tables that are already built, by the plan of a project."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import read_record
from t2i_repro.core.settings import parse_settings
from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner


def built_tables(project: Path, settings: Sequence[str] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """Contents (`table.json`) of the built tables by paper and table, at the scale that params.yaml or `settings`
    choose.

    Returns none, and logs why, where nothing can be planned: a scale for real data without `data_root`. With `settings`
    it raises the ReproError instead.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    try:
        planner = Planner(project, parse_settings(settings))
    except ReproError as error:
        if settings:
            raise
        logging.getLogger(__name__).info("Rebuilt numbers are left out: %s", error)
        return found
    for node in planner.nodes.values():
        content = read_built(project, node) if node.kind == "table" else None
        if content is not None:
            found.setdefault(node.spec["paper"], {})[node.spec["table"]] = content
    return found


def read_built(project: Path, table: Node) -> dict[str, Any] | None:
    """Content of a rendered table, or None if it is not built."""
    try:
        read_record(project / table.folder)
        content: dict[str, Any] = json.loads((project / table.folder / "table.json").read_text(encoding="utf-8"))
    except (ReproError, OSError, ValueError):
        return None
    return content
