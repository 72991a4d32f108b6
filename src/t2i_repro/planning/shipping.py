"""Writes `released.json`, the parameters that this project ships, from params.yaml and papers/ (`make released`).

Run it in a project's folder after a change that is meant: a new paper, a corrected value. released.py says what the
file is for.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import atomic_write
from t2i_repro.metrics.comparison import COMPARABLE_SCALE
from t2i_repro.metrics.registry import metrics
from t2i_repro.planning import evaluation, external
from t2i_repro.planning.graph import Graph
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.released import FILE, Recipes, describe, score_key
from t2i_repro.registry.papers import measured_in

SHIPPED: dict[str, Any] = {"scale": COMPARABLE_SCALE, "data_root": None}


def shipped(project: Path) -> dict[str, Any]:
    """The content of `released.json`, from a project's params.yaml and papers/."""
    planner = Planner(project, SHIPPED, estimate=True)
    recipes = Recipes(planner)
    of_cells = {}
    planned = [node for node in planner.nodes.values() if node.kind == "score"]
    for name, about, scores, outside in cells(planner):
        found = {"score": next(iter(scores.values()), None), "outside": outside}
        of_cells[name] = about | {key: recipes.of(node) for key, node in found.items() if node is not None}
    of_scores = {score_key(planner, node): recipes.of(node) for node in planned}
    return {
        "cells": of_cells,
        "scores": dict(sorted(of_scores.items())),
        "recipes": dict(sorted(recipes.known.items())),
    }


def as_lines(content: dict[str, Any]) -> bytes:
    """JSON with a line for each cell, score and recipe, so that a change shows as one line."""
    sections = []
    for section, entries in content.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
        sections.append(f' "{section}": {{\n' + ",\n".join(lines) + "\n }")
    return ("{\n" + ",\n".join(sections) + "\n}\n").encode()


def cells(graph: Graph) -> Iterator[tuple[str, dict[str, Any], dict[str, Node], Node | None]]:
    """Every cell of the registry's tables: its name, what it prints and measures, its scores by seed, and the score
    of outside samples in the place of a run, if it can have one."""
    for paper, content in graph.registry.items():
        for table_id, table in content["tables"].items():
            for row_id, row in table["rows"].items():
                for column_id, column in table["columns"].items():
                    about, name = describe(row, column, column_id), f"{paper}/{table_id}/{row_id}/{column_id}"
                    scores = evaluation.cell(graph, row_id, row, column)[0]
                    yield name, about, scores, outside_score(graph, row_id, row, column)


def outside_score(graph: Graph, row_id: str, row: dict[str, Any], column: dict[str, Any]) -> Node | None:
    """The score that images of others would have in a cell: of the papers' N and of the system's size."""
    measured, params = measured_in(row, column), graph.params
    dataset, protocol = measured["dataset"], params["protocols"][measured["protocol"]]
    metric = metrics()[protocol["metric"]]
    if dataset is None or metric.of_data or metric.of_run or row.get("real"):
        return None
    size = params["prepare"]["image_size"]
    own = graph.system(measured["system"], dataset)["train"]["image_size"] if "system" in measured else size
    spec = {key: params["sample"][key] for key in ("images", "split")} | {"image_size": own, "lossy": False}
    samples = graph.add(
        "import-samples",
        f"{dataset}-{external.name_of(measured, row_id)}-outside",
        {**spec, "content": None, "captions": None, "provenance": None},
        {"data": graph.prepare(dataset, max(own, size))},
    )
    return evaluation.score(graph, samples, measured["protocol"], dataset)


if __name__ == "__main__":
    with atomic_write(FILE) as file:
        file.write(as_lines(shipped(Path("."))))
