"""Batches for systems on a sentence embedding: an embedding for each image, and a mismatched image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from t2i_repro.core.choices import Choice
from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.char_embeddings import Vectors, choose
from t2i_repro.data.mismatch import Indices, mismatched_images
from t2i_repro.data.prepared import Prepared


@dataclass
class SentenceBatch(Batch):
    sentence: Tensor  # float32 [B, dim]: the sentence embedding of the image
    wrong: Tensor  # float32 [B, 3, S, S] in [-1, 1]: an image of another class for each; [B, 3, 0, 0] without


class SentenceBatches(Batches):
    """``Batches`` with a sentence embedding and a mismatched image for each image, also functions of (seed, step).

    ``embeddings`` [C, dim]: one row for each caption of ``prepared``. ``choice``: the captions whose embedding an image
    gets (`choose`). Mismatched images have random crops and flips of their own.
    """

    def __init__(
        self,
        prepared: Prepared,
        split: str,
        image_size: int,
        batch: int,
        words: int,
        seed: int,
        embeddings: Vectors,
        choice: Choice,
        wrong: bool = True,
    ) -> None:
        super().__init__(prepared, split, image_size, batch, words, seed)
        self.embeddings, self.choice, self.wrong = embeddings, choice, wrong

    def batch(self, step: int) -> SentenceBatch:
        plain = super().batch(step)
        index = plain.image_index.numpy()
        draw = np.random.default_rng(derive_seed(self.seed, self.split, "sentence", step))
        start = self.prepared.caption_start
        chosen = [choose(self.embeddings[start[i] : start[i + 1]], self.choice, draw) for i in index]
        return SentenceBatch(
            **vars(plain),
            sentence=torch.from_numpy(np.stack(chosen).astype(np.float32, copy=False)),
            wrong=self._wrong_images(index, draw),
        )

    def _wrong_images(self, index: Indices, draw: np.random.Generator) -> Tensor:
        if not self.wrong:
            return torch.empty(len(index), 3, 0, 0)
        wrong = mismatched_images(index, self._members, self.prepared.class_ids, draw)
        across, down, flip = draw.random((3, len(index)))
        return self._images(wrong, across, down, flip < 0.5)
