"""`t2i-repro plan`: the artefacts of the plan in the order of the flow, and which of them are built."""

import argparse
from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.planning.plan import Planner, write_specs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    planner = Planner(Path("."), parse_settings(args.set))
    write_specs(planner)
    for node in planner.nodes.values():
        state = "built" if (planner.project / node.record).exists() else "-"
        print(f"{state:6} {node.verb:12} {node.spec_file}")
    print(f"{len(planner.nodes)} artefacts for {', '.join(planner.targets)} at scale {planner.params['scale']}")
    trainings, rows, cells = filled(planner)
    print(f"{trainings} GAN trainings fill {cells} cells of {rows} table rows")


def filled(planner: Planner) -> tuple[int, int, int]:
    """Count the distinct GAN trainings behind the cells of the plan's tables, and the rows and cells that they fill.

    Trainings that only figures, or only later trainings, use are not counted.
    """
    runs: set[str] = set()
    rows: set[tuple[str, str]] = set()
    cells: set[tuple[str, str, str]] = set()
    for table in (node for node in planner.nodes.values() if node.kind == "table"):
        for role, score in planner.inputs_of(table).items():
            row, column, _ = role.split("/")
            run = run_behind(planner, score)
            if run is not None:
                runs.add(run.folder)
                rows.add((table.folder, row))
                cells.add((table.folder, row, column))
    return len(runs), len(rows), len(cells)


def run_behind(planner: Planner, score: Node) -> Node | None:
    """The training whose samples or weights are scored; None for a score of real images or of a dataset."""
    inputs = planner.inputs_of(score)
    for role in ("run", "images", "features"):
        if role in inputs:
            return inputs[role] if inputs[role].kind == "train" else run_behind(planner, inputs[role])
    return None
