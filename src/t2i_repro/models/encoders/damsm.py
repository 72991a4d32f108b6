"""Encoders of DAMSM: AttnGAN's bi-LSTM for captions (used by SSA-GAN, Sec. 3.1, and DF-GAN), and for images a frozen
backbone with two trainable projections into the same space."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from t2i_repro.core.choices import BATCH_NORM_MODES, BatchNormMode, check_choice
from t2i_repro.models.encoders.backbone import Backbone

INITIAL_RANGE = 0.1


class DamsmTextEncoder(nn.Module):
    """Captions to word features and a sentence vector.

    ``vocabulary`` counts the padding entry 0. ``forward(tokens int64 [B, T], lengths int64 [B] in 1..T)``,
    in any order of lengths -> words [B, 2 * hidden, T], the hidden states of both directions, zero beyond a
    caption's length; sentence [B, 2 * hidden], the last hidden state of each direction. Dropout acts on the
    embeddings in training mode. Embeddings start from U(-0.1, 0.1), the LSTM from torch's default.
    """

    def __init__(self, vocabulary: int, embedding: int = 300, hidden: int = 128, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim = 2 * hidden
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True, bidirectional=True)
        nn.init.uniform_(self.embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        embedded = self.dropout(self.embedding(tokens))
        # pack_padded_sequence wants the lengths on the CPU whatever the device of the captions.
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        words, _ = pad_packed_sequence(states, batch_first=True, total_length=tokens.shape[1])
        return words.transpose(1, 2), torch.cat([last[0], last[1]], dim=1)


class DamsmImageEncoder(nn.Module):
    """Images [B, 3, s, s] in [-1, 1] -> regions [B, dim, 17, 17] and an embedding [B, dim] (SSA-GAN
    Eq. 8).

    The backbone's parameters never take a gradient; gradients do flow through it to the images.
    ``batch_norm``: ``frozen`` always keeps the backbone in eval mode; ``batch`` is the released behaviour, where
    ``train()`` also reaches the backbone, so that its BatchNorm uses batch statistics and its running statistics drift.
    """

    def __init__(self, backbone: Backbone, dim: int = 256, batch_norm: BatchNormMode = "frozen") -> None:
        super().__init__()
        check_choice("batch_norm", batch_norm, BATCH_NORM_MODES)
        self.dim, self.batch_norm = dim, batch_norm
        self.trunk = backbone.requires_grad_(False)
        self.project_regions = nn.Conv2d(backbone.region_channels, dim, 1, bias=False)
        self.project_code = nn.Linear(backbone.pooled_channels, dim)
        for projection in (self.project_regions, self.project_code):
            nn.init.uniform_(projection.weight, -INITIAL_RANGE, INITIAL_RANGE)
        self.train(self.training)

    def train(self, mode: bool = True) -> "DamsmImageEncoder":
        super().train(mode)
        if self.batch_norm == "frozen":
            self.trunk.eval()
        return self

    def head_parameters(self) -> list[nn.Parameter]:
        """The trainable parameters: both projections."""
        return [*self.project_regions.parameters(), *self.project_code.parameters()]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions, pooled = self.trunk(images)
        return self.project_regions(regions), self.project_code(pooled)
