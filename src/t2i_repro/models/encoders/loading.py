"""Encoders from the folders of finished artefacts."""

from pathlib import Path
from typing import Any

from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.encoders.backbone import Trunk, build_trunk
from t2i_repro.models.encoders.damsm_image import ImageEncoder
from t2i_repro.models.encoders.damsm_text import TextEncoder
from t2i_repro.models.state import load_torch, load_weights


def build_text_encoder(spec: dict[str, Any], vocabulary: int) -> TextEncoder:
    """The text encoder that a ``damsm`` spec describes, with fresh weights."""
    if spec["dim"] != 2 * spec["hidden"]:
        raise ReproError(f"damsm.dim: found {spec['dim']}; both directions of the LSTM give {2 * spec['hidden']}")
    return TextEncoder(vocabulary, spec["embedding"], spec["hidden"], spec["dropout"])


def load_text_encoder(folder: Path, prepared: Prepared, weights: Path | None = None) -> TextEncoder:
    """The text encoder of a ``damsm`` artefact; ``weights`` replaces its weights (a run that tuned it)."""
    encoder = build_text_encoder(read_record(folder)["spec"], len(prepared.vocabulary))
    path = weights or folder / "text_encoder.pt"
    rows = load_torch(path)["embedding.weight"].shape[0]
    if rows != len(prepared.vocabulary):
        raise ReproError(
            f"{path}: knows {rows} words, but {prepared.folder} has {len(prepared.vocabulary)}; "
            f"train the encoder on the captions of this dataset"
        )
    load_weights(encoder, path)
    return encoder


def load_image_encoder(folder: Path) -> ImageEncoder:
    """The image encoder of a ``damsm`` artefact."""
    record = read_record(folder)
    trunk = build_trunk(**record["facts"]["trunk"])
    encoder = ImageEncoder(trunk, record["spec"]["dim"], record["spec"]["batch_norm"])
    load_weights(encoder, folder / "image_encoder.pt")
    return encoder


def input_trunk(folder: Path) -> tuple[Trunk, dict[str, Any]]:
    """The trunk of a ``classifier`` artefact or of downloaded weights, and how to build it (without weights)."""
    record = read_record(folder)
    if record["kind"] == "classifier":
        how = record["facts"]["trunk"]
        return build_trunk(**how, weights=folder / "classifier.pt"), how
    files = [name for name in record["files"] if name.endswith((".pt", ".pth"))]
    if record["kind"] != "asset" or len(files) != 1:
        raise ReproError(f"{folder}: expected a classifier or one file of weights, found {record['kind']}: {files}")
    how = {"kind": record["spec"]["trunk"], "width": 1}
    return build_trunk(**how, weights=folder / files[0]), how
