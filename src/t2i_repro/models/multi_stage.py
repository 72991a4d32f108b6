"""Multi-stage generators: StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN, ICSD-GAN from one list of stages.

The list *is* the architecture. Complete systems with the papers' widths: ``papers/*.yaml``.
The keys that shape the generator (those of discriminators: ``stage_discriminators``; of losses:
``training.multi_stage``):

    kind: multi-stage
    encoder: damsm            # damsm | itm | char-cnn-rnn: who makes words, sentence and the matching losses
    width: 64                 # channels of every stage's map (N_r); `concatenation` halves it at each stage
    noise: 100                # z
    condition: 100            # conditioning augmentation
    residual: 2               # residual blocks of each refinement stage
    stages:
      - {initial: {kind: sentence}, ...}                          # first stage: sentence | n-gram (MTWIG; ngram: 3)
      - {fusion: {kind: dynamic-memory}, text: words, ...}        # the others
    switches: {gate: code}                    # code: one gate per pixel | printed: one per channel
    compat: {attention_mask: right}           # right | released

fusion.kind: none | concatenation | attention | dynamic-memory | spatial-memory (heads, grid, kernel) |
attention-modulation (blocks). ``text`` of a stage: ``words``, or ``sentence`` for GR-GAN's S stage, where one
sentence vector takes the words' place. The last stage generates ``image_size``, each one before it half of the next.

    AttnGAN     attention; attention                       StackGAN++  concatenation; concatenation
    DM-GAN      dynamic-memory; dynamic-memory             MSMT-GAN    n-gram; spatial-memory x 6 heads, twice
    GR-GAN      I-S-W: dynamic-memory on the sentence, then on words; I-W-S the reverse; S-W-I: words, then none
    MS-GAN, ICSD-GAN   attention-modulation; attention-modulation
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, FUSIONS, INITIALS, MASK_FORMS, ROLES, Form, MaskForm, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Generator, GeneratorOutput, Text
from t2i_repro.models.fusion import (
    AdaptiveGate,
    AttentionModulation,
    Concatenation,
    DynamicMemory,
    Fused,
    NoFusion,
    SpatialMemories,
    StageText,
    WordAttention,
)
from t2i_repro.models.layers import Glu, ResidualBlock, doublings, initialise_orthogonal, to_rgb, up_block


class Condition(NamedTuple):
    """Output of conditioning augmentation, each [B, cond_dim]: code = mu + eps * exp(logvar / 2)."""

    code: Tensor
    mu: Tensor
    logvar: Tensor


class ConditioningAugmentation(nn.Module):
    """CA-Net: Linear, GLU, halves mu and log-variance (StackGAN's F^ca as AttnGAN codes it)."""

    def __init__(self, text_dim: int, cond_dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(text_dim, 4 * cond_dim)

    def forward(self, sentence: Tensor, noise: Tensor) -> Condition:
        """sentence [B, text_dim]; noise [B, cond_dim], standard normal, in eval mode too."""
        mu, logvar = F.glu(self.fc(sentence), dim=1).chunk(2, dim=1)
        return Condition(mu + noise * (0.5 * logvar).exp(), mu, logvar)


def up_blocks(width: int, doublings: int) -> nn.Sequential:
    """Up-blocks from width * 2^doublings channels down to ``width``, doubling the map each time."""
    channels = [width << level for level in range(doublings, -1, -1)]
    return nn.Sequential(*(up_block(a, b) for a, b in pairwise(channels)))


class SentenceStage(nn.Module):
    """F_1 of AttnGAN: (c, z) -> Linear, BatchNorm, GLU -> [width * 2^doublings, base, base] -> up-blocks."""

    def __init__(self, width: int, noise_dim: int, cond_dim: int, base_size: int, doublings: int) -> None:
        super().__init__()
        self.base_size = base_size
        units = 2 * (width << doublings) * base_size * base_size
        self.fc = nn.Sequential(nn.Linear(cond_dim + noise_dim, units, bias=False), nn.BatchNorm1d(units), Glu())
        self.upsample = up_blocks(width, doublings)

    def forward(self, noise: Tensor, code: Tensor, words: Tensor | None, padding: Tensor | None) -> Tensor:
        """noise [B, noise_dim], code [B, cond_dim] -> [B, width, size, size]; words are not read."""
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
        noise_dim: int,
        cond_dim: int,
        text_dim: int,
        base_size: int,
        doublings: int,
        ngram: int = 3,
        gate: Form = "code",
    ) -> None:
        super().__init__()
        self.base_size, self.ngram = base_size, ngram
        units = 2 * (width << doublings) * base_size * base_size
        self.ngrams = nn.Conv1d(cond_dim + noise_dim + text_dim, units, ngram, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm1d(units), Glu())
        self.upsample = up_blocks(width, doublings)
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
        """noise [B, noise_dim], code [B, cond_dim], words [B, text_dim, T], padding [B, T] -> R_1 [B, width, size,
        size]."""
        tails, exists = self.tails(noise, code, words, padding)
        first = exists.long().sum(1).cumsum(0) - exists.long().sum(1)
        fused = tails[first]
        for step in range(1, exists.shape[1]):
            rows = exists[:, step].nonzero().flatten()
            if len(rows) > 0:
                fused = fused.index_copy(0, rows, self.fuse(fused[rows], tails[first[rows] + step]))
        return fused


def stage_sizes(image_size: int, stages: int) -> list[int]:
    """Side of each stage's image: ``image_size`` for the last, half of the next for each of the others."""
    smallest = image_size >> (stages - 1)
    if stages < 1 or smallest << (stages - 1) != image_size:
        raise ReproError(f"image_size {image_size}: {stages} stages, so it must be divisible by {1 << (stages - 1)}")
    return [smallest << level for level in range(stages)]


def make_fusion(
    spec: Mapping[str, Any], channels: int, text_dim: int, cond_dim: int, mask: MaskForm, gate: Form
) -> nn.Module:
    """The fusion that ``spec`` names; its keys other than ``kind`` become arguments."""
    kind, options = spec["kind"], {key: value for key, value in spec.items() if key != "kind"}
    check_choice("fusion.kind", kind, FUSIONS)
    if kind == "none":
        return NoFusion(channels)
    if kind == "concatenation":
        return Concatenation(channels, cond_dim)
    if kind == "attention":
        return WordAttention(channels, text_dim, mask)
    if kind == "dynamic-memory":
        return DynamicMemory(channels, text_dim, mask, gate)
    if kind == "spatial-memory":
        return SpatialMemories(channels, text_dim, gate=gate, **options)
    return AttentionModulation(channels, text_dim, mask=mask, **options)


class RefinementStage(nn.Module):
    """Fusion, residual blocks, up-block: [B, C, s, s] -> [B, C', 2s, 2s], C' half of the fused width."""

    def __init__(self, fusion: nn.Module, residual: int, role: str) -> None:
        super().__init__()
        check_choice("stage.text", role, ROLES)
        fused = int(fusion.channels)  # type: ignore[arg-type]
        self.fusion, self.role, self.channels = fusion, role, fused // 2
        self.residual = nn.Sequential(*(ResidualBlock(fused) for _ in range(residual)))
        self.upsample = up_block(fused, self.channels)

    def forward(self, features: Tensor, text: StageText) -> tuple[Tensor, Fused]:
        if self.role == "sentence":
            # L copies would get equal attention and give the same as one.
            text = StageText(text.sentence[:, :, None], None, text.sentence, text.code)
        fused = self.fusion(features, text)
        return self.upsample(self.residual(fused.features)), fused


@dataclass(frozen=True)
class MultiStageOutput:
    """Everything that a generator computes. Lists run over stages, small to large; ``fused`` over refinement stages.

    images [B, 3, s, s] in [-1, 1]; features [B, C, s, s]; condition: mu and logvar for the KL term.
    """

    images: list[Tensor]
    features: list[Tensor]
    fused: list[Fused]
    condition: Condition


class MultiStageGenerator(Generator):
    """Noise, a sentence and words to an image at each stage.

    ``forward(noise [B, noise_dim], sentence [B, text_dim], words [B, text_dim, T], padding bool [B, T])``
    -> the last images; ``stages`` -> the outputs of every stage. ``noise`` is z, then epsilon of conditioning
    augmentation, which is drawn in evaluation too. ``words`` and ``padding`` may be None if no stage reads words.
    """

    def __init__(
        self, system: Mapping[str, Any], image_size: int = 256, base_size: int = 4, text_dim: int = 256
    ) -> None:
        stages, z_dim, cond_dim = system["stages"], system["noise"], system["condition"]
        super().__init__(z_dim + cond_dim, text_dim, z_dim)
        switches, compat = system.get("switches", {}), system.get("compat", {})
        gate, mask = switches.get("gate", "code"), compat.get("attention_mask", "right")
        check_choice("switches.gate", gate, FORMS)
        check_choice("compat.attention_mask", mask, MASK_FORMS)
        self.sizes = stage_sizes(image_size, len(stages))
        self.image_size, self.base_size, self.cond_dim = image_size, base_size, cond_dim
        self.augment = ConditioningAugmentation(text_dim, self.cond_dim)
        self.initial = self._initial(stages[0], system["width"], gate)
        channels = system["width"]
        self.refinements = nn.ModuleList()
        self.paint_stages = nn.ModuleList([to_rgb(channels)])
        for index, stage in enumerate(stages[1:], 1):
            if "fusion" not in stage:
                raise ReproError(f"stages[{index}].fusion: missing; one of {', '.join(FUSIONS)}")
            fusion = make_fusion(stage["fusion"], channels, text_dim, self.cond_dim, mask, gate)
            refinement = RefinementStage(fusion, system["residual"], stage.get("text", "words"))
            self.refinements.append(refinement)
            channels = refinement.channels
            self.paint_stages.append(to_rgb(channels))
        initialise_orthogonal(self)

    def _initial(self, stage: Mapping[str, Any], width: int, gate: Form) -> SentenceStage | NGramStage:
        options = dict(stage.get("initial", {}))
        kind = options.pop("kind", None)
        check_choice("stages[0].initial.kind", kind, INITIALS)
        grow = doublings(self.sizes[0], self.base_size, "image_size of the first stage")
        if kind == "sentence":
            return SentenceStage(width, self.z_dim, self.cond_dim, self.base_size, grow)
        return NGramStage(width, self.z_dim, self.cond_dim, self.text_dim, self.base_size, grow, gate=gate, **options)

    def stages(self, noise: Tensor, sentence: Tensor, words: Tensor | None, padding: Tensor | None) -> MultiStageOutput:
        z, eps = noise.split([self.z_dim, self.cond_dim], dim=1)
        condition = self.augment(sentence, eps)
        features = [self.initial(z, condition.code, words, padding)]
        empty = sentence[:, :, None] if words is None else words
        text = StageText(empty, None if words is None else padding, sentence, condition.code)
        fused = []
        for stage in self.refinements:
            grown, fusion = stage(features[-1], text)
            features.append(grown)
            fused.append(fusion)
        images = [rgb(grown) for rgb, grown in zip(self.paint_stages, features, strict=True)]
        return MultiStageOutput(images, features, fused, condition)

    def forward(
        self, noise: Tensor, sentence: Tensor, words: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        return self.stages(noise, sentence, words, padding).images[-1]

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        return GeneratorOutput(self.stages(noise, text.sentence, text.words, text.padding).images)


def build_generator(system: Mapping[str, Any], image_size: int, base_size: int, text_dim: int) -> MultiStageGenerator:
    return MultiStageGenerator(system, image_size, base_size, text_dim)
