"""`t2i-repro papers`: the papers of the registry, and how much of each can be rebuilt."""

import argparse
from pathlib import Path
from typing import Any

from t2i_repro.spec.papers import load_papers, measured_in
from t2i_repro.spec.params import load_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def main(args: argparse.Namespace) -> None:
    papers = load_papers(Path("."))
    params = load_params(Path("."))
    for paper_id, paper in papers.items():
        chosen = "" if paper_id in params["papers"] else "  (not among `papers` of params.yaml)"
        print(f"{paper_id:10} {paper['title']}{chosen}\n{'':10} {paper['authors']}. {paper['source']}.")
        for table_id, table in paper["tables"].items():
            cells, runnable = count(table)
            print(f"{'':10}   {table_id:8} {runnable:3} of {cells:3} cells have a system of ours  {table['where']}")
        for figure_id, figure in paper["figures"].items():
            print(f"{'':10}   {figure_id:8} {figure['where']}")
    print("\nOne table: `t2i-repro tables PAPER TABLE`. What would be built: `t2i-repro plan`.")


def count(table: dict[str, Any]) -> tuple[int, int]:
    """Cells of a table, and those that a system rebuilds."""
    measured = [measured_in(row, column) for row in table["rows"].values() for column in table["columns"].values()]
    return len(measured), sum("system" in cell for cell in measured)
