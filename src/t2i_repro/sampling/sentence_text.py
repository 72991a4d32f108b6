"""The text side of the systems on char-CNN-RNN embeddings."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from t2i_repro.core.record import read_record
from t2i_repro.data.batches import Batch
from t2i_repro.data.char_embeddings import Choice, Vectors
from t2i_repro.data.prepared import Prepared
from t2i_repro.data.sentence_batches import SentenceBatch, SentenceBatches
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Text
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters
from t2i_repro.models.state import load_weights
from t2i_repro.sampling.text import Caption, TextSide

UNMATCHED = ("multi-stage",)  # kinds of systems that read no wrong images of their own


class CaptionTable(nn.Module):
    """Published embeddings [C, dim] of the captions of ``prepared``, in the place of the encoder that made them, whose
    weights nobody has: it reads these captions and no others."""

    def __init__(self, prepared: Prepared, embeddings: Vectors) -> None:
        super().__init__()
        self.prepared, self.embeddings, self.dim = prepared, embeddings, int(embeddings.shape[1])

    @cached_property
    def rows(self) -> dict[str, int]:
        return {self.prepared.caption(number): number for number in range(len(self.embeddings))}

    def read(self, texts: Sequence[str]) -> Tensor:
        """Embeddings [B, dim]. Raises ReproError where a text is no caption of the dataset."""
        for text in texts:
            if text not in self.rows:
                raise ReproError(
                    f"{text!r}: no caption of {self.prepared.folder}, and the published embeddings are of those alone; "
                    f"to read other sentences, train the encoder (char_cnn_rnn.source: trained)"
                )
        return torch.from_numpy(np.stack([self.embeddings[self.rows[text]] for text in texts]))


class CharCnnRnnText(TextSide):
    """Sentences alone. Training reads ``embeddings`` [C, dim], one row for each caption; captions given as text are
    encoded, or looked up. ``train``, ``test``: which of an image's captions stand for it."""

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
            wrong=spec["system"]["kind"] not in UNMATCHED,
        )

    def of_batch(self, batch: Batch) -> Text:
        assert isinstance(batch, SentenceBatch)
        return Text.of_sentence(batch.sentence)

    @torch.no_grad()
    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        if isinstance(self.encoder, CaptionTable):
            return Text.of_sentence(self.encoder.read([caption.text]).to(device))
        return Text.of_sentence(self.encoder(characters([caption.text]).to(device)))


def load_char_cnn_rnn(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None) -> TextSide:
    """From a ``char-cnn-rnn`` artefact. Raises ReproError where its rows are not the captions of ``prepared``."""
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
    if len(embeddings) != len(prepared.caption_image):
        raise ReproError(
            f"{folder / 'embeddings.npy'}: has {len(embeddings)} rows, but {prepared.folder} has "
            f"{len(prepared.caption_image)} captions; train the encoder on the captions of this dataset"
        )
    known = read_record(folder)["spec"]
    encoder: CharCnnRnn | CaptionTable
    if "published" in known:
        encoder = CaptionTable(prepared, embeddings)
    else:
        encoder = CharCnnRnn(known["dim"], known["width"])
        load_weights(encoder, folder / "encoder.pt")
    captions = spec["system"]["captions"]
    return CharCnnRnnText(encoder, embeddings, captions["train"], captions["test"])
