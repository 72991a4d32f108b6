"""The part of the plan that draws: what each kind of figure is drawn from. Functions on a `Planner`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.planning import evaluation as scoring
from t2i_repro.planning import external as outside
from t2i_repro.registry.systems import snapshot_epochs

if TYPE_CHECKING:
    from t2i_repro.planning.plan import Planner


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
    if dataset not in planner.params["scale_datasets"]:
        return f"not built: scale {planner.params['scale']} leaves out {dataset}"
    for name in [*entry.get("protocols", []), *([entry["protocol"]] if "protocol" in entry else [])]:
        if name not in planner.params["protocols"]:
            return f"not built: params.yaml has no protocol {name}"
        for system in systems_of(entry):
            given = outside.entry_of(planner, dataset, system)
            reason = given and outside.obstacle(given, planner.params["protocols"][name])
            if reason:
                return f"{reason} ({system})"
    if INPUTS[entry["kind"]] is runs and not painting(planner, entry):
        return f"not built: outside samples bring no network ({', '.join(systems_of(entry))})"
    return None


def systems_of(entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that we have, in its order."""
    if "system" in entry:
        return [entry["system"]]
    return [column["system"] for column in entry["systems"] if "system" in column]


def painting(planner: "Planner", entry: dict[str, Any]) -> list[str]:
    """The systems of a figure that can paint: not those of which there are only images (`outside`)."""
    given = {system: outside.entry_of(planner, entry["dataset"], system) for system in systems_of(entry)}
    return [system for system, known in given.items() if known is None or known["source"] != "samples"]


def runs(planner: "Planner", entry: dict[str, Any]) -> dict[str, Node]:
    """`run/<system>`, `data/<system>` and `text/<system>` of every system that can paint."""
    inputs: dict[str, Node] = {}
    for system in painting(planner, entry):
        run = judged(planner, system, entry["dataset"])
        given = planner.inputs_of(run)
        inputs |= {f"run/{system}": run, f"data/{system}": given["data"], f"text/{system}": given["text"]}
    return inputs


def judged(planner: "Planner", system: str, dataset: str) -> Node:
    """What a system's numbers are of: its run with the first seed, or what stands in its place (`outside`)."""
    if outside.entry_of(planner, dataset, system) is not None:
        return outside.outside(planner, dataset, system)
    return planner.train(system, dataset, planner.params["seeds"][0])


def curve(planner: "Planner", entry: dict[str, Any]) -> dict[str, Node]:
    """`<system>/<side in pixels>/<epoch>`: scores by each of the protocols, at each moment that a run keeps weights of.
    What was trained elsewhere has one moment, `end`."""
    inputs: dict[str, Node] = {}
    for system in systems_of(entry):
        run = judged(planner, system, entry["dataset"])
        epochs = snapshot_epochs(run.spec) if run.kind == "train" else []
        for name in entry["protocols"]:
            last = scoring.score(planner, run, name, entry["dataset"])
            role = f"{system}/{scoring.side_of(planner, run, planner.params['protocols'][name])}"
            for epoch in epochs[:-1]:
                score = scoring.score(planner, run, name, entry["dataset"], snapshot=epoch)
                inputs[f"{role}/{epoch}"] = score
            inputs[f"{role}/{epochs[-1] if epochs else 'end'}"] = last
    return inputs


def scatter(planner: "Planner", entry: dict[str, Any]) -> dict[str, Node]:
    """`<system>`: the class-wise score of each system."""
    dataset, protocol = entry["dataset"], entry["protocol"]
    return {
        system: scoring.score(planner, judged(planner, system, dataset), protocol, dataset)
        for system in systems_of(entry)
    }


# By the kind of the figure: what it is drawn from, by role.
INPUTS: dict[str, Callable[["Planner", dict[str, Any]], dict[str, Node]]] = {
    "samples": runs,
    "stages": runs,
    "mask-maps": runs,
    "words": runs,
    "interpolation": runs,
    "noise-grid": runs,
    "curve": curve,
    "scatter": scatter,
}
