"""Text fusions: how a refinement stage meets the text, one class per paper's equation.

Each maps (features [B, C, s, s], text) to a ``Fused`` whose features have ``channels`` channels; the stage's blocks
follow. ``padding`` [B, T] is True beyond a caption's length.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import Form
from t2i_repro.models.blocks import tile_sentence
from t2i_repro.models.layers import glu_block

MaskForm = Literal["right", "released"]
MASK_FORMS: tuple[MaskForm, ...] = ("right", "released")


@dataclass(frozen=True)
class StageText:
    """What a stage reads: words [B, D, T], padding [B, T] or None, sentence [B, D], code [B, condition]."""

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
    """No text: the features beside themselves, so that the stage's blocks keep their width (ours, for S->W->I)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = 2 * channels

    def forward(self, features: Tensor, text: StageText) -> Fused:
        return Fused(torch.cat([features, features], dim=1))


class Concatenation(nn.Module):
    """StackGAN++: the code c beside every pixel, c first, then conv3x3, BatchNorm, GLU back to C channels."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.channels = channels
        self.joint = glu_block(channels + condition, channels)

    def forward(self, features: Tensor, text: StageText) -> Fused:
        return Fused(self.joint(torch.cat([tile_sentence(text.code, features.shape[2:]), features], dim=1)))


class WordAttention(nn.Module):
    """F^attn of AttnGAN: projected words are keys and values; the context stands beside the features."""

    def __init__(self, channels: int, text: int, mask: MaskForm = "right") -> None:
        super().__init__()
        self.channels, self.mask = 2 * channels, mask
        self.project = nn.Conv1d(text, channels, 1, bias=False)

    def forward(self, features: Tensor, text: StageText) -> Fused:
        projected = self.project(text.words)
        context, attention = attend(features, projected, projected, text.padding, self.mask)
        return Fused(torch.cat([features, context], dim=1), [attention])


class DynamicMemory(nn.Module):
    """DM-GAN's memory, F^DM of GR-GAN Eq. (2), (5): write by a gate per word, address by pixel, gate the response.

    The ReLUs, the detached mean and the response twice over are in the released code alone. ``gate``: see
    ``AdaptiveGate``; here the gate multiplies the memory's answer.
    """

    def __init__(self, channels: int, text: int, mask: MaskForm = "right", gate: Form = "code") -> None:
        super().__init__()
        self.channels, self.mask = 2 * channels, mask
        memory = 2 * channels
        self.gate_words = nn.Linear(text, 1, bias=False)
        self.gate_image = nn.Linear(channels, 1, bias=False)
        self.write_words = nn.Sequential(nn.Conv1d(text, memory, 1), nn.ReLU())
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
