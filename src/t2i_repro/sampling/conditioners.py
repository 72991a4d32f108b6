"""Text conditioning by each text encoder, loaded from the artefact that holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from t2i_repro.core.choices import Choice, PositionForm
from t2i_repro.core.declarations import resolve
from t2i_repro.core.record import read_record
from t2i_repro.data.batches import Batch
from t2i_repro.data.char_embeddings import Vectors
from t2i_repro.data.prepared import Prepared
from t2i_repro.data.sentence_batches import SentenceBatch, SentenceBatches
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Text
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters
from t2i_repro.models.encoders.damsm import DamsmTextEncoder
from t2i_repro.models.encoders.itm import ITM
from t2i_repro.models.encoders.loading import (
    ClipTokenizer,
    clip_tokenizer,
    load_char_cnn_rnn,
    load_image_encoder,
    load_itm,
    load_text_encoder,
)
from t2i_repro.models.family import family_of
from t2i_repro.models.text_encoder import encoder_of
from t2i_repro.sampling.text import Caption, TextConditioner


def load_text(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None = None) -> TextConditioner:
    """The text conditioner of a text encoder's artefact.

    ``spec`` is that of the ``train`` node; ``tuned`` holds weights of a run that trained the encoder further. Raises
    ReproError if the artefact was never completed, or was trained on other captions than those of ``prepared``.
    """
    record = read_record(folder)
    encoder = encoder_of(record["kind"], record["spec"])
    if encoder is None or encoder.load is None:
        raise ReproError(f"{folder}: systems cannot read captions through a {record['kind']}; name a text encoder")
    load = cast(Any, resolve(encoder.load))
    return cast(TextConditioner, load(folder, prepared, spec, tuned))


class DamsmText(TextConditioner):
    """The bi-LSTM of a DAMSM; ``folder`` is the artefact that holds its image encoder."""

    def __init__(self, encoder: DamsmTextEncoder, words: int, folder: Path | None = None) -> None:
        self.encoder: DamsmTextEncoder = encoder
        self.dim, self.words, self.folder = encoder.dim, words, folder

    @torch.no_grad()
    def of_batch(self, batch: Batch) -> Text:
        words, sentence = self.encoder(batch.tokens, batch.lengths)
        return Text.of(words, sentence, batch.lengths)

    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        row = torch.from_numpy(np.ascontiguousarray(caption.tokens))[None].to(device)
        lengths = torch.tensor([row.shape[1]], device=device)
        words, sentence = self.encoder(row, lengths)
        return Text.of(words, sentence, lengths)

    def image_encoder(self) -> nn.Module | None:
        return None if self.folder is None else load_image_encoder(self.folder)


def load_damsm_text(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None) -> DamsmText:
    """From a ``damsm`` artefact."""
    return DamsmText(load_text_encoder(folder, prepared, tuned), spec["words"], folder)


@dataclass(frozen=True)
class ClipTextCache:
    """What a frozen CLIP computes from every caption of a dataset: features float16 [C, words + 1, channels], from the
    start token on; embeddings float32 [C, dim]; tokens int32 [C, context]."""

    features: npt.NDArray[np.float16]
    embeddings: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int32]

    @classmethod
    def open(cls, folder: Path) -> "ClipTextCache":
        names = ("features", "embeddings", "tokens")
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))

    def rows(self, captions: npt.NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Features, embeddings and tokens of captions [B], as ``ITM.text`` takes them."""
        features = torch.from_numpy(self.features[captions].astype(np.float32))
        embeddings = torch.from_numpy(np.array(self.embeddings[captions]))
        tokens = torch.from_numpy(self.tokens[captions].astype(np.int64))
        return features.to(device), embeddings.to(device), tokens.to(device)


class ItmText(TextConditioner):
    """Words and sentences of an ITM. Training reads the cache; captions in text form go through CLIP."""

    def __init__(
        self, itm: ITM, cache: ClipTextCache, tokenize: ClipTokenizer, words: int, positions: PositionForm = "right"
    ) -> None:
        if words >= cache.features.shape[1]:
            found = f"found {words}, but the ITM's cache has {cache.features.shape[1] - 1} words of each caption"
            raise ReproError(f"train.words: {found}; raise itm.words in params.yaml")
        self.encoder: ITM = itm
        self.cache, self.tokenize, self.positions = cache, tokenize, positions
        self.dim, self.words = itm.dim, words

    @torch.no_grad()
    def of_batch(self, batch: Batch) -> Text:
        return self._text(*self.cache.rows(batch.caption_index.cpu().numpy(), batch.images.device))

    @torch.no_grad()
    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        tokens = torch.from_numpy(self.tokenize(caption.text))[None].to(device)
        features, embedding = self.encoder.clip.text(tokens)
        return self._text(features.half().float(), embedding, tokens)

    def _text(self, features: Tensor, embedding: Tensor, tokens: Tensor) -> Text:
        return self.encoder.text(features, embedding, tokens, self.words, self.positions)

    def image_encoder(self) -> nn.Module:
        return self.encoder


def load_itm_text(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None) -> ItmText:
    """From an ``itm`` artefact. Raises ReproError if its cache is of other captions."""
    cache = ClipTextCache.open(folder)
    if len(cache.tokens) != len(prepared.caption_image):
        found, expected = len(cache.tokens), len(prepared.caption_image)
        raise ReproError(f"{folder}: caches {found} captions, but {prepared.folder} has {expected}; train it on these")
    clip = read_record(folder)["facts"]["clip"]
    positions = spec["system"].get("compat", {}).get("itm_positions", "right")
    conditioner = ItmText(load_itm(folder), cache, clip_tokenizer(clip, prepared), spec["words"], positions)
    conditioner.reads_any_word = clip["kind"] == "open-clip"
    return conditioner


class CaptionTable(nn.Module):
    """Published embeddings [C, dim] of the captions of ``prepared``, in place of the encoder that computed them, whose
    weights were not published. It can read these captions only."""

    def __init__(self, prepared: Prepared, embeddings: Vectors) -> None:
        super().__init__()
        self.prepared, self.embeddings, self.dim = prepared, embeddings, int(embeddings.shape[1])

    @cached_property
    def rows(self) -> dict[str, int]:
        return {self.prepared.caption(index): index for index in range(len(self.embeddings))}

    def lookup(self, texts: Sequence[str]) -> Tensor:
        """Embeddings [B, dim]. Raises ReproError if a text is not a caption of the dataset."""
        for text in texts:
            if text not in self.rows:
                raise ReproError(
                    f"{text!r}: no caption of {self.prepared.folder}, and the published embeddings are of those alone; "
                    f"to read other sentences, train the encoder (char_cnn_rnn.source: trained)"
                )
        return torch.from_numpy(np.stack([self.embeddings[self.rows[text]] for text in texts]))


class CharCnnRnnText(TextConditioner):
    """Sentences alone. Training reads ``embeddings`` [C, dim], one row for each caption; captions in text form are
    encoded, or looked up. ``train``, ``test``: which of an image's captions are used."""

    words = 1
    reads_any_word = True

    def __init__(self, encoder: CharCnnRnn | CaptionTable, embeddings: Vectors, train: Choice, test: str) -> None:
        self.encoder: CharCnnRnn | CaptionTable = encoder.requires_grad_(False).eval()
        self.dim, self.embeddings, self.train, self.captions = encoder.dim, embeddings, train, test

    def batches(self, prepared: Prepared, spec: dict[str, Any]) -> SentenceBatches:
        return SentenceBatches(
            prepared,
            "train",
            spec["image_size"],
            spec["batch"],
            spec["words"],
            spec["seed"],
            self.embeddings,
            self.train,
            wrong=family_of(spec["system"]).wrong_images,
        )

    def of_batch(self, batch: Batch) -> Text:
        assert isinstance(batch, SentenceBatch)
        return Text.of_sentence(batch.sentence)

    @torch.no_grad()
    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        if isinstance(self.encoder, CaptionTable):
            return Text.of_sentence(self.encoder.lookup([caption.text]).to(device))
        return Text.of_sentence(self.encoder(characters([caption.text]).to(device)))


def load_char_cnn_rnn_text(
    folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None
) -> CharCnnRnnText:
    """From a ``char-cnn-rnn`` artefact. Raises ReproError if its rows are not the captions of ``prepared``."""
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
    if len(embeddings) != len(prepared.caption_image):
        raise ReproError(
            f"{folder / 'embeddings.npy'}: has {len(embeddings)} rows, but {prepared.folder} has "
            f"{len(prepared.caption_image)} captions; train the encoder on the captions of this dataset"
        )
    published = "published" in read_record(folder)["spec"]
    encoder = CaptionTable(prepared, embeddings) if published else load_char_cnn_rnn(folder)
    captions = spec["system"]["captions"]
    return CharCnnRnnText(encoder, embeddings, captions["train"], captions["test"])
