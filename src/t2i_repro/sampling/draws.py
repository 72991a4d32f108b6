"""The inputs of a sample: a caption and a noise vector for each image, functions of (seed, image index) alone."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from t2i_repro.core.choices import TEST_CHOICES, check_choice
from t2i_repro.core.digest import derive_seed
from t2i_repro.data.prepared import Prepared
from t2i_repro.sampling.text import Caption


class CaptionSampler:
    """Captions of a split and noise, for a sequence of images of any length.

    The sequence passes over the images of the split repeatedly, each time in a new random order, so that every image
    counts equally, as in the papers. An image contributes one of its captions at random, or always the ``first``.
    ``words``: a longer caption is reduced to a random ordered subset of so many words, as the authors' loaders do at
    test time too.
    """

    def __init__(self, prepared: Prepared, split: str, words: int, seed: int, captions: str = "random") -> None:
        check_choice("captions", captions, TEST_CHOICES)
        self.prepared, self.words, self.seed, self.captions = prepared, words, seed, captions
        self._members = prepared.splits[split]
        self._pass: tuple[int, npt.NDArray[np.int64]] = (-1, self._members)

    def _stream(self, purpose: str, index: int) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.seed, purpose, index))

    def caption_id(self, index: int) -> int:
        """Index, in the prepared data, of the caption of image ``index``."""
        number, position = divmod(index, len(self._members))
        if self._pass[0] != number:
            self._pass = (number, self._stream("pass", number).permutation(self._members))
        captions = self.prepared.caption_ids(int(self._pass[1][position]))
        return captions[0] if self.captions == "first" else int(self._stream("caption", index).choice(captions))

    def caption(self, index: int) -> Caption:
        return Caption(self.prepared.caption(self.caption_id(index)), self.tokens(index))

    def tokens(self, index: int) -> npt.NDArray[np.int64]:
        """Word indices of that caption, at most ``words`` of them."""
        tokens = self.prepared.tokens(self.caption_id(index))
        if len(tokens) > self.words:
            kept = self._stream("words", index).permutation(len(tokens))[: self.words]
            tokens = tokens[np.sort(kept)]
        return tokens

    def noise(self, index: int, noise_dim: int) -> npt.NDArray[np.float32]:
        """N(0, 1), [noise_dim]."""
        return self._stream("noise", index).standard_normal(noise_dim, dtype=np.float32)

    def inputs(self, indices: Sequence[int], noise_dim: int) -> tuple[list[Caption], npt.NDArray[np.float32]]:
        """Captions and noise [B, noise_dim] of several images."""
        return [self.caption(i) for i in indices], np.stack([self.noise(i, noise_dim) for i in indices])
