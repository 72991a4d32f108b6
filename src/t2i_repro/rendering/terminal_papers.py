"""`t2i-repro papers`: the papers of the registry, what can be rebuilt of each, and what is built."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.text import visible
from t2i_repro.errors import ReproError
from t2i_repro.planning.built import read_built
from t2i_repro.planning.params import read_params
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_papers, measured_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    project, settings = Path("."), parse_settings(args.set)
    papers, params = load_papers(project), read_params(project, settings)
    try:
        planned = plan_all(project, settings, list(papers))
        problem = None
    except ReproError as error:
        planned, problem = {}, error
    print(f"At scale {params['scale']}:\n")
    file = visible(sys.stdout)
    for paper_id, paper in papers.items():
        chosen = "" if paper_id in params["papers"] else "  (not among `papers` of params.yaml)"
        print(f"{paper_id:10} {paper['title']}{chosen}\n{'':10} {paper['authors']}. {paper['source']}.", file=file)
        for table_id, table in paper["tables"].items():
            state = table_state(project, table, planned.get(f"{paper_id}-{table_id}"))
            print(f"{'':10}   {table_id:18} {state:36}  {table['where']}", file=file)
        for figure_id, figure in paper["figures"].items():
            node = planned.get(f"{paper_id}-{figure_id}")
            state = "built" if node is not None and (project / node.record).exists() else "not built"
            print(f"{'':10}   {figure_id:18} {state:36}  {figure['where']}", file=file)
    if problem is not None:
        print(f"\nNothing can be planned: {problem}")
    print("\nOne table: `t2i-repro tables PAPER TABLE`. What would be built: `t2i-repro plan`.")


def plan_all(project: Path, settings: dict[str, Any], papers: list[str]) -> dict[str, Node]:
    """Plan tables and figures of every paper, chosen in params.yaml or not. Returns them by name."""
    nodes = Planner(project, {**settings, "papers": papers}).nodes.values()
    return {node.name: node for node in nodes if node.kind in ("table", "figure")}


def table_state(project: Path, table: dict[str, Any], node: Node | None) -> str:
    """How much of a table can be rebuilt and is: `9 of 21 cells can be rebuilt, 9 are`."""
    measured = [measured_in(row, column) for row in table["rows"].values() for column in table["columns"].values()]
    if node is None:
        ours = Counter("system" in cell for cell in measured)[True]
        return f"{ours} of {len(measured)} cells have a system of ours"
    content = read_built(project, node)
    built = 0 if content is None else sum(bool(c["rebuilt"]) for row in content["rows"] for c in row["cells"].values())
    return f"{len(measured) - len(node.spec['missing'])} of {len(measured)} cells can be rebuilt, {built} are"
