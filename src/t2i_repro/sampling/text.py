"""What generators read of captions: one type for words and sentences, one side for each text encoder.

A ``TextSide`` turns a batch of training, or captions given as text, into a ``Text``. Its kinds stand in ``LOADERS``,
by the kind of artefact they come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.base import Text
from t2i_repro.models.encoders.damsm_text import TextEncoder


def joined(texts: Sequence[Text], words: int) -> Text:
    """Captions that were encoded one by one as one ``Text`` of ``words`` positions, whatever their lengths."""
    padded = [nn.functional.pad(text.words, (0, words - text.words.shape[2])) for text in texts]
    lengths = torch.cat([text.lengths for text in texts])
    padding = [nn.functional.pad(text.padding, (0, words - text.padding.shape[1]), value=True) for text in texts]
    return Text(torch.cat(padded), torch.cat([text.sentence for text in texts]), lengths, torch.cat(padding))


@dataclass(frozen=True)
class Caption:
    """A caption to paint: as it is written, and the numbers of its words, no more than a system reads."""

    text: str
    tokens: npt.NDArray[np.int64]


class TextSide:
    """A text encoder as systems use it. ``words``: positions of the ``Text`` of captions, the same for all of them."""

    dim: int
    words: int
    encoder: nn.Module
    captions: str = "random"  # which of an image's captions are sampled: random | first
    reads_any_word: bool = False  # or only words of the data's vocabulary

    def batches(self, prepared: Prepared, spec: dict[str, Any]) -> Batches:
        """The batches of a ``train`` spec."""
        return Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])

    def of_batch(self, batch: Batch) -> Text:
        """Of a batch of training, on its device, without gradients."""
        raise NotImplementedError

    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        """Of one caption, alone: among others the last bits would depend on them."""
        raise NotImplementedError

    def of_captions(self, captions: Sequence[Caption], device: torch.device) -> Text:
        return joined([self.of_caption(caption, device) for caption in captions], self.words)

    def image_encoder(self) -> nn.Module | None:
        """The image side of the same space, for matching losses; None where there is none."""
        return None

    def to(self, device: torch.device) -> "TextSide":
        self.encoder.to(device)
        return self


class DamsmText(TextSide):
    """The bi-LSTM of a DAMSM; ``folder`` is the artefact that holds its image side."""

    def __init__(self, encoder: TextEncoder, words: int, folder: Path | None = None) -> None:
        self.encoder: TextEncoder = encoder
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
        from t2i_repro.models.encoders.loading import load_image_encoder

        return None if self.folder is None else load_image_encoder(self.folder)
