"""The char-CNN-RNN of Reed et al. (2016): the sentence embedding of GAN-INT-CLS, StackGAN, StackGAN++ and HDGAN."""

from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.schema import COUNT, RATE, SEED, SWITCH
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import BY_DATASET, IMAGE_SIZE, Graph, TextEncoder, section_on


def plan(graph: Graph, dataset: str) -> Node:
    """The encoder trained here, or the embeddings that its authors published."""
    spec = section_on(graph, "char_cnn_rnn", dataset)
    if spec.pop("source") == "published":
        return plan_published(graph, dataset, spec["dim"])
    trunk = graph.network(spec.pop("trunk"), dataset)
    inputs = {"data": graph.prepare(dataset, spec["image_size"]), "trunk": trunk}
    return graph.add("char-cnn-rnn", f"{dataset}-char-cnn-rnn", spec, inputs, runtime=graph.params["cadence"])


def plan_published(graph: Graph, dataset: str, dim: int) -> Node:
    """StackGAN's and HDGAN's own files, in `data_root` (docs/data.md)."""
    if graph.params["data_root"] is None and not graph.estimate:
        raise ReproError("params.yaml: char_cnn_rnn.source: found published; that needs real data (data_root)")
    folder = Path(graph.params["data_root"] or "") / "char-cnn-rnn" / dataset
    content = graph.content(folder, (".pickle",))
    inputs = {"data": graph.prepare(dataset, graph.params["prepare"]["image_size"])}
    spec = {"published": content, "dim": dim}
    return graph.add("char-cnn-rnn", f"{dataset}-published", spec, inputs, locations={"embeddings": str(folder)})


def is_standin(graph: Graph) -> bool:
    section = graph.params["char_cnn_rnn"]
    return section.get("source") != "published" and graph.is_standin(section["trunk"])


CHAR_CNN_RNN = TextEncoder(
    name="char-cnn-rnn",
    kind="char-cnn-rnn",
    section="char_cnn_rnn",
    options={
        "source": {
            "description": "published: files of StackGAN's authors, in data_root (docs/data.md)",
            "enum": ["trained", "published"],
        },
        "image_size": IMAGE_SIZE,
        "dim": COUNT,
        "width": COUNT,
        "trunk": {"type": "string"},
        "batch": COUNT,
        "epochs": BY_DATASET,
        "lr": RATE,
        "decay": RATE,
        "form": SWITCH,
        "seed": SEED,
    },
    plan=plan,
    is_standin=is_standin,
    pretrain="t2i_repro.training.char_cnn_rnn:run_char_cnn_rnn",
    weights="encoder.pt",
    dim=1024,
    load="t2i_repro.sampling.conditioners:load_char_cnn_rnn_text",
    extractor="t2i_repro.metrics.extractors:open_char_cnn_rnn",
    full_size="t2i_repro.models.encoders.loading:full_size_char_cnn_rnn",
)
