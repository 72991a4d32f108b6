"""`t2i-repro plan`: what would be built, in the order of the flow, and what is there already."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from t2i_repro.errors import ReproError
from t2i_repro.spec.plan import Planner, write_specs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="override params.yaml, e.g. scale=paper")


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """`key=value` pairs as Snakemake's --config reads them. Raises ReproError on a pair without `=`."""
    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ReproError(f"plan: found {setting!r}; expected KEY=VALUE, e.g. scale=paper")
        overrides[key] = yaml.safe_load(value)
    return overrides


def main(args: argparse.Namespace) -> None:
    planner = Planner(Path("."), parse_settings(args.settings))
    write_specs(planner)
    for node in planner.nodes.values():
        state = "built" if (planner.project / node.record).exists() else "-"
        print(f"{state:6} {node.verb:12} {node.spec_file}")
    print(f"{len(planner.nodes)} artefacts for {', '.join(planner.targets)} at scale {planner.params['scale']}")
