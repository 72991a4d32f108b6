"""Rows of tables from external material: images that somebody generated, or a checkpoint of ours trained elsewhere.

`outside` of params.yaml names them by dataset and system (docs/outside-samples.md). Functions on a `Graph`.
"""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.data.manifest import content_digest
from t2i_repro.errors import ReproError
from t2i_repro.metrics.registry import metrics
from t2i_repro.metrics.sources import LOSSLESS, LOSSY
from t2i_repro.planning.graph import Graph
from t2i_repro.registry.papers import measured_in


def name_of(measured: dict[str, Any], row_id: str) -> str:
    """Name of the network that a cell is about: its system, or the id of its row, the same in every paper."""
    return str(measured.get("system", row_id))


def check_outside(graph: Graph) -> None:
    """Raise ReproError unless every entry names a row of some table, and what it points at is there."""
    known = {
        f"{measured['dataset']}/{name_of(measured, row_id)}"
        for paper in graph.registry.values()
        for table in paper["tables"].values()
        for row_id, row in table["rows"].items()
        for measured in (measured_in(row, column) for column in table["columns"].values())
        if measured["dataset"] is not None
    }
    for key, entry in graph.params["outside"].items():
        if key not in known:
            of_dataset = sorted(name for name in known if name.split("/")[0] == key.split("/")[0])
            near = get_close_matches(key, known) or of_dataset or sorted(known)
            raise ReproError(
                f"params.yaml: outside: found {key!r}, which no row of papers/ is called; allowed: dataset/system, or "
                f"dataset/row for a row without a system, such as {', '.join(near)}"
            )
        for what in ("path", "captions"):
            if what in entry and not (graph.project / entry[what]).exists():
                raise ReproError(f"params.yaml: outside.{key}.{what}: {entry[what]} is not there")


def entry_of(graph: Graph, dataset: str, name: str) -> dict[str, Any] | None:
    """The entry of a network in `outside` of params.yaml; None if it is trained here."""
    entry: dict[str, Any] | None = graph.params["outside"].get(f"{dataset}/{name}")
    return None if entry is None or entry["source"] == "trained" else entry


def obstacle(entry: dict[str, Any], protocol: dict[str, Any]) -> str | None:
    """Why an entry cannot fill a cell; None if it can."""
    if entry["source"] != "samples":
        return None
    metric = metrics()[protocol["metric"]]
    if metric.of_run:
        return "not counted: outside samples bring no network"
    if metric.needs_captions(protocol) and "captions" not in entry:
        return "not scored: outside samples without their captions"
    return None


def outside(graph: Graph, dataset: str, name: str) -> Node:
    """The node that replaces a training: a sample (`import-samples`) or a run (`import-run`)."""
    entry = graph.params["outside"][f"{dataset}/{name}"]
    make = {"samples": samples, "checkpoint": checkpoint}[entry["source"]]
    return make(graph, dataset, name, entry)


def samples(graph: Graph, dataset: str, name: str, entry: dict[str, Any]) -> Node:
    """Images of others, identified by their content, not by their path."""
    size = entry.get("image_size", graph.params["prepare"]["image_size"])
    spec = {
        "content": content_of(graph, dataset, name, entry),
        "captions": hashed(graph, entry["captions"]) if "captions" in entry else None,
        "images": graph.params["sample"]["images"],
        "split": graph.params["sample"]["split"],
        "image_size": size,
        "lossy": entry.get("lossy", False),
        "provenance": entry["provenance"],
    }
    data = graph.prepare(dataset, max(size, graph.params["prepare"]["image_size"]))
    locations = {what: str(entry[what]) for what in ("path", "captions") if what in entry}
    return graph.add("import-samples", f"{dataset}-{name}-outside", spec, {"data": data}, locations=locations)


def checkpoint(graph: Graph, dataset: str, name: str, entry: dict[str, Any]) -> Node:
    """A run that was trained elsewhere, on the prepared data and the text encoder of this plan.

    Raises ReproError if it was trained on others: its word indices would mean other words here.
    """
    source = f"params.yaml: outside.{dataset}/{name}: {entry['path']}"
    record = read_record_of(graph.project / entry["path"], source)
    if record["kind"] != "train" or record["scale"] != graph.params["scale"]:
        raise ReproError(
            f"{source}: found a {record['kind']} of scale {record['scale']}; expected a train of scale "
            f"{graph.params['scale']}"
        )
    trained = record["spec"]
    inputs = {
        "data": graph.prepare(dataset, max(trained["image_size"], graph.params["prepare"]["image_size"])),
        "text": graph.text_encoder(trained["system"]["encoder"], dataset),
    }
    for role, node in inputs.items():
        if record["inputs"][role]["digest"] != node.digest:
            raise ReproError(
                f"{source}: was trained with {role} {record['inputs'][role]['digest']}, and this plan has {node.name} "
                f"{node.digest}; expected the same: use the parameters it was trained with"
            )
    spec = {**trained, "checkpoint": content_of(graph, dataset, name, entry), "provenance": entry["provenance"]}
    return graph.add("import-run", f"{dataset}-{name}-outside", spec, inputs, locations={"path": str(entry["path"])})


def read_record_of(folder: Path, source: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReproError(f"{source}: no record.json to be read ({error}); expected the folder of a run") from error
    return record


def content_of(graph: Graph, dataset: str, name: str, entry: dict[str, Any]) -> str:
    """SHA-256 of an archive, of a checkpoint's record.json (which has those of all its files), or of the list of a
    folder's images and their SHA-256. Raises ReproError if it differs from the entry's `sha256`."""
    path = Path(entry["path"])
    found = hashed(graph, str(path / "record.json" if entry["source"] == "checkpoint" else path))
    if entry.get("sha256", found) != found:
        raise ReproError(
            f"params.yaml: outside.{dataset}/{name}.sha256: {path} has {found}, expected {entry['sha256']}: it is not "
            f"what was published; fetch it again, or correct the entry"
        )
    return found


def hashed(graph: Graph, path: str) -> str:
    return content_digest(graph.project / path, graph.project / "results/.cache/outside.json", LOSSLESS + LOSSY)
