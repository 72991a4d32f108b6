"""Text fusions: how a refinement stage reads the text, one class per equation of a paper.

Each maps (features [B, C, s, s], text) to a ``Fused`` whose features have ``channels`` channels; the stage's blocks
follow. ``padding`` [B, T] is True beyond a caption's length.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import Form, MaskForm
from t2i_repro.errors import ReproError
from t2i_repro.models.layers import conv3x3, glu_block, tile_sentence


@dataclass(frozen=True)
class StageText:
    """Inputs of a stage: words [B, D, T], padding [B, T] or None, sentence [B, D], code [B, cond_dim]."""

    words: Tensor
    padding: Tensor | None
    sentence: Tensor
    code: Tensor


@dataclass(frozen=True)
class Fused:
    """Fused features, attention over words [B, T, s, s] of each head, refinement features O_t [B, C, s, s]."""

    features: Tensor
    attention: list[Tensor] = field(default_factory=list)
    refinements: list[Tensor] = field(default_factory=list)


def masked(scores: Tensor, padding: Tensor | None, form: MaskForm = "right") -> Tensor:
    """Scores [B, T, Q] with -inf at padding.

    ``released``: the authors' mask, which lists rows sample by sample but repeats the batch's masks one after another:
    query q of sample b takes the padding of sample (b Q + q) mod B.
    """
    if padding is None:
        return scores
    if form == "right":
        return scores.masked_fill(padding[:, :, None], -torch.inf)
    batch, _, queries = scores.shape
    owner = torch.arange(batch * queries, device=scores.device).view(batch, queries) % batch
    return scores.masked_fill(padding[owner].transpose(1, 2), -torch.inf)


def attend(
    query: Tensor, keys: Tensor, values: Tensor, padding: Tensor | None, form: MaskForm = "right"
) -> tuple[Tensor, Tensor]:
    """Dot-product attention of every position of ``query`` [B, C, s, s] over T slots, without scaling.

    keys [B, C, T], values [B, V, T] -> context [B, V, s, s], attention [B, T, s, s].
    """
    size = query.shape[2:]
    scores = keys.transpose(1, 2) @ query.flatten(2)
    attention = masked(scores, padding, form).softmax(dim=1)
    return (values @ attention).unflatten(2, size), attention.unflatten(2, size)


class AdaptiveGate(nn.Module):
    """fuse(A, B) of MSMT-GAN Eq. (17), (18), DM-GAN's adaptive gate: g = sigmoid(P [a; b] + rho), a g + b (1 - g).

    ``code``: one g per pixel, as DM-GAN's code has; ``printed``: one per channel, as the product of vectors reads.
    """

    def __init__(self, channels: int, form: Form = "code") -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 1 if form == "code" else channels, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        gate = torch.sigmoid(self.conv(torch.cat([a, b], dim=1)))
        return torch.lerp(b, a, gate.expand_as(a))


class NoFusion(nn.Module):
    """No text: the features concatenated to themselves, so that the stage's blocks keep their width (ours, for
    S->W->I)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = 2 * channels

    def forward(self, features: Tensor, text: StageText) -> Fused:
        return Fused(torch.cat([features, features], dim=1))


class Concatenation(nn.Module):
    """StackGAN++: the code c concatenated at every pixel, c first; then conv3x3, BatchNorm, GLU back to C channels."""

    def __init__(self, channels: int, cond_dim: int) -> None:
        super().__init__()
        self.channels = channels
        self.joint = glu_block(channels + cond_dim, channels)

    def forward(self, features: Tensor, text: StageText) -> Fused:
        return Fused(self.joint(torch.cat([tile_sentence(text.code, features.shape[2:]), features], dim=1)))


class WordAttention(nn.Module):
    """F^attn of AttnGAN: projected words are keys and values; the context is concatenated to the features."""

    def __init__(self, channels: int, text_dim: int, mask: MaskForm = "right") -> None:
        super().__init__()
        self.channels, self.mask = 2 * channels, mask
        self.project = nn.Conv1d(text_dim, channels, 1, bias=False)

    def forward(self, features: Tensor, text: StageText) -> Fused:
        projected = self.project(text.words)
        context, attention = attend(features, projected, projected, text.padding, self.mask)
        return Fused(torch.cat([features, context], dim=1), [attention])


class DynamicMemory(nn.Module):
    """DM-GAN's memory, F^DM of GR-GAN Eq. (2), (5): write by a gate per word, address by pixel, gate the response.

    The ReLUs, the detached mean and the duplicated response are in the released code only. ``gate``: see
    ``AdaptiveGate``; here the gate multiplies the memory's response.
    """

    def __init__(self, channels: int, text_dim: int, mask: MaskForm = "right", gate: Form = "code") -> None:
        super().__init__()
        self.channels, self.mask = 2 * channels, mask
        memory = 2 * channels
        self.gate_words = nn.Linear(text_dim, 1, bias=False)
        self.gate_image = nn.Linear(channels, 1, bias=False)
        self.write_words = nn.Sequential(nn.Conv1d(text_dim, memory, 1), nn.ReLU())
        self.write_image = nn.Sequential(nn.Conv1d(channels, memory, 1), nn.ReLU())
        self.key = nn.Sequential(nn.Conv1d(memory, channels, 1), nn.ReLU())
        self.value = nn.Sequential(nn.Conv1d(memory, channels, 1), nn.ReLU())
        self.response = nn.Conv2d(2 * channels, 1 if gate == "code" else channels, 1)

    def slots(self, features: Tensor, words: Tensor) -> Tensor:
        """Memory m_l [B, 2C, T]."""
        mean = features.mean(dim=(2, 3)).detach()
        gate = torch.sigmoid(self.gate_words(words.transpose(1, 2)).transpose(1, 2) + self.gate_image(mean)[:, :, None])
        return self.write_words(words) * gate + self.write_image(mean[:, :, None]) * (1 - gate)

    def forward(self, features: Tensor, text: StageText) -> Fused:
        memory = self.slots(features, text.words)
        answer, attention = attend(features, self.key(memory), self.value(memory), text.padding, self.mask)
        gate = torch.sigmoid(self.response(torch.cat([features, answer], dim=1)))
        response = features * (1 - gate) + answer * gate
        return Fused(torch.cat([response, response], dim=1), [attention], [answer])


class ModulatedBlock(nn.Module):
    """Block of attention modulation (MS-GAN, ICSD-GAN Table 1). Only its outline is known; its inside is our design.

    Known: convolution blocks "modulated by both globally and locally attended features calculated between the output
    image and the text" (abstract of MS-GAN), in place of AttnGAN's residual blocks, N_AM of them (ICSD-GAN Sec. 4.1).

    h + conv3x3(GLU(BN(conv3x3(BN(h) (1 + gamma) + beta)))), gamma and beta from 1x1 convolutions of [local; global].

    local: words attended by each position of h; global: the sentence, at each position as far as it agrees with h,
    sigmoid(<h, s> / sqrt(C)).
    """

    def __init__(self, channels: int, text_dim: int, mask: MaskForm = "right") -> None:
        super().__init__()
        self.mask = mask
        self.words = nn.Conv1d(text_dim, channels, 1, bias=False)
        self.sentence = nn.Linear(text_dim, channels, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = nn.Conv2d(2 * channels, channels, 1)
        self.beta = nn.Conv2d(2 * channels, channels, 1)
        self.layers = nn.Sequential(*glu_block(channels, channels), conv3x3(channels, channels))

    def forward(self, features: Tensor, text: StageText) -> Tensor:
        words = self.words(text.words)
        local, _ = attend(features, words, words, text.padding, self.mask)
        sentence = self.sentence(text.sentence)[:, :, None, None]
        agreement = torch.sigmoid((features * sentence).sum(1, keepdim=True) * features.shape[1] ** -0.5)
        attended = torch.cat([local, sentence * agreement], dim=1)
        modulated = torch.addcmul(self.beta(attended), self.norm(features), 1 + self.gamma(attended))
        return features + self.layers(modulated)


class AttentionModulation(nn.Module):
    """ICSD-GAN Table 1, G_1 and G_2: Attn, Concat, then ``blocks`` AM blocks."""

    def __init__(self, channels: int, text_dim: int, blocks: int = 1, mask: MaskForm = "right") -> None:
        super().__init__()
        self.attention = WordAttention(channels, text_dim, mask)
        self.channels = self.attention.channels
        self.blocks = nn.ModuleList(ModulatedBlock(self.channels, text_dim, mask) for _ in range(blocks))

    def forward(self, features: Tensor, text: StageText) -> Fused:
        fused: Fused = self.attention(features, text)
        features = fused.features
        for block in self.blocks:
            features = block(features, text)
        return Fused(features, fused.attention)


def same_conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    """2d convolution of stride 1 that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)


def cells(features: Tensor, grid: int) -> Tensor:
    """[B, C, s, s] -> [B, grid, grid, p, p, C] with p = s / grid."""
    side = features.shape[2] // grid
    return features.unflatten(3, (grid, side)).unflatten(2, (grid, side)).permute(0, 2, 4, 3, 5, 1)


class SpatialMemory(nn.Module):
    """One refinement head of MSMT-GAN (Sec. 3.2): a memory slot per word *and* cell of a grid x grid map.

    No code was released. Kernels of 3 and keys of 3 N_r channels are our reading (docs/divergences.md).

    ``forward(previous R_{k-1} [B, C, s, s], source of the query U_{t-1}, words [B, D, L], padding)`` -> refinement
    features O [B, C, s, s] and attention [B, L, s, s].
    """

    def __init__(self, channels: int, text_dim: int, grid: int = 8, kernel: int = 3) -> None:
        super().__init__()
        self.grid = grid
        memory = 2 * channels
        self.gate_words = nn.Linear(text_dim, 1, bias=False)
        self.gate_cells = nn.Parameter(torch.empty(grid, grid, channels))
        self.write_words = nn.Conv1d(text_dim, memory, 1)
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
    """IMHM, MSMT-GAN Eq. (15), (16): head t queries with U_{t-1}, and U_t = fuse(U_{t-1}, O_t); then
    fuse(U_T, R_{k-1}).

    With one head U_1 itself is the response (Sec. 3.3). The response is duplicated, as in DM-GAN's code.
    """

    def __init__(
        self, channels: int, text_dim: int, heads: int = 6, grid: int = 8, kernel: int = 3, gate: Form = "code"
    ) -> None:
        super().__init__()
        self.channels = 2 * channels
        self.heads = nn.ModuleList(SpatialMemory(channels, text_dim, grid, kernel) for _ in range(heads))
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
