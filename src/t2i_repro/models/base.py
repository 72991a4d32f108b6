"""What all generators share: the text that conditions them, their noise and their outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import Form
from t2i_repro.losses.matching import padding_mask
from t2i_repro.models.family import family_of


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
    """A generator of images from noise and text. Subclasses define ``outputs``.

    ``noise_dim``: length of the noise vector, which holds everything that is random in an image. Its first ``z_dim``
    entries are z (default: all of them), the others epsilon of conditioning augmentation. ``text_dim``: D of ``Text``.
    """

    def __init__(self, noise_dim: int, text_dim: int, z_dim: int | None = None) -> None:
        super().__init__()
        self.noise_dim, self.text_dim = noise_dim, text_dim
        self.z_dim = noise_dim if z_dim is None else z_dim

    def draw_noise(self, batch: int, device: torch.device | str | None = None) -> Tensor:
        """N(0, 1), [batch, noise_dim], from the default random stream of ``device``."""
        return torch.randn(batch, self.noise_dim, device=device)

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        """Every image and mask that the generator computes from noise [B, noise_dim] and text."""
        raise NotImplementedError


def sizes(system: Mapping[str, Any], **arguments: str) -> dict[str, Any]:
    """Arguments of a constructor from optional keys of a system, or from the defaults that its family declares:
    ``sizes(system, latent="z_dim")`` is {"z_dim": system["latent"]} where the system has that key."""
    family = family_of(system)
    return {argument: system.get(key, family.default(key)) for key, argument in arguments.items()}
