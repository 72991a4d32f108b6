"""Plans evaluation: feature extractors, features, ranking networks and scores. Functions on a `Graph`."""

from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.metrics.registry import metrics
from t2i_repro.planning import external
from t2i_repro.planning.graph import Graph
from t2i_repro.registry.papers import measured_in

# Keys of a protocol that determine the inputs of a score. All others are part of its spec.
OF_INPUTS = ("network", "text", "reference", "captions", "preparation", "divide", "ranking")


def embed(graph: Graph, images: Node, network_name: str, dataset: str, **options: Any) -> Node:
    """Plan the features of a sample, of the real images of ``split``, or (``captions=True``) of its captions.

    ``size``, ``preparation``: if not those of the last stage and of the network.
    """
    network = graph.network(network_name, dataset)
    spec = {"split": None, **{key: value for key, value in options.items() if value}}
    spec |= {"network": network.name, "standin": graph.is_standin(network_name)}
    what = "captions" if spec.get("captions") else spec.get("preparation", "")
    parts = (
        images.name,
        spec["split"] or "samples",
        what,
        spec.get("size"),
        "by",
        network.name.removeprefix(f"{dataset}-"),
    )
    name = "-".join(str(part) for part in parts if part)
    return graph.add("embed", name, spec, {"images": images, "network": network})


def ranking_network(graph: Graph, protocol: dict[str, Any], dataset: str, image_size: int) -> Node:
    """Plan the ranking network of visual-semantic similarity, trained on the training split."""
    data, text = graph.prepare(dataset, image_size), protocol.get("text", protocol["network"])
    inputs = {
        "images": embed(graph, data, protocol["network"], dataset, split="train"),
        "captions": embed(graph, data, text, dataset, split="train", captions=True),
    }
    return graph.add("judge", f"{dataset}-ranking", protocol["ranking"], inputs)


def score(
    graph: Graph,
    run: Node | None,
    protocol_name: str,
    dataset: str,
    network: str | None = None,
    real: str | None = None,
    snapshot: int | None = None,
) -> Node:
    """Plan one number: a protocol applied to the samples of a run, as it was after the epoch ``snapshot`` if given.

    Without a run it is the dataset's, measured with ``network``, or that of the real images of the split ``real`` in
    the place of samples.
    """
    protocol = graph.params["protocols"].get(protocol_name)
    if protocol is None:
        allowed = ", ".join(graph.params["protocols"])
        raise ReproError(f"papers: protocol {protocol_name!r} is not in params.yaml; it has {allowed}")
    metric = metrics()[protocol["metric"]]
    extractor = network or protocol.get("network")
    spec = {"protocol": protocol_name, **{key: value for key, value in protocol.items() if key not in OF_INPUTS}}
    if extractor is not None:
        spec["network"] = extractor
    image_size = graph.params["prepare"]["image_size"]
    if run is not None:
        image_size = max(image_size, run.spec["image_size"])
    data = graph.prepare(dataset, image_size)
    side = side_of(graph, run, protocol)
    view = {"preparation": protocol.get("preparation"), "size": None if side == image_size else side}

    def sample() -> Node:
        made = images_of(graph, require_run(run, protocol_name), snapshot)
        spec["images"] = made.spec["images"]
        return made

    inputs: dict[str, Node] = {}
    for role in metric.inputs:
        match role:
            case "features" if real is not None:
                inputs[role] = embed(graph, data, extractor, dataset, split=real, **view)
            case "features":
                inputs[role] = embed(graph, sample(), extractor, dataset, **view)
            case "images":
                inputs[role] = sample()
            case "reference":
                inputs[role] = embed(graph, data, extractor, dataset, split=protocol["reference"], **view)
            case "captions":
                text = protocol.get("text", extractor)
                inputs[role] = embed(graph, data, text, dataset, split=protocol["captions"], captions=True)
            case "ranking_network":  # its role is part of digests
                inputs["judge"] = ranking_network(graph, protocol, dataset, image_size)
            case "data":
                inputs[role] = data
            case "run":
                inputs[role] = require_run(run, protocol_name)
            case "text":
                inputs[role] = graph.inputs_of(require_run(run, protocol_name))["text"]
    return graph.add("score", name_of_score(run, protocol_name, dataset, network, real, snapshot), spec, inputs)


def name_of_score(
    run: Node | None, protocol: str, dataset: str, network: str | None, real: str | None, snapshot: int | None
) -> str:
    """`cub-ssa-gan-s0-fid-tf`, `cub-ssa-gan-s0-epoch-3-fid-tf`, `coco-damsm-retrieval-image-to-text-r1`."""
    parts = [
        dataset if run is None else run.name,
        None if snapshot is None else f"epoch-{snapshot}",
        network or (f"real-{real}" if real else None),
        protocol.replace(":", "-"),
    ]
    return "-".join(part for part in parts if part)


def side_of(graph: Graph, run: Node | None, protocol: dict[str, Any]) -> int:
    """Side in pixels of the images that a protocol evaluates."""
    side: int = graph.params["prepare"]["image_size"] // protocol.get("divide", 1)
    return side if run is None else min(side, run.spec["image_size"])


def images_of(graph: Graph, run: Node, snapshot: int | None = None) -> Node:
    """The images a run is evaluated on: its samples, or the external ones in its place."""
    return run if run.kind == "import-samples" else graph.sample(run, snapshot)


def cell(graph: Graph, row_id: str, row: dict[str, Any], column: dict[str, Any]) -> tuple[dict[str, Node], str | None]:
    """The scores of a table's cell by seed, or why there are none."""
    measured = measured_in(row, column)
    dataset = measured["dataset"] or graph.params["scale_datasets"][0]
    protocol = graph.params["protocols"].get(measured["protocol"])
    metric = None if protocol is None else metrics()[protocol["metric"]]
    network, real = row.get("network"), row.get("real")
    name = external.name_of(measured, row_id)
    entry = external.entry_of(graph, dataset, name)
    if metric is not None and "system" not in measured and entry is None:
        without_run = metric.of_data and (network is not None or not metric.compares_networks)
        if not (without_run or real):
            return {}, "printed only: no system of ours rebuilds it"
    if dataset not in graph.params["datasets"]:
        return {}, f"not run: params.yaml has no dataset {dataset}"
    if dataset not in graph.params["scale_datasets"]:
        return {}, f"not run: scale {graph.params['scale']} leaves out {dataset}"
    if protocol is None or metric is None:
        return {}, f"not scored: params.yaml has no protocol {measured['protocol']}"
    if entry is not None and not metric.of_data:
        reason = external.obstacle(entry, protocol)
        made = None if reason else external.outside(graph, dataset, name)
        return {} if made is None else {"0": score(graph, made, measured["protocol"], dataset)}, reason
    if "system" not in measured:
        return {"0": score(graph, None, measured["protocol"], dataset, network, real)}, None
    seeds = graph.params["seeds"]
    runs = {str(seed): graph.train(measured["system"], dataset, seed) for seed in seeds}
    return {seed: score(graph, run, measured["protocol"], dataset) for seed, run in runs.items()}, None


def require_run(run: Node | None, protocol: str) -> Node:
    """``run``. Raises ReproError when there is none."""
    if run is None:
        raise ReproError(f"papers: protocol {protocol!r} evaluates a run; give the row or the column a system")
    return run
