"""`t2i-repro page`: the site from what is built so far, without waiting for the rest; every gap says so.

Tables with fewer inputs are artefacts of their own: `snakemake` builds the whole ones later all the same.
"""

import argparse
import dataclasses
from contextlib import suppress
from pathlib import Path

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.record import AlreadyBuilt, building, read_record, write_json
from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner
from t2i_repro.rendering import render, report

NOT_YET = "not run yet"
NOT_DRAWN = "not built yet: what it is drawn from is not there"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    planner = Planner(Path("."), parse_settings(args.set))
    whole = planner.targets["report"]
    by_folder = {node.folder: node for node in planner.nodes.values()}
    tables = {
        role: with_what_is_built(by_folder[given.path]) for role, given in whole.inputs.items() if given.kind == "table"
    }
    for table in tables.values():
        build(table)
    made = site_of(whole, {role: table.as_input() for role, table in tables.items()}, by_folder)
    build(made)
    print(f"{made.folder}/index.html: {len(made.inputs)} of {len(whole.inputs)} tables, figures, runs and samples")


def is_built(given: Input) -> bool:
    """Whether an input is there, complete, and what the plan says."""
    try:
        return bool(read_record(Path(given.path))["digest"] == given.digest)
    except (ReproError, OSError, ValueError):
        return False


def with_what_is_built(table: Node) -> Node:
    """A table of the plan, cut down to the scores that are there. Cells without one say that they are not run yet."""
    kept = {role: given for role, given in table.inputs.items() if is_built(given)}
    cells = {role.rsplit("/", 1)[0] for role in kept}
    waiting = dict.fromkeys((role.rsplit("/", 1)[0] for role in table.inputs), NOT_YET)
    missing = {cell: reason for cell, reason in waiting.items() if cell not in cells}
    return dataclasses.replace(table, inputs=kept, spec={**table.spec, "missing": {**table.spec["missing"], **missing}})


def site_of(whole: Node, tables: dict[str, Input], by_folder: dict[str, Node]) -> Node:
    """The report of the plan with these tables, and of its figures, runs and samples those that are there."""
    kept: dict[str, Input] = {}
    waiting: dict[str, dict[str, str]] = {}
    for role, given in whole.inputs.items():
        if role in tables:
            kept[role] = tables[role]
        elif is_built(given):
            kept[role] = given
        elif given.kind == "figure":
            spec = by_folder[given.path].spec
            waiting[role] = {"where": spec["where"], "caption": spec["caption"], "reason": NOT_DRAWN}
    return dataclasses.replace(
        whole, inputs=kept, spec={**whole.spec, "not_built": {**whole.spec["not_built"], **waiting}}
    )


def build(node: Node) -> None:
    """Build a table or the site, unless it is there already."""
    spec = Path(node.spec_file)
    spec.parent.mkdir(parents=True, exist_ok=True)
    write_json(spec, node.to_json())
    with suppress(AlreadyBuilt), building(node, Path(node.folder)) as work:
        (render if node.kind == "table" else report).run(node, Path(node.folder), work)
