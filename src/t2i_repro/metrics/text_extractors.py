"""Networks that read captions: DAMSM, CLIP and its stand-in, ITM, with images and captions in one space; and
char-CNN-RNN, for captions alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.bn_folding import frozen
from t2i_repro.metrics.extractors import Network, Read, asset_weights, checked_weights
from t2i_repro.metrics.preparation import PREPARATIONS
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn
from t2i_repro.models.encoders.damsm_text import TextEncoder
from t2i_repro.models.encoders.loading import load_image_encoder, load_text_encoder, load_weights
from t2i_repro.training.char_cnn_rnn import GROUP, embed_texts
from t2i_repro.training.itm import clip_tokens, input_clip, load_itm

TOKENIZERS = {"clip-vit-b-32": "ViT-B-32-quickgelu", "clip-rn101": "RN101-quickgelu"}


def open_dual(folder: Path, record: dict[str, Any], device: torch.device, preparation: str) -> Network:
    """The network of a `damsm`, `clip`, `itm` or `char-cnn-rnn` folder, or of an asset with CLIP's weights."""
    if record["kind"] == "asset":
        return open_clip_weights(folder, record, device, preparation)
    openers = {"damsm": open_damsm, "clip": open_clip_standin, "itm": open_itm, "char-cnn-rnn": open_char_cnn_rnn}
    return openers[record["kind"]](folder, record, device)


class DamsmText:
    """Sentence embeddings of a ``damsm`` artefact; captions are cut to ``words``, as released code does."""

    def __init__(self, folder: Path, words: int, device: torch.device) -> None:
        self.folder, self.words, self.device = folder, words, device
        self._encoder: tuple[Path, TextEncoder] | None = None

    def __call__(self, data: Prepared, captions: Sequence[int]) -> Tensor:
        if self._encoder is None or self._encoder[0] != data.folder:
            encoder = load_text_encoder(self.folder, data)
            self._encoder = data.folder, encoder.eval().requires_grad_(False).to(self.device)
        rows = [torch.from_numpy(data.tokens(caption)[: self.words]) for caption in captions]
        lengths = torch.tensor([len(row) for row in rows])
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return self._encoder[1](tokens.to(self.device), lengths)[1]


def open_damsm(folder: Path, record: dict[str, Any], device: torch.device) -> Network:
    """The DAMSM encoders: global image code and sentence embedding, the space R-precision is printed in."""
    hashes = [checked_weights(folder, record, name) for name in ("image_encoder.pt", "text_encoder.pt")]
    encoder = load_image_encoder(folder)
    frozen(encoder, device)

    def look(images: Tensor) -> tuple[Tensor, None]:
        return encoder(images.to(device).float() / 127.5 - 1)[1], None

    standin = record["facts"]["trunk"]["kind"] == "standin"
    text = DamsmText(folder, record["spec"]["words"], device)
    return Network(f"{record['name']}-{record['digest']}", look, "+".join(hashes), standin, True, text)


def open_clip_weights(folder: Path, record: dict[str, Any], device: torch.device, preparation: str) -> Network:
    """OpenAI's CLIP through open_clip (its QuickGELU configuration), from the downloaded weights; captions are cut
    to 77 tokens."""
    import open_clip

    path = asset_weights(folder, record)
    model = open_clip.load_openai_model(str(path), precision="fp32", device="cpu")
    model.eval().requires_grad_(False).to(device)
    prepare = PREPARATIONS["clip" if preparation == "unit" else preparation]

    def look(images: Tensor) -> tuple[Tensor, None]:
        return model.encode_image(prepare(images, 224).to(device)), None

    tokenizer = open_clip.get_tokenizer(TOKENIZERS[record["name"]])

    def read(data: Prepared, captions: Sequence[int]) -> Tensor:
        return model.encode_text(tokenizer([data.caption(caption) for caption in captions]).to(device))

    label = f"{record['name']}-{record['digest']}"
    return Network(label, look, record["spec"]["sha256"], standin=False, trained_by_us=False, read=read)


def reader(how: dict[str, Any], encode: Callable[[Tensor], Tensor], device: torch.device) -> Read:
    """Captions, cleaned and tokenised as the CLIP in the DAG was trained, through ``encode``."""

    def read(data: Prepared, captions: Sequence[int]) -> Tensor:
        tokenise = clip_tokens(how, data)
        rows = [torch.from_numpy(tokenise(data.caption(caption))) for caption in captions]
        return encode(torch.stack(rows).to(device))

    return read


def open_clip_standin(folder: Path, record: dict[str, Any], device: torch.device) -> Network:
    """The small dual encoder that the DAG trains where CLIP's weights are not at hand."""
    sha256 = checked_weights(folder, record, "clip.pt")
    clip, how = input_clip(folder)
    frozen(clip, device)

    def look(images: Tensor) -> tuple[Tensor, None]:
        return clip.image(images.to(device).float() / 127.5 - 1)[1], None

    read = reader(how, lambda tokens: clip.text(tokens)[1], device)
    return Network(f"{record['name']}-{record['digest']}", look, sha256, True, True, read)


def open_itm(folder: Path, record: dict[str, Any], device: torch.device) -> Network:
    """GR-GAN's ITM: its image code and sentence embedding."""
    sha256 = checked_weights(folder, record, "itm.pt")
    itm, how = load_itm(folder), record["facts"]["clip"]
    frozen(itm, device)

    def look(images: Tensor) -> tuple[Tensor, None]:
        return itm(images.to(device).float() / 127.5 - 1)[1], None

    read = reader(how, lambda tokens: itm.project_sentence(itm.clip.text(tokens)[1]), device)
    name, standin = f"{record['name']}-{record['digest']}", how["kind"] == "standin"
    return Network(name, look, sha256, standin, True, read)


def open_char_cnn_rnn(folder: Path, record: dict[str, Any], device: torch.device) -> Network:
    """Sentence embeddings of captions; the same bits as those in the artefact, which GANs are trained on."""
    label = f"{record['name']}-{record['digest']}"

    def look(images: Tensor) -> tuple[Tensor, None]:
        raise ReproError(f"{folder}: {record['name']} reads captions and sees no images; name another network")

    if "published" in record["spec"]:
        sha256 = checked_weights(folder, record, "embeddings.npy")
        rows = np.load(folder / "embeddings.npy", mmap_mode="r")

        def look_up(data: Prepared, captions: Sequence[int]) -> Tensor:
            return torch.from_numpy(rows[list(captions)])

        return Network(label, look, sha256, standin=False, trained_by_us=False, read=look_up)
    sha256 = checked_weights(folder, record, "encoder.pt")
    encoder = CharCnnRnn(record["spec"]["dim"], record["spec"]["width"])
    load_weights(encoder, folder / "encoder.pt")
    encoder.requires_grad_(False).to(device)

    def read(data: Prepared, captions: Sequence[int]) -> Tensor:
        texts = [data.caption(caption) for caption in captions]
        groups = [texts[start : start + GROUP] for start in range(0, len(texts), GROUP)]
        return torch.cat([torch.from_numpy(embed_texts(encoder, group, device)) for group in groups])

    standin = record["facts"]["trunk"]["kind"] == "standin"
    return Network(label, look, sha256, standin, True, read)
