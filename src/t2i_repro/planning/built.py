"""What of a plan is already built."""

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.config import parse_settings
from t2i_repro.core.record import read_record, read_recorded
from t2i_repro.errors import ReproError
from t2i_repro.metrics.comparison import is_outdated
from t2i_repro.planning.plan import Planner

NOT_YET = "not run yet"


def planned_tables(project: Path, settings: Sequence[str] = ()) -> list[Node]:
    """Tables of the papers that params.yaml and `settings` choose, at their scale.

    Returns none, and logs why, where nothing can be planned: a scale for real data without `data_root`. With `settings`
    it raises the ReproError instead.
    """
    try:
        planner = Planner(project, parse_settings(settings))
    except ReproError as error:
        if settings:
            raise
        logging.getLogger(__name__).info("Rebuilt numbers are left out: %s", error)
        return []
    return [node for node in planner.nodes.values() if node.kind == "table"]


def built_tables(project: Path, settings: Sequence[str] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """Contents (`table.json`) of those of `planned_tables` that are built, by paper and table."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for node in planned_tables(project, settings):
        content = read_built(project, node)
        if content is not None:
            found.setdefault(node.spec["paper"], {})[node.spec["table"]] = content
    return found


def read_built(project: Path, table: Node) -> dict[str, Any] | None:
    """Content of a rendered table, or None if it is not built. One that was damaged or edited since is left out, which
    is logged."""
    folder = project / table.folder
    if not (folder / "record.json").is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(read_recorded(folder, "table.json"))
    except (ReproError, ValueError) as error:
        logging.getLogger(__name__).warning("%s is left out: %s", table.name, error)
        return None
    if is_outdated(content):
        logging.getLogger(__name__).warning("%s is left out: rendered by an earlier version; remove it", folder)
        return None
    return content


def is_built(source: Input) -> bool:
    """Whether an input is there, complete, and the one that the plan names."""
    try:
        return bool(read_record(Path(source.path))["digest"] == source.digest)
    except (ReproError, OSError, ValueError):
        return False


def with_built_inputs(table: Node) -> Node:
    """A table with only those scores that are built. Cells without one say that they are not run yet."""
    kept = {role: source for role, source in table.inputs.items() if is_built(source)}
    cells = {role.rsplit("/", 1)[0] for role in kept}
    waiting = dict.fromkeys((role.rsplit("/", 1)[0] for role in table.inputs), NOT_YET)
    missing = {cell: reason for cell, reason in waiting.items() if cell not in cells}
    return dataclasses.replace(table, inputs=kept, spec={**table.spec, "missing": {**table.spec["missing"], **missing}})
