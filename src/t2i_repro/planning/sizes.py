"""Checks that every split is large enough for what a plan does with it, before anything is built.

Splits are counted from the index of the raw files, without reading a picture, or from the size of the stand-in.
"""

import json
from contextlib import suppress
from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import atomic_write
from t2i_repro.data.layout import layout_of, read_index
from t2i_repro.data.prepared import SPLITS
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import encoder_of
from t2i_repro.planning.graph import Graph

Counts = dict[str, int]
CACHE = Path("results/.cache/splits.json")


def check_sizes(graph: Graph) -> None:
    """Raise ReproError where a split is empty, or has fewer images than a batch of what is trained on it."""
    counts = split_counts(graph)
    for node in graph.nodes.values():
        if node.kind == "prepare" and node.digest in counts:
            dataset = node.name.rsplit("-", 1)[0]
            empty = [split for split in SPLITS if counts[node.digest][split] == 0]
            if empty:
                place = node.locations.get("raw_root", "params.yaml: standin")
                raise ReproError(f"{place}: the {empty[0]} split of {dataset} has no image; GANs need both splits")
    for node in graph.nodes.values():
        if "data" in node.inputs and "batch" in node.spec:
            data = graph.inputs_of(node)["data"]
            split, batch = node.spec.get("split", "train"), node.spec["batch"]
            there = counts.get(data.digest, {}).get(split, batch)
            if there < batch:
                raise ReproError(
                    f"{key_of(graph, node)}: found {batch}, but the {split} split of {data.name.rsplit('-', 1)[0]} has "
                    f"{there} images, which is less than one batch; lower it to {there} or less, or give more images"
                )


def key_of(graph: Graph, node: Node) -> str:
    """The key that sets the batch of a training."""
    if node.kind == "train":
        scale = graph.params["over_systems"]["train"]
        if "batch" in scale:
            return f"params.yaml: scales.{graph.params['scale']}.train.batch (for {node.name})"
        return f"papers: systems.{node.name.split('-', 1)[1].rsplit('-', 1)[0]}.train.batch (for {node.name})"
    encoder = encoder_of(node.kind, node.spec)
    return f"params.yaml: {node.kind if encoder is None else encoder.section}.batch"


def split_counts(graph: Graph) -> dict[str, Counts]:
    """Images of each split, by the digest of the prepared data; without those whose raw files are not there."""
    found: dict[str, Counts] = {}
    known = read_cache(graph.project / CACHE)
    fresh: dict[str, Counts] = {}
    for node in graph.nodes.values():
        if node.kind != "prepare":
            continue
        if "raw" in node.inputs:
            size = graph.inputs_of(node)["raw"].spec
            found[node.digest] = {split: size[f"{split}_classes"] * size["images_per_class"] for split in SPLITS}
        elif "raw_root" in node.locations:
            manifest = f"{node.spec['layout']}-{node.spec.get('year')}-{node.spec['manifest']}"
            if manifest not in known:
                known[manifest] = fresh[manifest] = count_splits(graph, node)
            found[node.digest] = known[manifest]
    if fresh:
        path = graph.project / CACHE
        with suppress(OSError, ReproError):  # a folder that may only be read: they are counted again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(json.dumps(known).encode())
    return found


def count_splits(graph: Graph, node: Node) -> Counts:
    """Images of each split, from the index of the raw files."""
    layout = layout_of(node.spec["layout"])
    index = read_index(layout, graph.project / node.locations["raw_root"], node.spec.get("year"))
    return {split: sum(image.split == split for image in index.images) for split in SPLITS}


def read_cache(path: Path) -> dict[str, Counts]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
