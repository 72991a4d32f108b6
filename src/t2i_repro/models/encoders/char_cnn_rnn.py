"""Char-CNN-RNN: the 1024-d sentence embedding of GAN-INT-CLS, StackGAN and HDGAN (Reed et al., CVPR 2016)."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.errors import ReproError

# As released, '-' twice: its later position counts, so one of the 70 columns is never used.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
LENGTH = 201
KERNEL = 4
POOL = 3
_POSITIONS = {symbol: index for index, symbol in enumerate(ALPHABET)}


def characters(texts: Iterable[str], length: int = LENGTH) -> Tensor:
    """Captions as int64 [B, length]: a symbol's index in the alphabet, -1 for any other character and at the end.

    Lower-cased and cut off at ``length`` characters.
    """
    texts = list(texts)
    indices = np.full((len(texts), length), -1, dtype=np.int64)
    for row, text in enumerate(texts):
        known = [_POSITIONS.get(symbol, -1) for symbol in text.lower()[:length]]
        indices[row, : len(known)] = known
    return torch.from_numpy(indices)


def one_hot(indices: Tensor) -> Tensor:
    """[B, length] of ``characters`` to float [B, 70, length]; a column of zeros where there is no symbol."""
    columns = F.one_hot(indices.clamp(min=0), len(ALPHABET)) * (indices >= 0).unsqueeze(-1)
    return columns.transpose(1, 2).to(torch.get_default_dtype())


class GatedRecurrence(nn.Module):
    """The GRU of the released encoder: h = z * candidate + (1 - z) * h_before, each gate with a bias for the input
    and one for the state. The first step is tanh(W x + b) alone.

    The reset gate acts on the state before its product with the weights (torch's GRU: after), our reading: parameter
    counts agree either way. ``forward(steps [B, T, channels])`` -> states [B, T, hidden].
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.update_input, self.update_state = nn.Linear(channels, hidden), nn.Linear(hidden, hidden)
        self.reset_input, self.reset_state = nn.Linear(channels, hidden), nn.Linear(hidden, hidden)
        self.candidate_input, self.candidate_state = nn.Linear(channels, hidden), nn.Linear(hidden, hidden)

    def forward(self, steps: Tensor) -> Tensor:
        update, reset, candidate = self.update_input(steps), self.reset_input(steps), self.candidate_input(steps)
        state = torch.tanh(candidate[:, 0])
        states = [state]
        for step in range(1, steps.shape[1]):
            gate = torch.sigmoid(update[:, step] + self.update_state(state))
            kept = torch.sigmoid(reset[:, step] + self.reset_state(state)) * state
            proposed = torch.tanh(candidate[:, step] + self.candidate_state(kept))
            state = gate * proposed + (1 - gate) * state
            states.append(state)
        return torch.stack(states, dim=1)


class CharCnnRnn(nn.Module):
    """Characters to a sentence embedding: 201 symbols, three convolutions and two poolings, 18 recurrent steps, their
    mean, one linear layer.

    ``forward(indices int64 [B, length])`` of ``characters`` -> [B, dim]. 4,045,184 parameters at the sizes of the CUB
    file (gru18, 1024); widths scale with ``width`` (512).
    """

    def __init__(self, dim: int = 1024, width: int = 512, length: int = LENGTH) -> None:
        super().__init__()
        self.dim, self.length = dim, length
        first = width * 3 // 4
        self.convolutions = nn.Sequential(
            nn.Conv1d(len(ALPHABET), first, KERNEL),
            nn.ReLU(),
            nn.MaxPool1d(POOL, POOL),
            nn.Conv1d(first, width, KERNEL),
            nn.ReLU(),
            nn.MaxPool1d(POOL, POOL),
            nn.Conv1d(width, width, KERNEL),
            nn.ReLU(),
        )
        self.recurrence = GatedRecurrence(width, width)
        self.project = nn.Linear(width, dim)

    def forward(self, indices: Tensor) -> Tensor:
        if indices.shape[1] != self.length:
            raise ReproError(f"captions of {indices.shape[1]} characters; this encoder takes {self.length}")
        steps = self.convolutions(one_hot(indices).to(self.project.weight.dtype)).transpose(1, 2)
        return self.project(self.recurrence(steps).mean(dim=1))
