"""Multi-stage generators: StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN, ICSD-GAN from one list of stages.

The list *is* the architecture. Complete systems with the papers' widths: ``papers/*.yaml``.
The keys that shape the generator (those of discriminators: ``stage_discriminators``; of losses:
``training.multi_stage_step``):

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
sentence vector takes the words' place. The last stage paints ``image_size``, each one before it half of the next.

    AttnGAN     attention; attention                       StackGAN++  concatenation; concatenation
    DM-GAN      dynamic-memory; dynamic-memory             MSMT-GAN    n-gram; spatial-memory x 6 heads, twice
    GR-GAN      I-S-W: dynamic-memory on the sentence, then on words; I-W-S the reverse; S-W-I: words, then none
    MS-GAN, ICSD-GAN   attention-modulation; attention-modulation
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.fusion import (
    MASK_FORMS,
    Concatenation,
    DynamicMemory,
    Fused,
    MaskForm,
    NoFusion,
    StageText,
    WordAttention,
)
from t2i_repro.models.initial import Condition, ConditioningAugmentation, NGramStage, SentenceStage
from t2i_repro.models.layers import ResidualBlock, initialise, to_rgb, up_block
from t2i_repro.models.modulation import AttentionModulation
from t2i_repro.models.spatial_memory import SpatialMemories

INITIALS = ("sentence", "n-gram")
FUSIONS = ("none", "concatenation", "attention", "dynamic-memory", "spatial-memory", "attention-modulation")
ROLES = ("words", "sentence")


def stage_sizes(image_size: int, stages: int) -> list[int]:
    """Side of each stage's image: the last ``image_size``, each one before it half of the next."""
    smallest = image_size >> (stages - 1)
    if stages < 1 or smallest << (stages - 1) != image_size:
        raise ReproError(f"image_size {image_size}: {stages} stages, so it must be divisible by {1 << (stages - 1)}")
    return [smallest << level for level in range(stages)]


def doublings(size: int, base_size: int, field: str = "image_size") -> int:
    """log2(size / base_size)."""
    ratio = size // base_size if base_size > 0 else 0
    if ratio < 2 or ratio * base_size != size or ratio & (ratio - 1):
        raise ReproError(
            f"{field}: a stage of {size} px is not {base_size} px times a power of two, at least 2; change one of them"
        )
    return ratio.bit_length() - 1


def make_fusion(
    spec: Mapping[str, Any], channels: int, text: int, condition: int, mask: MaskForm, gate: Form
) -> nn.Module:
    """The fusion that ``spec`` names; its own keys beside ``kind`` become arguments."""
    kind, options = spec["kind"], {key: value for key, value in spec.items() if key != "kind"}
    check_choice("fusion.kind", kind, FUSIONS)
    if kind == "none":
        return NoFusion(channels)
    if kind == "concatenation":
        return Concatenation(channels, condition)
    if kind == "attention":
        return WordAttention(channels, text, mask)
    if kind == "dynamic-memory":
        return DynamicMemory(channels, text, mask, gate)
    if kind == "spatial-memory":
        return SpatialMemories(channels, text, gate=gate, **options)
    return AttentionModulation(channels, text, mask=mask, **options)


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
            # L copies would be attended to alike and give the same as one.
            text = StageText(text.sentence[:, :, None], None, text.sentence, text.code)
        fused = self.fusion(features, text)
        return self.upsample(self.residual(fused.features)), fused


@dataclass(frozen=True)
class Painted:
    """All a generator computes. Lists run over stages, small to large; ``fused`` over refinement stages.

    images [B, 3, s, s] in [-1, 1]; features [B, C, s, s]; condition: mu and logvar for the KL term.
    """

    images: list[Tensor]
    features: list[Tensor]
    fused: list[Fused]
    condition: Condition


class MultiStageGenerator(nn.Module):
    """``forward(noise [B, noise], sentence [B, text], words [B, text, T], padding bool [B, T])`` -> the last images.

    ``noise`` holds all that is random: z, then the noise of conditioning augmentation, which is drawn in evaluation
    too. ``words`` and ``padding`` may be None where no stage reads words. ``paint`` gives every stage's outcome.
    """

    def __init__(self, system: Mapping[str, Any], image_size: int = 256, base_size: int = 4, text: int = 256) -> None:
        super().__init__()
        stages = system["stages"]
        switches, compat = system.get("switches", {}), system.get("compat", {})
        gate, mask = switches.get("gate", "code"), compat.get("attention_mask", "right")
        check_choice("switches.gate", gate, FORMS)
        check_choice("compat.attention_mask", mask, MASK_FORMS)
        self.sizes = stage_sizes(image_size, len(stages))
        self.image_size, self.base_size, self.text = image_size, base_size, text
        self.z, self.condition = system["noise"], system["condition"]
        self.noise = self.z + self.condition
        self.augment = ConditioningAugmentation(text, self.condition)
        self.initial = self._initial(stages[0], system["width"], gate)
        channels = system["width"]
        self.refinements = nn.ModuleList()
        self.paint_stages = nn.ModuleList([to_rgb(channels)])
        for index, stage in enumerate(stages[1:], 1):
            if "fusion" not in stage:
                raise ReproError(f"stages[{index}].fusion: missing; one of {', '.join(FUSIONS)}")
            fusion = make_fusion(stage["fusion"], channels, text, self.condition, mask, gate)
            refinement = RefinementStage(fusion, system["residual"], stage.get("text", "words"))
            self.refinements.append(refinement)
            channels = refinement.channels
            self.paint_stages.append(to_rgb(channels))
        initialise(self)

    def _initial(self, stage: Mapping[str, Any], width: int, gate: Form) -> SentenceStage | NGramStage:
        options = dict(stage.get("initial", {}))
        kind = options.pop("kind", None)
        check_choice("stages[0].initial.kind", kind, INITIALS)
        grow = doublings(self.sizes[0], self.base_size)
        if kind == "sentence":
            return SentenceStage(width, self.z, self.condition, self.base_size, grow)
        return NGramStage(width, self.z, self.condition, self.text, self.base_size, grow, gate=gate, **options)

    def paint(self, noise: Tensor, sentence: Tensor, words: Tensor | None, padding: Tensor | None) -> Painted:
        z, eps = noise.split([self.z, self.condition], dim=1)
        condition = self.augment(sentence, eps)
        features = [self.initial(z, condition.code, words, padding)]
        empty = sentence[:, :, None] if words is None else words
        text = StageText(empty, None if words is None else padding, sentence, condition.code)
        fused = []
        for stage in self.refinements:
            grown, how = stage(features[-1], text)
            features.append(grown)
            fused.append(how)
        images = [paint(grown) for paint, grown in zip(self.paint_stages, features, strict=True)]
        return Painted(images, features, fused, condition)

    def forward(
        self, noise: Tensor, sentence: Tensor, words: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        return self.paint(noise, sentence, words, padding).images[-1]

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        """N(0, 1), [count, noise], from the default random stream of ``device``."""
        return torch.randn(count, self.noise, device=device)
