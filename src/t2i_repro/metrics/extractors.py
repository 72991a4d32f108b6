"""Feature extractors: networks that turn images, captions or both into features.

Classifiers trained here, released Inceptions and CLIPs, and the image and text encoders of GANs (DAMSM, ITM, the CLIP
stand-in, char-CNN-RNN), which declare their opener in `models/text_encoders/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from t2i_repro.core.declarations import resolve
from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.bn_folding import prepare_for_inference
from t2i_repro.metrics.inception_tf import InceptionTF
from t2i_repro.metrics.preparation import PREPARATIONS
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn
from t2i_repro.models.encoders.classifier import Classifier
from t2i_repro.models.encoders.damsm import DamsmTextEncoder
from t2i_repro.models.encoders.loading import (
    GROUP,
    clip_tokenizer,
    embed_texts,
    input_clip,
    load_image_encoder,
    load_itm,
    load_text_encoder,
)
from t2i_repro.models.state import load_weights
from t2i_repro.models.text_encoder import encoder_of

TOKENIZERS = {"clip-vit-b-32": "ViT-B-32-quickgelu", "clip-rn101": "RN101-quickgelu"}

ImageFunction = Callable[[Tensor], tuple[Tensor, Tensor | None]]
CaptionFunction = Callable[[Prepared, Sequence[int]], Tensor]
Record = dict[str, Any]


@dataclass(frozen=True)
class FeatureExtractor:
    """``extract``: uint8 images [B, 3, S, S] -> (features [B, d], logits [B, K] or None), float32. ``embed_captions``:
    captions of a dataset by index -> embeddings [B, d] in the same space; None for networks without a text encoder.

    ``name``: the artefact it comes from; ``sha256``: of its weights; ``trained_by_us``: not weights as published.
    """

    name: str
    extract: ImageFunction
    sha256: str
    standin: bool
    trained_by_us: bool
    embed_captions: CaptionFunction | None = None


def open_extractor(folder: Path, device: torch.device, preparation: str = "unit") -> FeatureExtractor:
    """The network of an artefact's folder. ``preparation``: how images become its input (`preparation.py`), for
    networks that leave a choice. Raises ReproError when the artefact holds no feature extractor."""
    record = read_record(folder)
    if preparation not in PREPARATIONS:
        raise ReproError(f"preparation: found {preparation!r}; expected one of {', '.join(PREPARATIONS)}")
    if record["kind"] == "classifier":
        return open_classifier(folder, record, device, preparation)
    encoder = encoder_of(record["kind"], record["spec"])
    if encoder is not None and encoder.extractor is not None:
        opener = cast(Callable[[Path, Record, torch.device], FeatureExtractor], resolve(encoder.extractor))
        return opener(folder, record, device)
    if record["kind"] == "asset" and record["spec"].get("trunk") in ASSETS:
        return ASSETS[record["spec"]["trunk"]](folder, record, device, preparation)
    raise ReproError(
        f"{folder}: {record['kind']} {record['name']} gives no features for a metric; expected a classifier, a text "
        f"encoder that declares an extractor, or an asset with trunk {', '.join(ASSETS)}"
    )


def open_weights(
    path: Path, name: str, trunk: str, sha256: str, device: torch.device, preparation: str
) -> FeatureExtractor:
    """A network from a file of weights whose SHA-256 has been checked, without an artefact's record."""
    record = {
        "kind": "asset",
        "name": name,
        "digest": sha256[:10],
        "spec": {"sha256": sha256, "trunk": trunk},
        "files": {path.name: {"sha256": sha256}},
    }
    return ASSETS[trunk](path.parent, record, device, preparation)


def checked_weights(folder: Path, record: Record, name: str) -> str:
    """SHA-256 of a file of an artefact. Raises ReproError when it is not that of the record."""
    recorded = record["files"].get(name, {}).get("sha256")
    found = file_sha256(folder / name)
    if found != recorded:
        raise ReproError(
            f"{folder / name}: SHA-256 {found}; its record says {recorded}. Remove {folder} and build it again."
        )
    return found


def asset_weights(folder: Path, record: Record) -> Path:
    """The file of an asset with the SHA-256 of its spec, its content checked."""
    wanted = record["spec"]["sha256"]
    names = [name for name, file in record["files"].items() if file["sha256"] == wanted]
    if not names:
        raise ReproError(f"{folder}: no file with SHA-256 {wanted}; remove it and fetch the asset again")
    checked_weights(folder, record, names[0])
    return folder / names[0]


def full_name(record: Record) -> str:
    """Name of an artefact with its digest."""
    return f"{record['name']}-{record['digest']}"


def open_classifier(folder: Path, record: Record, device: torch.device, preparation: str) -> FeatureExtractor:
    """A classifier trained in the DAG: pooled features of its backbone, logits over the classes of its split."""
    path, spec = folder / "classifier.pt", record["spec"]
    sha256 = checked_weights(folder, record, path.name)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = Classifier(build_backbone(spec["trunk"], spec["width"]), classes=len(state["head.weight"]))
        network.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError) as error:
        found = str(error).splitlines()[0]
        raise ReproError(
            f"{path}: not the weights of {record['name']} ({found}); remove {folder} and train it again"
        ) from error
    prepare_for_inference(network, device)
    prepare = PREPARATIONS[preparation]

    def extract(images: Tensor) -> tuple[Tensor, Tensor]:
        return network.features(prepare(images, None).to(device))

    return FeatureExtractor(full_name(record), extract, sha256, spec["trunk"] == "standin", trained_by_us=True)


def open_inception(folder: Path, record: Record, device: torch.device, preparation: str) -> FeatureExtractor:
    """torchvision's Inception-v3, weights as published: 2048 pooled features, no logits.

    With preparation ``legacy`` it is the network of DM-GAN's and DF-GAN's FID, which rescales inputs as if they carried
    ImageNet's normalisation already.
    """
    path = asset_weights(folder, record)
    trunk = build_backbone("inception", weights=path)
    prepare_for_inference(trunk, device)
    prepare = PREPARATIONS[preparation]

    def extract(images: Tensor) -> tuple[Tensor, None]:
        return trunk(prepare(images, trunk.input_size).to(device))[1], None

    return FeatureExtractor(full_name(record), extract, record["spec"]["sha256"], standin=False, trained_by_us=False)


def open_inception_tf(folder: Path, record: Record, device: torch.device, preparation: str) -> FeatureExtractor:
    """torch-fidelity's port of the graph that FID and IS were defined with.

    It includes the resize of TensorFlow 1 and (x - 128) / 128. Outputs: the 2048 features of pool3, and 1008 logits
    without the bias, which the released IS code leaves out.
    """
    # Slow to load, and only for this network.
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = asset_weights(folder, record)
    port = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    network = InceptionTF(port, device)

    def extract(images: Tensor) -> tuple[Tensor, Tensor]:
        return network(images.to(device))

    return FeatureExtractor(full_name(record), extract, record["spec"]["sha256"], standin=False, trained_by_us=False)


def open_clip_weights(folder: Path, record: Record, device: torch.device, preparation: str) -> FeatureExtractor:
    """OpenAI's CLIP through open_clip (its QuickGELU configuration), from the downloaded weights; captions are cut
    to 77 tokens."""
    # Slow to load, and only for released CLIPs.
    import open_clip

    path = asset_weights(folder, record)
    model = open_clip.load_openai_model(str(path), precision="fp32", device="cpu")
    model.eval().requires_grad_(False).to(device)
    prepare = PREPARATIONS["clip" if preparation == "unit" else preparation]

    def extract(images: Tensor) -> tuple[Tensor, None]:
        return model.encode_image(prepare(images, 224).to(device)), None

    tokenizer = open_clip.get_tokenizer(TOKENIZERS[record["name"]])

    def embed_captions(data: Prepared, captions: Sequence[int]) -> Tensor:
        return model.encode_text(tokenizer([data.caption(caption) for caption in captions]).to(device))

    sha256 = record["spec"]["sha256"]
    return FeatureExtractor(full_name(record), extract, sha256, False, False, embed_captions)


# Released networks, by the `trunk` of an asset.
ASSETS: dict[str, Callable[[Path, Record, torch.device, str], FeatureExtractor]] = {
    "inception-tf": open_inception_tf,
    "inception": open_inception,
    "clip": open_clip_weights,
}


class DamsmCaptionEmbedder:
    """Sentence embeddings of a ``damsm`` artefact; captions are cut to ``words``, as in the released code."""

    def __init__(self, folder: Path, words: int, device: torch.device) -> None:
        self.folder, self.words, self.device = folder, words, device
        self._encoder: tuple[Path, DamsmTextEncoder] | None = None

    def __call__(self, data: Prepared, captions: Sequence[int]) -> Tensor:
        if self._encoder is None or self._encoder[0] != data.folder:
            encoder = load_text_encoder(self.folder, data)
            self._encoder = data.folder, encoder.eval().requires_grad_(False).to(self.device)
        rows = [torch.from_numpy(data.tokens(caption)[: self.words]) for caption in captions]
        lengths = torch.tensor([len(row) for row in rows])
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return self._encoder[1](tokens.to(self.device), lengths)[1]


def open_damsm(folder: Path, record: Record, device: torch.device) -> FeatureExtractor:
    """The DAMSM encoders: global image embedding and sentence embedding, the space R-precision is printed in."""
    hashes = [checked_weights(folder, record, name) for name in ("image_encoder.pt", "text_encoder.pt")]
    encoder = load_image_encoder(folder)
    prepare_for_inference(encoder, device)

    def extract(images: Tensor) -> tuple[Tensor, None]:
        return encoder(images.to(device).float() / 127.5 - 1)[1], None

    standin = record["facts"]["trunk"]["kind"] == "standin"
    text = DamsmCaptionEmbedder(folder, record["spec"]["words"], device)
    return FeatureExtractor(full_name(record), extract, "+".join(hashes), standin, True, text)


def clip_captions(
    settings: dict[str, Any], encode: Callable[[Tensor], Tensor], device: torch.device
) -> CaptionFunction:
    """Captions, cleaned and tokenised as the CLIP in the DAG was trained, then ``encode``."""

    def embed_captions(data: Prepared, captions: Sequence[int]) -> Tensor:
        tokenise = clip_tokenizer(settings, data)
        rows = [torch.from_numpy(tokenise(data.caption(caption))) for caption in captions]
        return encode(torch.stack(rows).to(device))

    return embed_captions


def open_clip_standin(folder: Path, record: Record, device: torch.device) -> FeatureExtractor:
    """The small dual encoder that the DAG trains as a stand-in for CLIP's weights."""
    sha256 = checked_weights(folder, record, "clip.pt")
    clip, settings = input_clip(folder)
    prepare_for_inference(clip, device)

    def extract(images: Tensor) -> tuple[Tensor, None]:
        return clip.image(images.to(device).float() / 127.5 - 1)[1], None

    embed_captions = clip_captions(settings, lambda tokens: clip.text(tokens)[1], device)
    return FeatureExtractor(full_name(record), extract, sha256, True, True, embed_captions)


def open_itm(folder: Path, record: Record, device: torch.device) -> FeatureExtractor:
    """GR-GAN's ITM: its image embedding and sentence embedding."""
    sha256 = checked_weights(folder, record, "itm.pt")
    itm, settings = load_itm(folder), record["facts"]["clip"]
    prepare_for_inference(itm, device)

    def extract(images: Tensor) -> tuple[Tensor, None]:
        return itm(images.to(device).float() / 127.5 - 1)[1], None

    embed_captions = clip_captions(settings, lambda tokens: itm.project_sentence(itm.clip.text(tokens)[1]), device)
    standin = settings["kind"] == "standin"
    return FeatureExtractor(full_name(record), extract, sha256, standin, True, embed_captions)


def open_char_cnn_rnn(folder: Path, record: Record, device: torch.device) -> FeatureExtractor:
    """Sentence embeddings of captions; the same bits as those in the artefact, which GANs are trained on."""

    def extract(images: Tensor) -> tuple[Tensor, None]:
        raise ReproError(f"{folder}: {record['name']} reads captions and sees no images; name another network")

    if "published" in record["spec"]:
        sha256 = checked_weights(folder, record, "embeddings.npy")
        rows = np.load(folder / "embeddings.npy", mmap_mode="r")

        def look_up(data: Prepared, captions: Sequence[int]) -> Tensor:
            return torch.from_numpy(rows[list(captions)])

        return FeatureExtractor(full_name(record), extract, sha256, False, False, look_up)
    sha256 = checked_weights(folder, record, "encoder.pt")
    encoder = CharCnnRnn(record["spec"]["dim"], record["spec"]["width"])
    load_weights(encoder, folder / "encoder.pt")
    encoder.requires_grad_(False).to(device)

    def embed_captions(data: Prepared, captions: Sequence[int]) -> Tensor:
        texts = [data.caption(caption) for caption in captions]
        groups = [texts[start : start + GROUP] for start in range(0, len(texts), GROUP)]
        return torch.cat([torch.from_numpy(embed_texts(encoder, group, device)) for group in groups])

    standin = record["facts"]["trunk"]["kind"] == "standin"
    return FeatureExtractor(full_name(record), extract, sha256, standin, True, embed_captions)
