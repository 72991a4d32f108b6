"""The part of the plan that judges: networks that look, features, judges, scores. Functions on a `Graph`."""

from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.planning import external
from t2i_repro.planning.graph import Graph
from t2i_repro.registry.papers import measured_in

# Keys of a protocol that are about what is looked at, not about the number.
PLANNING = ("network", "text", "reference", "captions", "preparation", "divide", "ranking")


def embed(graph: Graph, images: Node, network_name: str, dataset: str, **given: Any) -> Node:
    """What a network says of every image of a sample, or of the images (``captions``: the captions) of a ``split``.

    ``size``, ``preparation``: where not those of the last stage and of the network.
    """
    looks = graph.network(network_name, dataset)
    spec = {"split": None, **{key: value for key, value in given.items() if value}}
    spec |= {"network": looks.name, "standin": graph.is_standin(network_name)}
    what = "captions" if spec.get("captions") else spec.get("preparation", "")
    parts = (
        images.name,
        spec["split"] or "samples",
        what,
        spec.get("size"),
        "by",
        looks.name.removeprefix(f"{dataset}-"),
    )
    name = "-".join(str(part) for part in parts if part)
    return graph.add("embed", name, spec, {"images": images, "network": looks}, runtime=graph.params["cadence"])


def judge(graph: Graph, protocol: dict[str, Any], dataset: str, image_size: int) -> Node:
    """The ranking network of visual-semantic similarity, trained on the training split."""
    data = graph.prepare(dataset, image_size)
    inputs = {
        "images": embed(graph, data, protocol["network"], dataset, split="train"),
        "captions": embed(graph, data, protocol["text"], dataset, split="train", captions=True),
    }
    return graph.add("judge", f"{dataset}-ranking", protocol["ranking"], inputs)


def score(
    graph: Graph,
    run: Node | None,
    protocol_name: str,
    dataset: str,
    judged: str | None = None,
    real: str | None = None,
    snapshot: int | None = None,
) -> Node:
    """One number: a protocol applied to a run's samples, with ``snapshot`` to those of the run as it was after that
    epoch; or without a run to the dataset, seen by the network ``judged``, or to the real images of the split ``real``
    as if they were samples."""
    protocol = graph.params["protocols"].get(protocol_name)
    if protocol is None:
        allowed = ", ".join(graph.params["protocols"])
        raise ReproError(f"papers: protocol {protocol_name!r} is not in params.yaml; it has {allowed}")
    looks = judged or protocol.get("network")
    metric = protocol["metric"]
    kept = {key: value for key, value in protocol.items() if key not in PLANNING}
    spec = {"protocol": protocol_name, **kept}
    image_size = graph.params["prepare"]["image_size"]
    side = side_of(graph, run, protocol)
    if run is not None:
        image_size = max(image_size, run.spec["image_size"])
    judged_by = f"{judged}-" if judged else f"real-{real}-" if real else ""
    moment = "" if snapshot is None else f"epoch-{snapshot}-"
    name = f"{dataset if run is None else run.name}-{moment}{judged_by}{protocol_name.replace(':', '-')}"
    data = graph.prepare(dataset, image_size)
    if metric == "dataset":
        return graph.add("score", name, spec, {"data": data})
    if metric in ("parameters", "devices"):
        trained = required(run, protocol_name)
        return graph.add("score", name, spec, {"run": trained, "text": graph.inputs_of(trained)["text"]})
    seen = {"preparation": protocol.get("preparation"), "size": None if side == image_size else side}
    inputs: dict[str, Node] = {}
    if real is not None and metric != "ms-ssim":
        inputs["features"] = embed(graph, data, looks, dataset, split=real, **seen)
    elif metric != "retrieval":
        sample = images_of(graph, required(run, protocol_name), snapshot)
        spec["images"] = sample.spec["images"]
        if metric == "ms-ssim":
            inputs["images"] = sample
        else:
            inputs["features"] = embed(graph, sample, looks, dataset, **seen)
    if "reference" in protocol:
        inputs["reference"] = embed(graph, data, looks, dataset, split=protocol["reference"], **seen)
    if "captions" in protocol:
        text = protocol.get("text", looks)
        inputs["captions"] = embed(graph, data, text, dataset, split=protocol["captions"], captions=True)
    if "ranking" in protocol:
        inputs["judge"] = judge(graph, protocol, dataset, image_size)
    if looks is not None:
        spec["network"] = looks
    return graph.add("score", name, spec, inputs)


def side_of(graph: Graph, run: Node | None, protocol: dict[str, Any]) -> int:
    """Side of the images that a protocol looks at, in pixels."""
    side: int = graph.params["prepare"]["image_size"] // protocol.get("divide", 1)
    return side if run is None else min(side, run.spec["image_size"])


def images_of(graph: Graph, run: Node, snapshot: int | None = None) -> Node:
    """What a run is judged by: its samples, or what others have sampled."""
    return run if run.kind == "import-samples" else graph.sample(run, snapshot)


def cell(graph: Graph, row_id: str, row: dict[str, Any], column: dict[str, Any]) -> tuple[dict[str, Node], str | None]:
    """The scores of a table's cell by seed, or why there are none."""
    measured = measured_in(row, column)
    dataset = measured["dataset"] or graph.params["scale_datasets"][0]
    protocol = graph.params["protocols"].get(measured["protocol"])
    judged = row.get("network")
    real = row.get("real")
    name = external.name_of(measured, row_id)
    others = external.entry_of(graph, dataset, name)
    if protocol is not None and "system" not in measured and others is None:
        no_run = protocol["metric"] == "dataset" or (protocol["metric"] == "retrieval" and judged is not None) or real
        if not no_run:
            return {}, "printed only: no system of ours rebuilds it"
    if dataset not in graph.params["scale_datasets"]:
        return {}, f"not run: scale {graph.params['scale']} leaves out {dataset}"
    if protocol is None:
        return {}, f"not scored: params.yaml has no protocol {measured['protocol']}"
    if others is not None and protocol["metric"] not in external.OF_DATA:
        reason = external.obstacle(others, protocol)
        made = None if reason else external.outside(graph, dataset, name)
        return {} if made is None else {"0": score(graph, made, measured["protocol"], dataset)}, reason
    if "system" not in measured:
        return {"0": score(graph, None, measured["protocol"], dataset, judged, real)}, None
    seeds = graph.params["seeds"]
    runs = {str(seed): graph.train(measured["system"], dataset, seed) for seed in seeds}
    return {seed: score(graph, run, measured["protocol"], dataset) for seed, run in runs.items()}, None


def required(run: Node | None, protocol: str) -> Node:
    if run is None:
        raise ReproError(f"papers: protocol {protocol!r} judges a run; give the row or the column a system")
    return run
