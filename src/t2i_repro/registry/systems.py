"""The systems that the papers define: bases, datasets and scales laid out, and checked by kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from t2i_repro.core.config import merged
from t2i_repro.core.digest import canonical_json
from t2i_repro.core.schema import validate
from t2i_repro.errors import ReproError

DATASETS = ("cub", "oxford", "coco")
KINDS = ("one-stage", "multi-stage", "nested", "stackgan", "gan-int-cls")

Systems = dict[str, dict[str, Any]]
Definitions = Mapping[str, Systems]
"""Systems as written, each with an optional `base`, by the file that defines them."""


class NoEntryError(ReproError):
    """A value by dataset has none for the one that was asked for."""


def resolve_systems(definitions: Definitions, datasets: Sequence[str] = DATASETS) -> Systems:
    """Every system of the registry with its `base` chain laid out; `system_on` then gives it on one of `datasets`.

    Raises ReproError on an unknown or circular base, on a name defined twice, on two names for one system (rows that
    share a configuration share its name, so that they share its run), and on what the schema of its kind refuses.
    """
    raw: Systems = {}
    home: dict[str, str] = {}
    for file, systems in definitions.items():
        for name, system in systems.items():
            if name in raw:
                raise ReproError(f"{file}: systems.{name} is already defined in {home[name]}")
            raw[name], home[name] = system, file

    def lay_out(name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
        if name not in raw or name in seen:
            problem = "circular" if name in seen else "unknown"
            raise ReproError(f"papers: system {seen[-1] if seen else name!r}: base {name!r} is {problem}")
        system = dict(raw[name])
        base = system.pop("base", None)
        return system if base is None else merged(lay_out(base, (*seen, name)), system)

    resolved = {name: lay_out(name) for name in raw}
    first: dict[str, str] = {}
    for name, system in resolved.items():
        same = first.setdefault(canonical_json(system), name)
        if same != name:
            raise ReproError(f"papers: systems {same!r} and {name!r} are the same; use one name, to share one run")
        check(name, system, datasets, home[name], resolved)
    return resolved


def check(name: str, system: dict[str, Any], datasets: Sequence[str], source: str, known: Systems) -> None:
    """Raise ReproError unless the system is whole on every dataset that it has values for."""
    place = f"systems.{name}"
    after = system.get("after")
    if after is not None and after not in known:
        raise ReproError(f"{source}: {place}.after: found {after!r}, which no paper defines")
    for dataset in system.get("on", {}):
        if dataset not in datasets:
            raise ReproError(f"{source}: {place}.on: found {dataset!r}; allowed: {', '.join(datasets)}")
    laid: list[dict[str, Any]] = []
    missing: NoEntryError | None = None
    for dataset in datasets:
        try:
            laid.append(system_on(system, dataset, datasets, place))
        except NoEntryError as error:
            missing = error
    if missing is not None and not laid:
        raise ReproError(f"{source}: {missing}")
    for one in laid:
        if one.get("kind") not in KINDS:
            allowed = ", ".join(map(repr, KINDS))
            raise ReproError(f"{source}: {place}.kind: found {one.get('kind')!r}; allowed: {allowed}")
        validate(one, "systems.yaml", source, one["kind"], place)


def system_on(system: dict[str, Any], dataset: str, datasets: Sequence[str], place: str) -> dict[str, Any]:
    """A system as it is on one dataset: `on` laid upon it, and one value for each mapping from names of datasets."""
    plain = {key: value for key, value in system.items() if key != "on"}
    laid = merged(plain, system.get("on", {}).get(dataset, {}))
    return {key: one_value(value, dataset, datasets, f"{place}.{key}") for key, value in laid.items()}


def one_value(value: Any, dataset: str, datasets: Sequence[str], place: str) -> Any:
    """`value` with every mapping from names of datasets replaced by its entry for `dataset`."""
    if isinstance(value, list):
        return [one_value(item, dataset, datasets, f"{place}.{index}") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if value and all(key in datasets for key in value):
        if dataset not in value:
            raise NoEntryError(f"{place} has no entry for dataset {dataset!r}; it has {', '.join(value)}")
        return value[dataset]
    return {key: one_value(item, dataset, datasets, f"{place}.{key}") for key, item in value.items()}


def scaled(system: dict[str, Any], over: dict[str, Any], name: str) -> dict[str, Any]:
    """A system of one dataset at a scale: `over` has `shrink`, then `train`, then `system` by kind. Checked again."""
    sizes = {key: max(1, system["train"][key] // over["shrink"]) for key in ("image_size", "base_size")}
    laid: dict[str, Any] = merged(merged(system, {"train": sizes}), {"train": over["train"]})
    laid = merged(laid, over["system"].get(system["kind"], {}))
    validate(laid, "systems.yaml", "params.yaml: scales", laid["kind"], f"systems.{name}")
    return laid
