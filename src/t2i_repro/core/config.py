"""params.yaml: load, override (`--set KEY=VALUE`), validate, resolve the scale."""

import argparse
from collections.abc import Collection, Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from t2i_repro.core.schema import read_yaml, schemas, validate
from t2i_repro.errors import ReproError

FLAG = "--set"
# Keys of a scale that are its own; every other key overrides the section of that name.
OF_SCALE = {"label", "datasets", "shrink", "system", "train"}
# Sections whose entries are named things. In the others, a mapping is a value by dataset.
OF_NAMES = {"datasets", "networks", "outside", "protocols", "scales"}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Give a command the option `--set`, parsed into `args.set`."""
    parser.add_argument(
        FLAG,
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override params.yaml, e.g. --set scale=paper --set 'papers=[hdgan]'; several times",
    )


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs as overrides for `load_params`, each value parsed as YAML, as Snakemake's --config does.

    Raises ReproError on a pair without `=` or a value that is not YAML; `load_params` checks the keys.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ReproError(f"{FLAG}: found {setting!r}; expected KEY=VALUE, e.g. {FLAG} scale=paper")
        try:
            overrides[key] = merged(overrides.get(key), yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise ReproError(f"{FLAG} {setting}: the value cannot be read as YAML: {error}") from error
    return overrides


def merged(base: Any, over: Any) -> Any:
    """`base` overridden by `over`: mappings key by key, anything else replaced. Shares nothing with either."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**deepcopy(base), **{key: merged(base.get(key), value) for key, value in over.items()}}
    return deepcopy(over)


def typed(value: Any, known: Any) -> Any:
    """Parse nested strings of a --config override as YAML; values equal to those of params.yaml (`known`) are kept.

    Snakemake parses only the outermost value: `--config sample={images: 60}` arrives as {"images": "60"}.
    """
    if value == known:
        return value
    if isinstance(value, dict):
        return {key: typed(item, known.get(key) if isinstance(known, dict) else None) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item, None) for item in value]
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def load_params(
    project: Path, overrides: dict[str, Any] | None = None, sections: dict[str, Any] | None = None
) -> dict[str, Any]:
    """params.yaml with `overrides` (of `--config` or `--set`) merged in, validated.

    `sections`: JSON schemas of the sections that declarations add, by name; None: any, unchecked. Raises ReproError
    naming the key, the value found and what is allowed.
    """
    path = project / "params.yaml"
    params = read_yaml(path)
    if overrides:
        params = with_overrides(params, typed(overrides, params))
    write_out_dates(params)
    expand_home(params)
    validate(params, params_schema(sections), str(path) + (" with --config" if overrides else ""))
    check_names(params, path)
    return params


def with_overrides(params: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`params` overridden by what the user gave, which also overrides the sections of the chosen scale.

    Raises ReproError on an override of another scale, which would have no effect.
    """
    result: dict[str, Any] = merged(params, overrides)
    name, scales = result.get("scale"), result.get("scales")
    over_scales = overrides.get("scales")
    for other, values in over_scales.items() if isinstance(over_scales, dict) else ():
        if other != name and merged(params["scales"].get(other), values) != params["scales"].get(other):
            raise ReproError(
                f"scales.{other}: overridden, but the scale is {name!r}; set scale={other} too, or drop it"
            )
    scale = scales.get(name) if isinstance(scales, dict) else None
    if isinstance(scale, dict):
        for section in overrides.keys() & (scale.keys() - OF_SCALE):
            scale[section] = overridden(section, scale[section], overrides[section])
    return result


def overridden(section: str, values: Any, over: Any) -> Any:
    """A section overridden key by key. A network is replaced as one, since its keys depend on its source."""
    return {**values, **over} if section == "networks" and isinstance(over, dict) else merged(values, over)


def params_schema(sections: dict[str, Any] | None) -> dict[str, Any]:
    """The schema of params.yaml with these sections, which a scale may override."""
    schema = deepcopy(schemas()["params.yaml"])
    scale = schema["properties"]["scales"]["additionalProperties"]
    for part in (schema, scale):
        if sections is None:
            part["additionalProperties"] = True
        else:
            part["properties"] |= sections
    schema["required"] += sections or []
    return schema


def write_out_dates(params: dict[str, Any]) -> None:
    """Turn dates of `outside` into text: YAML 1.1 reads 2021-07-01 as a date and 2021 as a number."""
    entries = params.get("outside")
    for entry in entries.values() if isinstance(entries, dict) else ():
        provenance = entry.get("provenance") if isinstance(entry, dict) else None
        if isinstance(provenance, dict) and isinstance(provenance.get("date"), date | int):
            provenance["date"] = str(provenance["date"])


def expand_home(params: dict[str, Any]) -> None:
    """Replace `~` in paths: no shell does it for `--config data_root=~/data`, let alone in a file."""
    outside = params.get("outside")
    entries = [(params, "data_root")]
    for entry in outside.values() if isinstance(outside, dict) else ():
        entries += [(entry, key) for key in ("path", "captions") if isinstance(entry, dict)]
    for holder, key in entries:
        if isinstance(path := holder.get(key), str) and path.startswith("~"):
            holder[key] = str(Path(path).expanduser())


def check_names(params: dict[str, Any], path: Path) -> None:
    """Check that names of scales and datasets exist. Raises ReproError naming those that do."""
    known_scales = ", ".join(params["scales"])
    if params["scale"] not in params["scales"]:
        raise ReproError(f"{path}: scale: found {params['scale']!r}; allowed: {known_scales}")
    for name, scale in params["scales"].items():
        for dataset in scale["datasets"]:
            if dataset not in params["datasets"]:
                allowed = ", ".join(params["datasets"])
                raise ReproError(f"{path}: scales.{name}.datasets: found {dataset!r}; allowed: {allowed}")
        check_by_dataset(scale, OF_NAMES | OF_SCALE, params["datasets"], f"{path}: scales.{name}.")
    check_by_dataset(params, OF_NAMES, params["datasets"], f"{path}: ")


def check_by_dataset(sections: dict[str, Any], skip: set[str], datasets: Collection[str], place: str) -> None:
    """Check the keys of values by dataset: with a `default`, a misspelt one would have no effect."""
    for section, values in sections.items():
        for key, value in values.items() if section not in skip and isinstance(values, dict) else ():
            for dataset in value if isinstance(value, dict) else ():
                if dataset not in datasets and dataset != "default":
                    allowed = ", ".join(["default", *datasets])
                    raise ReproError(f"{place}{section}.{key}: found dataset {dataset!r}; allowed: {allowed}")


def resolve_scale(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the chosen scale: each section overridden by the scale's section of the same name."""
    scale = params["scales"][params["scale"]]
    resolved = {key: value for key, value in params.items() if key != "scales"}
    for section, over in scale.items():
        if section not in OF_SCALE:
            resolved[section] = overridden(section, params[section], over)
    resolved["label"] = scale["label"]
    resolved["scale_datasets"] = scale["datasets"]
    resolved["over_systems"] = {
        "system": scale.get("system", {}),
        "train": scale.get("train", {}),
        "shrink": scale.get("shrink", 1),
    }
    return resolved


def for_dataset(value: Any, dataset: str, key: str) -> Any:
    """The value for `dataset`, where `value` may be a mapping from datasets, with an optional entry `default`.

    Raises ReproError naming the entry to add when there is neither.
    """
    if not isinstance(value, dict):
        return value
    if dataset not in value and "default" not in value:
        raise ReproError(
            f"params.yaml: {key} has no entry for dataset {dataset!r}, only for {', '.join(value)}; add "
            f"`{dataset}: ...` to it, or `default: ...`"
        )
    return value.get(dataset, value.get("default"))
