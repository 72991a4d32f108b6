"""params.yaml: load, validate, resolve the scale."""

from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from t2i_repro.core.schema import read_yaml, validate
from t2i_repro.errors import ReproError

# Sections of params.yaml which a scale may override, by the kind of node they describe.
SCALED = ("standin", "prepare", "damsm", "itm", "clip", "char_cnn_rnn", "classifier", "networks", "sample", "cadence")


def merged(base: Any, over: Any) -> Any:
    """`over` laid upon `base`: mappings key by key, anything else replaced. The result shares nothing with either."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**deepcopy(base), **{key: merged(base.get(key), value) for key, value in over.items()}}
    return deepcopy(over)


def typed(given: Any, known: Any) -> Any:
    """`given` with its texts read as YAML, where they are not what stands in params.yaml (`known`) already.

    Snakemake hands over `--config sample={images: 60}` as {"images": "60"}: it reads only the outermost value.
    """
    if given == known:
        return given
    if isinstance(given, dict):
        return {key: typed(value, known.get(key) if isinstance(known, dict) else None) for key, value in given.items()}
    if isinstance(given, list):
        return [typed(value, None) for value in given]
    try:
        return yaml.safe_load(given) if isinstance(given, str) else given
    except yaml.YAMLError:
        return given


def load_params(project: Path, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """params.yaml with `overrides` (what `--config` gave) laid upon it, validated.

    Raises ReproError naming the key, the value found and what is allowed.
    """
    path = project / "params.yaml"
    params = read_yaml(path)
    if overrides:
        params = merged(params, typed(overrides, params))
    write_out_dates(params)
    validate(params, "params.yaml", str(path) + (" with --config" if overrides else ""))
    check_names(params, path)
    return params


def write_out_dates(params: dict[str, Any]) -> None:
    """Dates of `outside` as text: YAML 1.1 reads 2021-07-01 as a date and 2021 as a number."""
    entries = params.get("outside")
    for entry in entries.values() if isinstance(entries, dict) else ():
        provenance = entry.get("provenance") if isinstance(entry, dict) else None
        if isinstance(provenance, dict) and isinstance(provenance.get("date"), date | int):
            provenance["date"] = str(provenance["date"])


def check_names(params: dict[str, Any], path: Path) -> None:
    """Names that point at other keys must exist."""
    known_scales = ", ".join(params["scales"])
    if params["scale"] not in params["scales"]:
        raise ReproError(f"{path}: scale: found {params['scale']!r}; allowed: {known_scales}")
    for name, scale in params["scales"].items():
        for dataset in scale["datasets"]:
            if dataset not in params["datasets"]:
                allowed = ", ".join(params["datasets"])
                raise ReproError(f"{path}: scales.{name}.datasets: found {dataset!r}; allowed: {allowed}")
    for name, protocol in params["protocols"].items():
        for key in ("network", "text"):
            if protocol.get(key) is not None and protocol[key] not in params["networks"]:
                allowed = ", ".join(params["networks"])
                raise ReproError(f"{path}: protocols.{name}.{key}: found {protocol[key]!r}; allowed: {allowed}")


def resolve_scale(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the chosen scale: each section with the scale's own values laid upon it.

    A network is replaced whole, since its keys depend on its source.
    """
    scale = params["scales"][params["scale"]]
    resolved = {key: value for key, value in params.items() if key != "scales"}
    for section in SCALED:
        if section in scale:
            whole = section == "networks"
            lay = {**params[section], **scale[section]} if whole else merged(params[section], scale[section])
            resolved[section] = lay
    resolved["label"] = scale["label"]
    resolved["scale_datasets"] = scale["datasets"]
    resolved["over_systems"] = {
        "system": scale.get("system", {}),
        "train": scale.get("train", {}),
        "shrink": scale.get("shrink", 1),
    }
    return resolved


def for_dataset(value: Any, dataset: str, key: str) -> Any:
    """The entry for `dataset` of a value that may be given by dataset. Raises ReproError when it lacks it."""
    if not isinstance(value, dict):
        return value
    if dataset not in value:
        raise ReproError(f"params: {key} has no entry for dataset {dataset!r}; it has {', '.join(value)}")
    return value[dataset]
