"""The systems that papers/*.yaml define, resolved for a dataset and a scale, and validated by kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from t2i_repro.core.config import merged
from t2i_repro.core.digest import canonical_json
from t2i_repro.core.schema import validate
from t2i_repro.errors import ReproError
from t2i_repro.models.family import families, family_of

Systems = dict[str, dict[str, Any]]
Definitions = Mapping[str, Systems]
"""Systems as written, each with an optional `base`, by the file that defines them."""


class NoEntryError(ReproError):
    """A mapping from names of datasets has no entry for the requested one."""


def resolve_systems(definitions: Definitions, datasets: Sequence[str]) -> Systems:
    """Resolve `base` in every system; `system_on` then resolves one of them for one of `datasets`.

    Raises ReproError as `resolve_bases` does, on two names for one system (rows with the same configuration name the
    same system, so that they share its run), and on what its kind's schema refuses.
    """
    resolved, home = resolve_bases(definitions)
    first: dict[str, str] = {}
    for name, system in resolved.items():
        same = first.setdefault(canonical_json(system), name)
        if same != name:
            raise ReproError(f"papers: systems {same!r} and {name!r} are the same; use one name, to share one run")
        check(name, system, datasets, home[name], resolved)
    return resolved


def resolve_bases(definitions: Definitions) -> tuple[Systems, dict[str, str]]:
    """Every system with the keys of its bases, and the file that defines it, both by name.

    Raises ReproError on an unknown or circular base, and on a name defined twice.
    """
    raw: Systems = {}
    home: dict[str, str] = {}
    for file, systems in definitions.items():
        for name, system in systems.items():
            if name in raw:
                raise ReproError(f"{file}: systems.{name} is already defined in {home[name]}")
            raw[name], home[name] = system, file
    return {name: with_base(raw, name) for name in raw}, home


def base_chain(definitions: Systems, name: str) -> list[str]:
    """`name`, its base, the base of that, and so on. Raises ReproError on an unknown or circular base."""
    chain = [name]
    while (base := definitions[chain[-1]].get("base")) is not None:
        if base not in definitions or base in chain:
            problem = "circular" if base in chain else "unknown"
            raise ReproError(f"papers: system {chain[-1]!r}: base {base!r} is {problem}")
        chain.append(base)
    return chain


def with_base(definitions: Systems, name: str) -> dict[str, Any]:
    """A system with the keys of its base, and of that one's, unless it overrides them."""
    system: dict[str, Any] = {}
    for each in reversed(base_chain(definitions, name)):
        system = merged(system, {key: value for key, value in definitions[each].items() if key != "base"})
    return system


def check(name: str, system: dict[str, Any], datasets: Sequence[str], source: str, known: Systems) -> None:
    """Raise ReproError unless the system is complete on every dataset that it has values for."""
    place = f"systems.{name}"
    after = system.get("after")
    if after is not None and after not in known:
        raise ReproError(f"{source}: {place}.after: found {after!r}, which no paper defines")
    for dataset in system.get("on", {}):
        if dataset not in datasets:
            raise ReproError(f"{source}: {place}.on: found {dataset!r}; allowed: {', '.join(datasets)}")
    found: list[dict[str, Any]] = []
    missing: NoEntryError | None = None
    for dataset in datasets:
        try:
            found.append(system_on(system, dataset, datasets, place))
        except NoEntryError as error:
            missing = error
    if missing is not None and not found:
        raise ReproError(f"{source}: {missing}")
    for one in found:
        validate(one, family_of(one, f"{source}: {place}").schema, source, at=place)


def system_on(system: dict[str, Any], dataset: str, datasets: Sequence[str], place: str) -> dict[str, Any]:
    """Resolve a system for one dataset: apply its overrides `on` that dataset, and replace each mapping from names of
    datasets by one value. Raises NoEntryError where a mapping lacks the dataset."""
    common = {key: value for key, value in system.items() if key != "on"}
    resolved = merged(common, system.get("on", {}).get(dataset, {}))
    return {key: one_value(value, dataset, datasets, f"{place}.{key}") for key, value in resolved.items()}


def one_value(value: Any, dataset: str, datasets: Sequence[str], place: str) -> Any:
    """`value` with every mapping from names of datasets replaced by its entry for `dataset`."""
    if isinstance(value, list):
        return [one_value(item, dataset, datasets, f"{place}.{index}") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if value and all(key in datasets for key in value):
        if dataset not in value:
            raise NoEntryError(f"{place} has no entry for dataset {dataset!r}, only for {', '.join(value)}; add one")
        return value[dataset]
    return {key: one_value(item, dataset, datasets, f"{place}.{key}") for key, item in value.items()}


def scale_overrides(system: dict[str, Any], over: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a scale overrides in a system, by the key of the scale that says so, in the order of application."""
    sizes = {key: max(1, system["train"][key] // over["shrink"]) for key in ("image_size", "base_size")}
    return {
        "shrink": {"train": sizes},
        "train": {"train": over["train"]},
        f"system.{system['kind']}": over["system"].get(system["kind"], {}),
    }


def scaled(system: dict[str, Any], over: dict[str, Any], name: str) -> dict[str, Any]:
    """A system, resolved for one dataset, at the scale whose overrides are `over`; validated again."""
    resolved: dict[str, Any] = system
    for values in scale_overrides(system, over).values():
        resolved = merged(resolved, values)
    validate(resolved, family_of(resolved).schema, "params.yaml: scales", at=f"systems.{name}")
    return resolved


def check_params(params: dict[str, Any], source: str) -> None:
    """Raise ReproError where a scale of params.yaml overrides systems of a kind that no family declares."""
    known = families()
    for name, scale in params["scales"].items():
        for kind in scale.get("system", {}):
            if kind not in known:
                raise ReproError(f"{source}: scales.{name}.system: found {kind!r}; allowed: {', '.join(known)}")
