"""`t2i-repro page`: build the site from what is built so far. Every gap says so.

Tables with fewer inputs are artefacts of their own: `snakemake` still builds the complete ones later.
"""

import argparse
import dataclasses
from contextlib import suppress
from pathlib import Path

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.record import AlreadyBuilt, building, write_json
from t2i_repro.planning.built import is_built, with_built_inputs
from t2i_repro.planning.plan import Planner
from t2i_repro.rendering import report, tables

NOT_DRAWN = "not built yet: its inputs are missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    planner = Planner(Path("."), parse_settings(args.set))
    complete = planner.targets["report"]
    by_folder = {node.folder: node for node in planner.nodes.values()}
    partial = {
        role: with_built_inputs(by_folder[source.path])
        for role, source in complete.inputs.items()
        if source.kind == "table"
    }
    for table in partial.values():
        build(table)
    site = site_of(complete, {role: table.as_input() for role, table in partial.items()}, by_folder)
    build(site)
    print(f"{site.folder}/index.html: {len(site.inputs)} of {len(complete.inputs)} tables, figures, runs and samples")


def site_of(complete: Node, partial: dict[str, Input], by_folder: dict[str, Node]) -> Node:
    """The report with the `partial` tables, and those figures, runs and samples that are built."""
    kept: dict[str, Input] = {}
    waiting: dict[str, dict[str, str]] = {}
    for role, source in complete.inputs.items():
        if role in partial:
            kept[role] = partial[role]
        elif is_built(source):
            kept[role] = source
        elif source.kind == "figure":
            spec = by_folder[source.path].spec
            waiting[role] = {"where": spec["where"], "caption": spec["caption"], "reason": NOT_DRAWN}
    not_built = {**complete.spec["not_built"], **waiting}
    return dataclasses.replace(complete, inputs=kept, spec={**complete.spec, "not_built": not_built})


def build(node: Node) -> None:
    """Build a table or the site, unless it is already built."""
    spec = Path(node.spec_file)
    spec.parent.mkdir(parents=True, exist_ok=True)
    write_json(spec, node.to_json())
    with suppress(AlreadyBuilt), building(node, Path(node.folder)) as work:
        (tables if node.kind == "table" else report).run(node, Path(node.folder), work)
