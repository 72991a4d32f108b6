"""Discriminators of the multi-stage systems, one per stage.

Keys: ``discriminator: {width: 32, normalisation: batch | spectral, init: orthogonal | torch, common: 256}`` of the
system and, per stage, ``heads``: any of unconditional, conditional, conditional-mean-word, conditional-code,
similarity. The three conditional heads are one network that differs in what it is shown: the sentence, the mean of the
words (GR-GAN's W stage), mu of conditioning augmentation (StackGAN++). ``unused_heads`` names heads the released code
owns but never trains; they are built for counting only.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import check_choice
from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import cosine
from t2i_repro.models.blocks import LEAK, tile_sentence
from t2i_repro.models.layers import initialise
from t2i_repro.models.multi_stage import doublings, stage_sizes
from t2i_repro.models.spectral_norm import Iteration, SpectralConv2d

HEAD_SIZE = 4
NORMALISATIONS = ("batch", "spectral")
INITS = ("orthogonal", "torch")
CONDITIONS = {"conditional": "sentence", "conditional-mean-word": "mean-word", "conditional-code": "code"}
HEADS = ("unconditional", *CONDITIONS, "similarity")


class Layers:
    """Makes (convolution, [BatchNorm], LeakyReLU) in one of the two normalisations."""

    def __init__(self, normalisation: str, iteration: Iteration) -> None:
        check_choice("discriminator.normalisation", normalisation, NORMALISATIONS)
        self.normalisation, self.iteration = normalisation, iteration

    def __call__(self, channels_in: int, channels_out: int, kernel: int, stride: int, first: bool = False) -> nn.Module:
        if self.normalisation == "spectral":
            conv = SpectralConv2d(channels_in, channels_out, kernel, stride, 1, self.iteration)
            return nn.Sequential(conv, nn.LeakyReLU(LEAK))
        plain = nn.Conv2d(channels_in, channels_out, kernel, stride, 1, bias=False)
        norm = [] if first else [nn.BatchNorm2d(channels_out)]
        return nn.Sequential(plain, *norm, nn.LeakyReLU(LEAK))


class StageDiscriminator(nn.Module):
    """Trunk to 4 x 4 and the heads of one stage. Heads give logits; the released ones squash them at once.

    Halvings from ``size`` to 4 px, widths 1, 2, 4, ... times ``width``, then one 3x3 convolution for each doubling
    beyond the first stage's ``first_size``, which halves the width again, so that every stage has equal features.
    """

    def __init__(
        self,
        size: int,
        first_size: int,
        width: int,
        heads: list[str],
        condition: int,
        layers: Layers,
        common: int = 256,
        sentence: int | None = None,
        unused_heads: list[str] | None = None,
    ) -> None:
        super().__init__()
        for head in [*heads, *(unused_heads or [])]:
            check_choice("stage.heads", head, HEADS)
        shown = [CONDITIONS[head] for head in heads if head in CONDITIONS]
        if len(shown) > 1:
            raise ReproError(f"stage.heads: found {heads}, expected at most one conditional head")
        self.size, self.shown = size, shown[0] if shown else None
        down, back = doublings(size, HEAD_SIZE), (size // first_size).bit_length() - 1
        widths = [3, *(width << level for level in range(down))]
        trunk = [layers(a, b, kernel=4, stride=2, first=level == 0) for level, (a, b) in enumerate(pairwise(widths))]
        channels = widths[-1]
        for _ in range(back):
            trunk.append(layers(channels, channels // 2, kernel=3, stride=1))
            channels //= 2
        self.feature_channels = channels
        self.trunk = nn.Sequential(*trunk)

        def judge() -> nn.Conv2d:
            return nn.Conv2d(channels, 1, HEAD_SIZE, stride=HEAD_SIZE)

        built = {*heads, *(unused_heads or [])}
        conditional = bool(built & CONDITIONS.keys())
        self.unconditional = judge() if "unconditional" in built else None
        self.joint = layers(channels + condition, channels, kernel=3, stride=1) if conditional else None
        self.conditional = judge() if conditional else None
        self.similar_image: nn.Module | None = None
        self.similar_text: nn.Module | None = None
        if "similarity" in built:
            self.similar_image = nn.Linear(channels, common, bias=False)
            self.similar_text = nn.Linear(condition if sentence is None else sentence, common, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """F_i [B, feature_channels, 4, 4]."""
        features: Tensor = self.trunk(images)
        return features

    def judge_image(self, features: Tensor) -> Tensor:
        """Logits [B] that the images are real."""
        assert self.unconditional is not None
        logits: Tensor = self.unconditional(features)
        return logits.flatten()

    def judge_pair(self, features: Tensor, condition: Tensor) -> Tensor:
        """Logits [B] that the images are real and match ``condition`` [B, D]."""
        assert self.joint is not None
        assert self.conditional is not None
        joined = self.joint(torch.cat([features, tile_sentence(condition, features.shape[2:])], dim=1))
        logits: Tensor = self.conditional(joined)
        return logits.flatten()

    def similarity(self, features: Tensor, sentence: Tensor) -> Tensor:
        """d(t, f) of ICSD-GAN Eq. (8), [B] in [-1, 1]: cosine of W_t t and W_im f, f the mean of F_i over its map."""
        assert self.similar_image is not None
        assert self.similar_text is not None
        pooled = F.adaptive_avg_pool2d(features, 1).flatten(1)
        return cosine(self.similar_text(sentence), self.similar_image(pooled))

    @property
    def has_unconditional(self) -> bool:
        return self.unconditional is not None

    @property
    def has_similarity(self) -> bool:
        return self.similar_image is not None


def build_stage_discriminators(
    system: Mapping[str, Any], image_size: int = 256, text: int = 256, *, as_released: bool = False
) -> nn.ModuleList:
    """One ``StageDiscriminator`` per stage. ``as_released`` adds ``unused_heads``; do not train that."""
    spec = system["discriminator"]
    init = spec.get("init", "orthogonal")
    check_choice("discriminator.init", init, INITS)
    layers = Layers(spec["normalisation"], system.get("compat", {}).get("spectral_norm", "training"))
    sizes = stage_sizes(image_size, len(system["stages"]))
    networks = nn.ModuleList()
    for size, stage in zip(sizes, system["stages"], strict=True):
        condition = system["condition"] if "conditional-code" in stage["heads"] else text
        unused = stage.get("unused_heads") if as_released else None
        networks.append(
            StageDiscriminator(
                size,
                sizes[0],
                spec["width"],
                stage["heads"],
                condition,
                layers,
                spec.get("common", 256),
                text,
                unused,
            )
        )
    if init == "orthogonal":
        initialise(networks)
    return networks
