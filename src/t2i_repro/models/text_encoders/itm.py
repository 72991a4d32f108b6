"""GR-GAN's image-text matcher: a trained head on a frozen CLIP."""

from t2i_repro.core.artefact import Node
from t2i_repro.core.schema import COUNT, RATE, SEED
from t2i_repro.models.text_encoder import BY_DATASET, IMAGE_SIZE, Graph, TextEncoder, section_on
from t2i_repro.models.text_encoders import clip


def plan(graph: Graph, dataset: str) -> Node:
    """The ITM on a dataset, words and sentences."""
    spec = section_on(graph, "itm", dataset)
    del spec["clip"]
    inputs = {"data": graph.prepare(dataset, spec["image_size"]), "clip": clip.plan(graph, dataset)}
    return graph.add("itm", f"{dataset}-itm", spec, inputs, runtime=graph.params["cadence"])


ITM = TextEncoder(
    name="itm",
    kind="itm",
    section="itm",
    options={
        "clip": {"enum": ["clip-rn101", "standin"]},
        "image_size": IMAGE_SIZE,
        "words": BY_DATASET,
        "gamma1": RATE,
        "gamma2": RATE,
        "gamma3": RATE,
        "batch": COUNT,
        "epochs": BY_DATASET,
        "lr": RATE,
        "decay": RATE,
        "seed": SEED,
    },
    plan=plan,
    scaled_dim=clip.scaled_dim,
    matching_loss="itm",
    is_standin=clip.is_standin,
    pretrain="t2i_repro.training.itm:run_itm",
    weights="itm.pt",
    dim=512,
    load="t2i_repro.sampling.conditioners:load_itm_text",
    extractor="t2i_repro.metrics.extractors:open_itm",
    full_size="t2i_repro.models.encoders.loading:full_size_itm",
)
