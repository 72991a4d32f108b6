"""Bi-LSTM text encoder of AttnGAN, used by SSA-GAN (Sec. 3.1) and DF-GAN."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

INITIAL_RANGE = 0.1


class TextEncoder(nn.Module):
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
