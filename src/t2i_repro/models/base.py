"""What every generator shares: the text it is conditioned on, its noise and its outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import Form
from t2i_repro.losses.matching import padding_mask


@dataclass(frozen=True)
class Text:
    """Encoded captions: words [B, D, T], sentence [B, D], lengths [B] in 1..T, padding bool [B, T].

    ``padding`` is True beyond a caption's length; ``of`` derives it from the lengths. With an encoder of sentences
    alone, the sentence is the only word.
    """

    words: Tensor
    sentence: Tensor
    lengths: Tensor
    padding: Tensor

    @classmethod
    def of(cls, words: Tensor, sentence: Tensor, lengths: Tensor) -> "Text":
        return cls(words, sentence, lengths, padding_mask(lengths, words.shape[2]))

    @classmethod
    def of_sentence(cls, sentence: Tensor) -> "Text":
        return cls.of(
            sentence[:, :, None], sentence, torch.ones(len(sentence), dtype=torch.int64, device=sentence.device)
        )

    def mean_word(self, form: Form = "code") -> Tensor:
        """[B, D]: mean over all T positions, padding included (``code``), or over the caption's words (``printed``)."""
        if form == "code":
            return self.words.mean(2)
        own = ~self.padding[:, None]
        return (self.words * own).sum(2) / own.sum(2)

    def rows(self, rows: Sequence[int]) -> "Text":
        index = list(rows)
        return Text(self.words[index], self.sentence[index], self.lengths[index], self.padding[index])


@dataclass(frozen=True)
class GeneratorOutput:
    """Images [B, 3, s, s] in [-1, 1], small to large, and masks [B, 1, s, s] in [0, 1], shallow to deep, if any."""

    images: list[Tensor]
    masks: list[Tensor] = field(default_factory=list)


class Generator(nn.Module):
    """A generator of images from noise and text. Subclasses set ``noise_dim`` and ``text_dim`` and define ``outputs``.

    ``noise_dim``: length of the noise vector, which holds all that is random in an image; ``text_dim``: D of ``Text``.
    """

    noise_dim: int
    text_dim: int

    @property
    def z_dim(self) -> int:
        """Leading entries of the noise that are z; the rest is the epsilon of conditioning augmentation. Default: all
        of them."""
        return self.noise_dim

    def draw_noise(self, batch: int, device: torch.device | str | None = None) -> Tensor:
        """N(0, 1), [batch, noise_dim], from the default random stream of ``device``."""
        return torch.randn(batch, self.noise_dim, device=device)

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        """Every image and mask that the generator computes from noise [B, noise_dim] and text."""
        raise NotImplementedError
