"""The DAMSM as AttnGAN's code trains it: a bi-LSTM and an image encoder in one space."""

from t2i_repro.core.artefact import Node
from t2i_repro.core.choices import BATCH_NORM_MODES
from t2i_repro.core.schema import COUNT, RATE, SEED, choice
from t2i_repro.models.text_encoder import BY_DATASET, IMAGE_SIZE, Graph, TextEncoder, section_on


def plan(graph: Graph, dataset: str) -> Node:
    """The text and image encoders that every system with a DAMSM loss shares."""
    spec = section_on(graph, "damsm", dataset)
    trunk = graph.network(spec.pop("trunk"), dataset)
    inputs = {"data": graph.prepare(dataset, spec["image_size"]), "trunk": trunk}
    return graph.add("damsm", f"{dataset}-damsm", spec, inputs, runtime=graph.params["cadence"])


DAMSM = TextEncoder(
    name="damsm",
    kind="damsm",
    section="damsm",
    options={
        "image_size": IMAGE_SIZE,
        "words": BY_DATASET,
        "embedding": COUNT,
        "hidden": COUNT,
        "dim": COUNT,
        "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "gamma1": RATE,
        "gamma2": RATE,
        "gamma3": RATE,
        "batch": COUNT,
        "epochs": BY_DATASET,
        "lr": RATE,
        "decay": RATE,
        "clip": RATE,
        "trunk": {"type": "string"},
        "batch_norm": choice(BATCH_NORM_MODES),
        "seed": SEED,
    },
    plan=plan,
    is_standin=lambda graph: graph.is_standin(graph.params["damsm"]["trunk"]),
    pretrain="t2i_repro.training.damsm:run_damsm",
    weights="text_encoder.pt",
    dim=256,
    load="t2i_repro.sampling.conditioners:load_damsm_text",
    extractor="t2i_repro.metrics.extractors:open_damsm",
    full_size="t2i_repro.models.encoders.loading:full_size_damsm",
)
