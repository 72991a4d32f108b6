"""The part of the plan that draws: what each kind of figure is drawn from. Functions on a `Planner`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from t2i_repro.errors import ReproError
from t2i_repro.spec.node import Node

if TYPE_CHECKING:
    from t2i_repro.spec.plan import Planner


def figure(planner: "Planner", paper: str, figure_id: str) -> Node:
    """A figure of the registry. Raises ReproError where this scale cannot draw it."""
    entry = planner.registry[paper]["figures"][figure_id]
    reason = missing(planner, entry, f"papers/{paper}.yaml: figures.{figure_id}")
    if reason is not None:
        raise ReproError(
            f"{paper}-{figure_id} is {reason}; choose another scale, or add the dataset to it in params.yaml"
        )
    spec = {"paper": paper, "figure": figure_id, **entry, **planner.labels()}
    return planner.add("figure", f"{paper}-{figure_id}", spec, INPUTS[entry["kind"]](planner, entry))


def missing(planner: "Planner", entry: dict[str, Any], place: str) -> str | None:
    """Why a figure cannot be drawn at this scale; None where it can be."""
    dataset = entry["dataset"]
    if dataset not in planner.params["datasets"]:
        allowed = ", ".join(planner.params["datasets"])
        raise ReproError(f"{place}.dataset: found {dataset!r}; allowed: {allowed}")
    if dataset in planner.params["scale_datasets"]:
        return None
    return f"not built: scale {planner.params['scale']} leaves out {dataset}"


def systems_of(entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that we have, in its order."""
    if "system" in entry:
        return [entry["system"]]
    return [column["system"] for column in entry["systems"] if "system" in column]


def runs(planner: "Planner", entry: dict[str, Any]) -> dict[str, Node]:
    """`run/<system>`, `data/<system>` and `text/<system>` of every system, trained with the first seed."""
    inputs: dict[str, Node] = {}
    for system in systems_of(entry):
        run = planner.train(system, entry["dataset"], planner.params["seeds"][0])
        given = planner.inputs_of(run)
        inputs |= {f"run/{system}": run, f"data/{system}": given["data"], f"text/{system}": given["text"]}
    return inputs


# By the kind of the figure: what it is drawn from, by role.
INPUTS: dict[str, Callable[["Planner", dict[str, Any]], dict[str, Node]]] = {
    "samples": runs,
    "stages": runs,
    "mask-maps": runs,
    "words": runs,
    "interpolation": runs,
    "noise-grid": runs,
}
