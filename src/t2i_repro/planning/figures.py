"""Plans figures: the inputs of each kind. Functions on a `Graph`."""

from collections.abc import Callable
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.planning import evaluation, external
from t2i_repro.planning.graph import Graph
from t2i_repro.training.schedules import snapshot_epochs


def figure(graph: Graph, paper: str, figure_id: str) -> Node:
    """A figure of the registry. Raises ReproError if this scale cannot draw it."""
    entry = graph.registry[paper]["figures"][figure_id]
    reason = missing(graph, entry, f"papers/{paper}.yaml: figures.{figure_id}")
    if reason is not None:
        raise ReproError(
            f"{paper}-{figure_id} is {reason}; choose another scale, or add the dataset to it in params.yaml"
        )
    spec = {"paper": paper, "figure": figure_id, **entry, **graph.labels()}
    return graph.add("figure", f"{paper}-{figure_id}", spec, INPUTS[entry["kind"]](graph, entry))


def missing(graph: Graph, entry: dict[str, Any], place: str) -> str | None:
    """Why a figure cannot be drawn at this scale; None if it can."""
    dataset = entry["dataset"]
    if dataset not in graph.params["datasets"]:
        allowed = ", ".join(graph.params["datasets"])
        raise ReproError(f"{place}.dataset: found {dataset!r}; allowed: {allowed}")
    if dataset not in graph.params["scale_datasets"]:
        return f"not built: scale {graph.params['scale']} leaves out {dataset}"
    for name in [*entry.get("protocols", []), *([entry["protocol"]] if "protocol" in entry else [])]:
        if name not in graph.params["protocols"]:
            return f"not built: params.yaml has no protocol {name}"
        for system in systems_of(entry):
            outside = external.entry_of(graph, dataset, system)
            reason = outside and external.obstacle(outside, graph.params["protocols"][name])
            if reason:
                return f"{reason} ({system})"
    if INPUTS[entry["kind"]] is runs and not generating(graph, entry):
        return f"not built: outside samples bring no network ({', '.join(systems_of(entry))})"
    return None


def systems_of(entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that are defined here, in its order."""
    if "system" in entry:
        return [entry["system"]]
    return [column["system"] for column in entry["systems"] if "system" in column]


def generating(graph: Graph, entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that can generate images: those with a network, not only outside samples."""
    entries = {system: external.entry_of(graph, entry["dataset"], system) for system in systems_of(entry)}
    return [system for system, outside in entries.items() if outside is None or outside["source"] != "samples"]


def runs(graph: Graph, entry: dict[str, Any]) -> dict[str, Node]:
    """`run/<system>`, `data/<system>` and `text/<system>` of every system that can generate images."""
    inputs: dict[str, Node] = {}
    for system in generating(graph, entry):
        run = evaluated_run(graph, system, entry["dataset"])
        of_run = graph.inputs_of(run)
        inputs |= {f"run/{system}": run, f"data/{system}": of_run["data"], f"text/{system}": of_run["text"]}
    return inputs


def evaluated_run(graph: Graph, system: str, dataset: str) -> Node:
    """The run a system is evaluated on: that of the first seed, or its external replacement (`outside`)."""
    if external.entry_of(graph, dataset, system) is not None:
        return external.outside(graph, dataset, system)
    return graph.train(system, dataset, graph.params["seeds"][0])


def curve(graph: Graph, entry: dict[str, Any]) -> dict[str, Node]:
    """`<system>/<size in pixels>/<epoch>`: scores by each protocol at each snapshot of a run, the last one its end. A
    run that was trained elsewhere has no epochs: `<system>/<size in pixels>/end`."""
    inputs: dict[str, Node] = {}
    for system in systems_of(entry):
        run = evaluated_run(graph, system, entry["dataset"])
        epochs = snapshot_epochs(run.spec) if run.kind == "train" else []
        for name in entry["protocols"]:
            last = evaluation.score(graph, run, name, entry["dataset"])
            role = f"{system}/{evaluation.side_of(graph, run, graph.params['protocols'][name])}"
            for epoch in epochs[:-1]:
                score = evaluation.score(graph, run, name, entry["dataset"], snapshot=epoch)
                inputs[f"{role}/{epoch}"] = score
            inputs[f"{role}/{epochs[-1] if epochs else 'end'}"] = last
    return inputs


def scatter(graph: Graph, entry: dict[str, Any]) -> dict[str, Node]:
    """`<system>`: the class-wise score of each system."""
    dataset, protocol = entry["dataset"], entry["protocol"]
    return {
        system: evaluation.score(graph, evaluated_run(graph, system, dataset), protocol, dataset)
        for system in systems_of(entry)
    }


# Functions that plan the inputs of a figure, by its kind.
INPUTS: dict[str, Callable[[Graph, dict[str, Any]], dict[str, Node]]] = {
    "samples": runs,
    "stages": runs,
    "mask-maps": runs,
    "words": runs,
    "interpolation": runs,
    "noise-grid": runs,
    "curve": curve,
    "scatter": scatter,
}
