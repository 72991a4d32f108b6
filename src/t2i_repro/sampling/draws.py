"""What image number i is made from: a caption and a noise vector, functions of (seed, i) and nothing else."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from t2i_repro.core.choices import check_choice
from t2i_repro.core.digest import derive_seed
from t2i_repro.data.prepared import Prepared
from t2i_repro.sampling.text import Caption


class Draws:
    """Captions of a split for a sequence of images of any length.

    Images go through the split once per pass, in an order drawn for the pass, so that every image counts equally, as
    in the papers' repeated passes over the test set; each time with one of its captions at random, or always with the
    ``first``. ``words``: a longer caption keeps a random ordered subset of so many words, as the authors' loaders do at
    test time too.
    """

    def __init__(self, prepared: Prepared, split: str, words: int, seed: int, captions: str = "random") -> None:
        check_choice("captions", captions, ("random", "first"))
        self.prepared, self.words, self.seed, self.captions = prepared, words, seed, captions
        self._members = prepared.splits[split]
        self._pass: tuple[int, npt.NDArray[np.int64]] = (-1, self._members)

    def _stream(self, purpose: str, number: int) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.seed, purpose, number))

    def caption_id(self, index: int) -> int:
        """Number of the caption of image ``index`` in the prepared data."""
        number, place = divmod(index, len(self._members))
        if self._pass[0] != number:
            self._pass = (number, self._stream("pass", number).permutation(self._members))
        captions = self.prepared.caption_ids(int(self._pass[1][place]))
        return captions[0] if self.captions == "first" else int(self._stream("caption", index).choice(captions))

    def caption(self, index: int) -> Caption:
        return Caption(self.prepared.caption(self.caption_id(index)), self.tokens(index))

    def tokens(self, index: int) -> npt.NDArray[np.int64]:
        """Word numbers of that caption, at most ``words`` of them."""
        tokens = self.prepared.tokens(self.caption_id(index))
        if len(tokens) > self.words:
            kept = self._stream("words", index).permutation(len(tokens))[: self.words]
            tokens = tokens[np.sort(kept)]
        return tokens

    def noise(self, index: int, length: int) -> npt.NDArray[np.float32]:
        """z ~ N(0, 1), [length]."""
        return self._stream("noise", index).standard_normal(length, dtype=np.float32)

    def inputs(self, indices: Sequence[int], length: int) -> tuple[list[Caption], npt.NDArray[np.float32]]:
        """Captions and noise [B, length] of several images."""
        return [self.caption(i) for i in indices], np.stack([self.noise(i, length) for i in indices])
