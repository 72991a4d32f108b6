"""Encoders from the folders of finished artefacts, and at the papers' size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from t2i_repro.core.record import read_record
from t2i_repro.data.captions import tokenise
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.encoders.backbone import Backbone, build_backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.encoders.itm import ITM, Clip, OpenClip, StandinClip
from t2i_repro.models.state import evaluating, load_torch, load_weights

# From a caption to the tokens int64 [context] that a CLIP reads.
ClipTokenizer = Callable[[str], npt.NDArray[np.int64]]

GROUP = 64  # captions in one forward pass of an encoder, always: see `embed_texts`


def input_backbone(folder: Path) -> tuple[Backbone, dict[str, Any]]:
    """The backbone of a ``classifier`` artefact or of downloaded weights, and the arguments that build it."""
    record = read_record(folder)
    if record["kind"] == "classifier":
        options = record["facts"]["trunk"]
        return build_backbone(**options, weights=folder / "classifier.pt"), options
    files = [name for name in record["files"] if name.endswith((".pt", ".pth"))]
    if record["kind"] != "asset" or len(files) != 1:
        raise ReproError(f"{folder}: expected a classifier or one file of weights, found {record['kind']}: {files}")
    options = {"kind": record["spec"]["trunk"], "width": 1}
    return build_backbone(**options, weights=folder / files[0]), options


# DAMSM


def build_text_encoder(spec: dict[str, Any], vocabulary: int) -> DamsmTextEncoder:
    """The text encoder that a ``damsm`` spec describes, with untrained weights."""
    if spec["dim"] != 2 * spec["hidden"]:
        raise ReproError(f"damsm.dim: found {spec['dim']}; both directions of the LSTM give {2 * spec['hidden']}")
    return DamsmTextEncoder(vocabulary, spec["embedding"], spec["hidden"], spec["dropout"])


def load_text_encoder(folder: Path, prepared: Prepared, weights: Path | None = None) -> DamsmTextEncoder:
    """The text encoder of a ``damsm`` artefact; ``weights`` replaces its weights (those of a run that tuned it)."""
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


def load_image_encoder(folder: Path) -> DamsmImageEncoder:
    """The image encoder of a ``damsm`` artefact."""
    record = read_record(folder)
    trunk = build_backbone(**record["facts"]["trunk"])
    encoder = DamsmImageEncoder(trunk, record["spec"]["dim"], record["spec"]["batch_norm"])
    load_weights(encoder, folder / "image_encoder.pt")
    return encoder


def full_size_damsm(vocabulary: int) -> DamsmTextEncoder:
    return DamsmTextEncoder(vocabulary)


# CLIP and ITM


def clip_tokenizer(options: dict[str, Any], prepared: Prepared) -> ClipTokenizer:
    """The tokenizer of a CLIP that was built with ``options``.

    Captions are cleaned as in the released code: lower case, words alone.
    """
    if options["kind"] == "open-clip":
        import open_clip  # slow to import; the stand-in does not need it

        tokenizer = open_clip.get_tokenizer("RN101-quickgelu")
        return lambda text: tokenizer([" ".join(tokenise(text))])[0].numpy().astype(np.int64)

    def tokenize(text: str) -> npt.NDArray[np.int64]:
        words = prepared.encode(text, skip_unknown=True)[: options["context"] - 2]
        row = np.zeros(options["context"], dtype=np.int64)
        row[: len(words) + 2] = [options["vocabulary"] - 2, *words, options["vocabulary"] - 1]
        return row

    return tokenize


def build_clip(options: dict[str, Any]) -> Clip:
    """A CLIP from the fact ``clip`` of a record, with random weights."""
    arguments = {key: value for key, value in options.items() if key != "kind"}
    return OpenClip() if options["kind"] == "open-clip" else StandinClip(**arguments)


def input_clip(folder: Path) -> tuple[Clip, dict[str, Any]]:
    """The CLIP of a ``clip`` artefact or of OpenAI's weights, and the options that build it."""
    record = read_record(folder)
    if record["kind"] == "clip":
        options: dict[str, Any] = record["facts"]["clip"]
        clip = build_clip(options)
        load_weights(clip, folder / "clip.pt")
        return clip, options
    import open_clip  # slow to import; the stand-in does not need it

    (name,) = record["files"]
    network = OpenClip()
    network.network.load_state_dict(
        open_clip.load_openai_model(str(folder / name), precision="fp32", device="cpu").state_dict()
    )
    return network, {"kind": "open-clip"}


def load_itm(folder: Path) -> ITM:
    """The ITM of a finished artefact."""
    itm = ITM(build_clip(read_record(folder)["facts"]["clip"]))
    load_weights(itm, folder / "itm.pt")
    return itm


def full_size_itm(vocabulary: int) -> ITM:
    """Its CLIP has a vocabulary of its own, so ``vocabulary`` does not matter."""
    return ITM(OpenClip())


# char-CNN-RNN


def load_char_cnn_rnn(folder: Path) -> CharCnnRnn:
    """The encoder of a ``char-cnn-rnn`` artefact that was trained here."""
    spec = read_record(folder)["spec"]
    encoder = CharCnnRnn(spec["dim"], spec["width"])
    load_weights(encoder, folder / "encoder.pt")
    return encoder


def embed_texts(encoder: CharCnnRnn, texts: list[str], device: torch.device) -> npt.NDArray[np.float32]:
    """Embeddings float32 [B, dim] of up to ``GROUP`` texts. They are always computed at that batch size, so that the
    bits of one embedding do not depend on the other texts."""
    rows = characters([*texts, *[""] * (GROUP - len(texts))]).to(device)
    with evaluating(encoder):
        return encoder(rows)[: len(texts)].float().cpu().numpy()


def full_size_char_cnn_rnn(vocabulary: int) -> CharCnnRnn:
    """It reads characters, so ``vocabulary`` does not matter."""
    return CharCnnRnn()
