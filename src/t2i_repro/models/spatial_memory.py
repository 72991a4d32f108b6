"""MSMT-GAN's refinement (Sec. 3.2, 3.3): spatial dynamic memory and the iterative multi-headed mechanism.

No code was released. Kernels of 3 and keys of 3 N_r channels are our reading (docs/divergences.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import Form
from t2i_repro.errors import ReproError
from t2i_repro.models.fusion import AdaptiveGate, Fused, StageText


def same_conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    """2d convolution of stride 1 that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)


def cells(features: Tensor, grid: int) -> Tensor:
    """[B, C, s, s] -> [B, grid, grid, p, p, C] with p = s / grid."""
    side = features.shape[2] // grid
    return features.unflatten(3, (grid, side)).unflatten(2, (grid, side)).permute(0, 2, 4, 3, 5, 1)


class SpatialMemory(nn.Module):
    """One refinement head: a memory slot per word *and* cell of a grid x grid map.

    ``forward(previous R_{k-1} [B, C, s, s], source of the query U_{t-1}, words [B, D, L], padding)`` -> refinement
    features O [B, C, s, s] and attention [B, L, s, s].
    """

    def __init__(self, channels: int, text: int, grid: int = 8, kernel: int = 3) -> None:
        super().__init__()
        self.grid = grid
        memory = 2 * channels
        self.gate_words = nn.Linear(text, 1, bias=False)
        self.gate_cells = nn.Parameter(torch.empty(grid, grid, channels))
        self.write_words = nn.Conv1d(text, memory, 1)
        self.write_cells = same_conv(channels, memory, kernel)
        self.key = same_conv(memory, 3 * channels, kernel)
        self.value = same_conv(memory, channels, kernel)
        self.query_global = same_conv(channels, channels, kernel)
        self.query_grid = same_conv(channels, channels, kernel)
        self.query_pixel = same_conv(channels, channels, kernel)
        nn.init.normal_(self.gate_cells, std=channels**-0.5)

    def slots(self, previous: Tensor, words: Tensor) -> Tensor:
        """Eq. (5)-(7): m [B, L, 2C, grid, grid]."""
        if previous.shape[2] % self.grid:
            raise ReproError(
                f"fusion.grid: {self.grid} does not divide the {previous.shape[2]} px of the previous stage; "
                "choose a divisor"
            )
        averages = F.avg_pool2d(previous, previous.shape[2] // self.grid)
        by_cell = torch.einsum("bcij,ijc->bij", averages, self.gate_cells)
        gate = torch.sigmoid(self.gate_words(words.transpose(1, 2))[:, :, :, None] + by_cell[:, None])[:, :, None]
        by_word = self.write_words(words).transpose(1, 2)[:, :, :, None, None]
        return by_word * gate + self.write_cells(averages)[:, None] * (1 - gate)

    def forward(self, previous: Tensor, source: Tensor, words: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, channels, size, _ = source.shape
        grid, side = self.grid, size // self.grid
        memory = self.slots(previous, words)
        length = memory.shape[1]
        encoded = memory.flatten(0, 1)
        # [B, i, j, channel, word]
        keys = self.key(encoded).unflatten(0, (batch, length)).permute(0, 3, 4, 2, 1)
        values = self.value(encoded).unflatten(0, (batch, length)).permute(0, 3, 4, 2, 1)
        # Eq. (8)-(12). q . k is a sum over the three parts of q; the first two are constant within a cell.
        key_global, key_grid, key_pixel = keys.split(channels, dim=3)
        overall = self.query_global(source).mean(dim=(2, 3))
        regional = F.avg_pool2d(self.query_grid(source), side)
        constant = torch.einsum("bc,bijcl->bijl", overall, key_global)
        constant = constant + torch.einsum("bcij,bijcl->bijl", regional, key_grid)
        pixels = cells(self.query_pixel(source), grid).flatten(3, 4)
        scores = pixels @ key_pixel + constant[:, :, :, None]
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, None, None], -torch.inf)
        attention = scores.softmax(dim=4)
        # Eq. (13), (14)
        refined = attention @ values.transpose(3, 4)
        return self._to_map(refined, side), self._to_map(attention, side)

    def _to_map(self, per_cell: Tensor, side: int) -> Tensor:
        """[B, grid, grid, p * p, C] -> [B, C, s, s]; the inverse of ``cells``."""
        return per_cell.unflatten(3, (side, side)).permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


class SpatialMemories(nn.Module):
    """IMHM, Eq. (15), (16): head t looks with U_{t-1}, and U_t = fuse(U_{t-1}, O_t); then fuse(U_T, R_{k-1}).

    With one head U_1 itself is the response (Sec. 3.3). The response stands twice, as in DM-GAN's code.
    """

    def __init__(
        self, channels: int, text: int, heads: int = 6, grid: int = 8, kernel: int = 3, gate: Form = "code"
    ) -> None:
        super().__init__()
        self.channels = 2 * channels
        self.heads = nn.ModuleList(SpatialMemory(channels, text, grid, kernel) for _ in range(heads))
        self.fuses = nn.ModuleList(AdaptiveGate(channels, gate) for _ in range(heads))
        self.skip = AdaptiveGate(channels, gate) if heads > 1 else None

    def forward(self, features: Tensor, text: StageText) -> Fused:
        updated, attentions, refinements = features, [], []
        for head, fuse in zip(self.heads, self.fuses, strict=True):
            refined, attention = head(features, updated, text.words, text.padding)
            updated = fuse(updated, refined)
            attentions.append(attention)
            refinements.append(refined)
        response = updated if self.skip is None else self.skip(updated, features)
        return Fused(torch.cat([response, response], dim=1), attentions, refinements)
