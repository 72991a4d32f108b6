"""`--set KEY=VALUE`: params.yaml changed for one call, alike in every command for people."""

import argparse
from collections.abc import Sequence
from typing import Any

import yaml

from t2i_repro.errors import ReproError

FLAG = "--set"


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Let a command read overrides of params.yaml, as `args.set`."""
    parser.add_argument(
        FLAG,
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override params.yaml, e.g. --set scale=paper --set 'papers=[hdgan]'; several times",
    )


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs, each value read as YAML, as Snakemake's --config reads them.

    Raises ReproError on a pair without `=` or a value that is no YAML; the keys are checked with the file's own.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ReproError(f"{FLAG}: found {setting!r}; expected KEY=VALUE, e.g. {FLAG} scale=paper")
        try:
            overrides[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ReproError(f"{FLAG} {setting}: the value cannot be read as YAML: {error}") from error
    return overrides
