"""`t2i-repro plan`: what would be built, in the order of the flow, and what is there already."""

import argparse
from pathlib import Path

from t2i_repro.spec.plan import Planner, write_specs
from t2i_repro.spec.settings import add_settings, parse_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    planner = Planner(Path("."), parse_settings(args.set))
    write_specs(planner)
    for node in planner.nodes.values():
        state = "built" if (planner.project / node.record).exists() else "-"
        print(f"{state:6} {node.verb:12} {node.spec_file}")
    print(f"{len(planner.nodes)} artefacts for {', '.join(planner.targets)} at scale {planner.params['scale']}")
