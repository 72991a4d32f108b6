"""Initial stages: from noise and text to the first feature map [B, width, size, size]."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import Form
from t2i_repro.models.fusion import AdaptiveGate
from t2i_repro.models.layers import Glu, up_block


class Condition(NamedTuple):
    """Conditioning augmentation's outcome, each [B, condition]: code = mu + eps * exp(logvar / 2)."""

    code: Tensor
    mu: Tensor
    logvar: Tensor


class ConditioningAugmentation(nn.Module):
    """CA-Net: Linear, GLU, halves mu and log-variance (StackGAN's F^ca as AttnGAN codes it)."""

    def __init__(self, text: int, condition: int) -> None:
        super().__init__()
        self.fc = nn.Linear(text, 4 * condition)

    def forward(self, sentence: Tensor, noise: Tensor) -> Condition:
        """sentence [B, text]; noise [B, condition], standard normal, in eval mode too."""
        mu, logvar = F.glu(self.fc(sentence), dim=1).chunk(2, dim=1)
        return Condition(mu + noise * (0.5 * logvar).exp(), mu, logvar)


def pyramid(width: int, doublings: int) -> nn.Sequential:
    """Up-blocks from width * 2^doublings channels down to ``width``, doubling the map each time."""
    channels = [width << level for level in range(doublings, -1, -1)]
    return nn.Sequential(*(up_block(a, b) for a, b in pairwise(channels)))


class SentenceStage(nn.Module):
    """F_1 of AttnGAN: (c, z) -> Linear, BatchNorm, GLU -> [width * 2^doublings, base, base] -> up-blocks."""

    def __init__(self, width: int, noise: int, condition: int, base_size: int, doublings: int) -> None:
        super().__init__()
        self.base_size = base_size
        units = 2 * (width << doublings) * base_size * base_size
        self.fc = nn.Sequential(nn.Linear(condition + noise, units, bias=False), nn.BatchNorm1d(units), Glu())
        self.upsample = pyramid(width, doublings)

    def forward(self, noise: Tensor, code: Tensor, words: Tensor | None, padding: Tensor | None) -> Tensor:
        """noise [B, noise], code [B, condition] -> [B, width, size, size]; words play no part."""
        features = self.fc(torch.cat([code, noise], dim=1))
        grown: Tensor = self.upsample(features.view(len(features), -1, self.base_size, self.base_size))
        return grown


class NGramStage(nn.Module):
    """MTWIG of MSMT-GAN (Sec. 3.1): one tail per word n-gram, fused from left to right.

    Eq. (2): V is a Conv1d with kernel n = ``ngram`` over (s', z, w_l), without padding: L words make L - n + 1 tails.
    Each tail passes the same BatchNorm, GLU and up-blocks; Eq. (3) fuses them with one shared gate. A tail that
    reaches beyond its caption is not made, so that an image does not depend on how far its batch is padded; a caption
    shorter than n words has one tail, over zeros in place of the missing words.
    """

    def __init__(
        self,
        width: int,
        noise: int,
        condition: int,
        text: int,
        base_size: int,
        doublings: int,
        ngram: int = 3,
        gate: Form = "code",
    ) -> None:
        super().__init__()
        self.base_size, self.ngram = base_size, ngram
        units = 2 * (width << doublings) * base_size * base_size
        self.ngrams = nn.Conv1d(condition + noise + text, units, ngram, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm1d(units), Glu())
        self.upsample = pyramid(width, doublings)
        self.fuse = AdaptiveGate(width, gate)

    def tails(self, noise: Tensor, code: Tensor, words: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """S_t of every tail that exists, [tails, width, size, size], and which those are, bool [B, T] (row-major)."""
        lengths = torch.full_like(words[:, 0, 0], words.shape[2], dtype=torch.long)
        if padding is not None:
            lengths = lengths - padding.sum(1)
            words = words.masked_fill(padding[:, None], 0.0)
        short = max(0, self.ngram - words.shape[2])
        words = F.pad(words, (0, short))
        common = torch.cat([code, noise], dim=1)[:, :, None].expand(-1, -1, words.shape[2])
        sequence = self.ngrams(torch.cat([common, words], dim=1)).transpose(1, 2)
        count = (lengths - self.ngram + 1).clamp(min=1)
        exists = torch.arange(sequence.shape[1], device=words.device) < count[:, None]
        features = self.norm(sequence[exists])
        return self.upsample(features.view(len(features), -1, self.base_size, self.base_size)), exists

    def forward(self, noise: Tensor, code: Tensor, words: Tensor, padding: Tensor | None) -> Tensor:
        """noise [B, noise], code [B, condition], words [B, text, T], padding [B, T] -> R_1 [B, width, size, size]."""
        tails, exists = self.tails(noise, code, words, padding)
        first = exists.long().sum(1).cumsum(0) - exists.long().sum(1)
        fused = tails[first]
        for step in range(1, exists.shape[1]):
            rows = exists[:, step].nonzero().flatten()
            if len(rows) > 0:
                fused = fused.index_copy(0, rows, self.fuse(fused[rows], tails[first[rows] + step]))
        return fused
