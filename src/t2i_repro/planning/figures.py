"""The part of the plan that draws: what each kind of figure is drawn from. Functions on a `Graph`."""

from collections.abc import Callable
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.planning import evaluation, external
from t2i_repro.planning.graph import Graph
from t2i_repro.training.schedules import snapshot_epochs


def figure(graph: Graph, paper: str, figure_id: str) -> Node:
    """A figure of the registry. Raises ReproError where this scale cannot draw it."""
    entry = graph.registry[paper]["figures"][figure_id]
    reason = missing(graph, entry, f"papers/{paper}.yaml: figures.{figure_id}")
    if reason is not None:
        raise ReproError(
            f"{paper}-{figure_id} is {reason}; choose another scale, or add the dataset to it in params.yaml"
        )
    spec = {"paper": paper, "figure": figure_id, **entry, **graph.labels()}
    return graph.add("figure", f"{paper}-{figure_id}", spec, INPUTS[entry["kind"]](graph, entry))


def missing(graph: Graph, entry: dict[str, Any], place: str) -> str | None:
    """Why a figure cannot be drawn at this scale; None where it can be."""
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
            given = external.entry_of(graph, dataset, system)
            reason = given and external.obstacle(given, graph.params["protocols"][name])
            if reason:
                return f"{reason} ({system})"
    if INPUTS[entry["kind"]] is runs and not painting(graph, entry):
        return f"not built: outside samples bring no network ({', '.join(systems_of(entry))})"
    return None


def systems_of(entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that we have, in its order."""
    if "system" in entry:
        return [entry["system"]]
    return [column["system"] for column in entry["systems"] if "system" in column]


def painting(graph: Graph, entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that can paint: not those of which there are only images (`outside`)."""
    given = {system: external.entry_of(graph, entry["dataset"], system) for system in systems_of(entry)}
    return [system for system, known in given.items() if known is None or known["source"] != "samples"]


def runs(graph: Graph, entry: dict[str, Any]) -> dict[str, Node]:
    """`run/<system>`, `data/<system>` and `text/<system>` of every system that can paint."""
    inputs: dict[str, Node] = {}
    for system in painting(graph, entry):
        run = judged(graph, system, entry["dataset"])
        given = graph.inputs_of(run)
        inputs |= {f"run/{system}": run, f"data/{system}": given["data"], f"text/{system}": given["text"]}
    return inputs


def judged(graph: Graph, system: str, dataset: str) -> Node:
    """What a system's numbers are of: its run with the first seed, or what stands in its place (`outside`)."""
    if external.entry_of(graph, dataset, system) is not None:
        return external.outside(graph, dataset, system)
    return graph.train(system, dataset, graph.params["seeds"][0])


def curve(graph: Graph, entry: dict[str, Any]) -> dict[str, Node]:
    """`<system>/<side in pixels>/<epoch>`: scores by each of the protocols, at each moment that a run keeps weights of.
    What was trained elsewhere has one moment, `end`."""
    inputs: dict[str, Node] = {}
    for system in systems_of(entry):
        run = judged(graph, system, entry["dataset"])
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
        system: evaluation.score(graph, judged(graph, system, dataset), protocol, dataset)
        for system in systems_of(entry)
    }


# By the kind of the figure: what it is drawn from, by role.
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
