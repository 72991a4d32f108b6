"""A small dual encoder with CLIP's interface, for where CLIP's weights are not at hand (ours, no paper's). GR-GAN's ITM
can be built on it, and metrics can use it in CLIP's place."""

from t2i_repro.core.artefact import Node
from t2i_repro.core.schema import COUNT, RATE, SEED
from t2i_repro.data.fetch import asset
from t2i_repro.models.text_encoder import BY_DATASET, IMAGE_SIZE, Graph, TextEncoder, section_on


def plan(graph: Graph, dataset: str) -> Node:
    """CLIP's weights, or the stand-in, as ``itm.clip`` of params.yaml says."""
    name = graph.params["itm"]["clip"]
    if name != "standin":
        return graph.add("asset", name, {"sha256": asset(name)["sha256"], "trunk": "clip"})
    spec = section_on(graph, "clip", dataset)
    inputs = {"data": graph.prepare(dataset, spec["image_size"])}
    return graph.add("clip", f"{dataset}-clip-standin", spec, inputs, runtime=graph.params["cadence"])


def is_standin(graph: Graph) -> bool:
    return bool(graph.params["itm"]["clip"] == "standin")


def scaled_dim(graph: Graph) -> int:
    """Size of CLIP's embeddings, which are the stand-in's where that is used."""
    return int(graph.params["clip"]["dim"]) if is_standin(graph) else 512


CLIP = TextEncoder(
    name="clip",
    kind="clip",
    section="clip",
    options={
        "image_size": IMAGE_SIZE,
        "width": COUNT,
        "dim": COUNT,
        "words": BY_DATASET,
        "batch": COUNT,
        "epochs": BY_DATASET,
        "lr": RATE,
        "seed": SEED,
    },
    plan=plan,
    scaled_dim=scaled_dim,
    is_standin=is_standin,
    pretrain="t2i_repro.training.itm:run_clip",
    weights="clip.pt",
    dim=512,
    extractor="t2i_repro.metrics.extractors:open_clip_standin",
)
