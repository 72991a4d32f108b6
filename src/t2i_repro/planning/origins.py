"""Where each value of a resolved system or section was set.

The functions that resolve (`resolve_scale`, `with_base`, `system_on`, `merged`) only look inside mappings and lists.
So they run here on trees whose leaves are `Setting`s, a value with its origin, and what they return still has both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from t2i_repro.core.config import for_dataset, merged, resolve_scale
from t2i_repro.planning.graph import Graph
from t2i_repro.planning.params import read_params
from t2i_repro.registry.systems import base_chain, scale_overrides, system_on, with_base

Tree = Any
"""Nested mappings and lists; leaves are values or `Setting`s."""


NOT_SET = object()


@dataclass(frozen=True)
class Setting:
    """A value of a resolved tree and where it was set. Lists without mappings in them are one value."""

    value: Any
    origin: str


class Origins:
    """Settings of a graph's parameters and systems. `overrides` are those that the graph was made with (`--set`)."""

    def __init__(self, graph: Graph, overrides: dict[str, Any]) -> None:
        self.definitions = {
            name: mark_system(name, system, file)
            for file, systems in graph.definitions.items()
            for name, system in systems.items()
        }
        self.datasets = tuple(graph.params["datasets"])
        self.scale: str = graph.params["scale"]
        params = read_params(graph.project, overrides)
        scale = params["scales"][self.scale]
        marked = {
            key: mark(value, f"params.yaml: scales.{self.scale}.{key}", overrides_of(overrides, self.scale, key))
            for key, value in scale.items()
        }
        at = ("scales", self.scale, "system")
        marked["system"] = {
            kind: mark(values, f"params.yaml: {'.'.join(at)}.{kind}", part(overrides, *at, kind))
            for kind, values in scale.get("system", {}).items()
        }
        sections = {key: mark(value, f"params.yaml: {key}", part(overrides, key)) for key, value in params.items()}
        self.shrink = part(overrides, "scales", self.scale, "shrink")
        plain = {"scale": self.scale, "scales": {self.scale: {**marked, "shrink": scale.get("shrink", 1)}}}
        self.params = resolve_scale({**sections, **plain})

    def system(self, name: str, dataset: str) -> Tree:
        """A system on a dataset at the graph's scale, with Settings as leaves."""
        resolved = system_on(with_base(self.definitions, name), dataset, self.datasets, f"systems.{name}")
        over = self.params["over_systems"]
        for key, values in scale_overrides(values_of(resolved), over).items():
            if key != "shrink":
                resolved = merged(resolved, values)
            elif over["shrink"] > 1:
                resolved = merged(resolved, mark(values, f"params.yaml: scales.{self.scale}.shrink", self.shrink))
        return resolved

    def section(self, name: str, dataset: str) -> Tree:
        """A section of params.yaml for a dataset at the graph's scale, with Settings as leaves."""
        return {key: for_dataset(value, dataset, f"{name}.{key}") for key, value in self.params[name].items()}

    def chain(self, name: str) -> list[str]:
        """The systems that a system is based on, the nearest first."""
        return base_chain(self.definitions, name)[1:]


def mark_system(name: str, system: dict[str, Any], file: str) -> Tree:
    """A system as written in `file`, with Settings as leaves; `base` stays a name."""
    origin = f"{name} ({file})"
    own = {key: mark(value, origin) for key, value in system.items() if key not in ("base", "on")}
    on = {dataset: mark(values, f"{name}, on: {dataset} ({file})") for dataset, values in system.get("on", {}).items()}
    base = {"base": system["base"]} if "base" in system else {}
    return {**own, **base, **({"on": on} if on else {})}


def mark(values: Any, origin: str, overridden: Any = NOT_SET) -> Tree:
    """`values` with a Setting for each leaf. Leaves that `overridden`, a part of the overrides, has come from --set."""
    if overridden is not NOT_SET and not isinstance(overridden, dict):
        origin = "--set"
    if isinstance(values, dict):
        return {key: mark(value, origin, part(overridden, key)) for key, value in values.items()}
    if isinstance(values, list) and any(isinstance(value, dict) for value in values):
        return [mark(value, origin) for value in values]
    return Setting(values, origin)


def overrides_of(overrides: dict[str, Any], scale: str, section: str) -> Any:
    """What the overrides give for a section of a scale: in the scale's own entry, or in the section itself."""
    of_scale, of_section = part(overrides, "scales", scale, section), part(overrides, section)
    if NOT_SET in (of_scale, of_section):
        return of_section if of_scale is NOT_SET else of_scale
    return merged(of_scale, of_section)


def part(tree: Any, *keys: str) -> Any:
    """The value at nested keys; NOT_SET where a key is missing."""
    for key in keys:
        tree = tree.get(key, NOT_SET) if isinstance(tree, dict) else NOT_SET
    return tree


def values_of(tree: Tree) -> Any:
    """The tree with plain values as leaves."""
    if isinstance(tree, Setting):
        return tree.value
    if isinstance(tree, dict):
        return {key: values_of(value) for key, value in tree.items()}
    return [values_of(value) for value in tree] if isinstance(tree, list) else tree


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Setting]]:
    """Dotted path and Setting of every leaf, in order; items of lists count from 1."""
    if isinstance(tree, Setting):
        yield path, tree
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree, 1)
    for key, value in items:
        yield from leaves(value, f"{path}.{key}" if path else str(key))
