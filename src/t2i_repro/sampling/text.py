"""Text conditioning: what turns captions into the ``Text`` that a generator is conditioned on.

Every text encoder has a ``TextConditioner`` (conditioners.py), which reads a training batch or captions in text form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.base import Text


@dataclass(frozen=True)
class Caption:
    """A caption as written, and its word indices [T], at most as many as a system reads."""

    text: str
    tokens: npt.NDArray[np.int64]


class TextConditioner:
    """A text encoder as systems use it.

    ``dim``: D of its ``Text``. ``words``: T of the ``Text`` of captions, the same for all of them. ``captions``: which
    of an image's captions are sampled, ``random`` or ``first``. ``reads_any_word``: whether captions may have words
    outside of the data's vocabulary.
    """

    dim: int
    words: int
    encoder: nn.Module
    captions: str = "random"
    reads_any_word: bool = False

    def batches(self, prepared: Prepared, spec: dict[str, Any]) -> Batches:
        """The training batches of a ``train`` spec."""
        return Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])

    def of_batch(self, batch: Batch) -> Text:
        """Encode the captions of a training batch, on its device, without gradients."""
        raise NotImplementedError

    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        """Encode one caption alone: in a batch, its last bits would depend on the other captions."""
        raise NotImplementedError

    def of_captions(self, captions: Sequence[Caption], device: torch.device) -> Text:
        return pad_and_stack([self.of_caption(caption, device) for caption in captions], self.words)

    def image_encoder(self) -> nn.Module | None:
        """The image encoder of the same space, for matching losses; None if there is none.

        It maps images [B, 3, s, s] in [-1, 1] to regions [B, D, h, w] and embeddings [B, D]. The caller freezes what
        does not train.
        """
        return None

    def to(self, device: torch.device) -> "TextConditioner":
        self.encoder.to(device)
        return self


def pad_and_stack(texts: Sequence[Text], words: int) -> Text:
    """Captions that were encoded one by one, as one ``Text`` of ``words`` positions."""
    padded = [nn.functional.pad(text.words, (0, words - text.words.shape[2])) for text in texts]
    lengths = torch.cat([text.lengths for text in texts])
    padding = [nn.functional.pad(text.padding, (0, words - text.padding.shape[1]), value=True) for text in texts]
    return Text(torch.cat(padded), torch.cat([text.sentence for text in texts]), lengths, torch.cat(padding))
