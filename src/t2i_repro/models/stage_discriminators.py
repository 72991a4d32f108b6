"""Discriminators of the multi-stage systems, one per stage.

Keys: ``discriminator: {width: 32, normalisation: batch | spectral, init: orthogonal | torch, common: 256}`` of the
system and, per stage, ``heads``: any of unconditional, conditional, conditional-mean-word, conditional-code,
similarity. The three conditional heads are one network with a different condition: the sentence, the mean of the
words (GR-GAN's W stage), mu of conditioning augmentation (StackGAN++). ``unused_heads`` names heads that the released
code creates but never trains; they are built for counting only.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import CONDITIONS, HEADS, INITS, ITERATIONS, NORMALISATIONS, Iteration, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import cosine
from t2i_repro.models.layers import HEAD_SIZE, LEAK, doublings, initialise_orthogonal, tile_sentence
from t2i_repro.models.multi_stage import stage_sizes

EPSILON = 1e-12


class SpectralConv2d(nn.Conv2d):
    """Spectral normalisation of the DM-GAN and GR-GAN discriminators: convolution by weight / sigma, with sigma = u W v
    of one power iteration per forward.

    ``iteration`` ``training``: u and v are buffers and move in training mode only, so that an evaluation leaves the
    network as it was. ``released``: the authors' wrapper, where they are parameters without gradient that move at
    *every* forward, eval mode included. In training mode the two compute the same.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        iteration: Iteration = "training",
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding)
        check_choice("compat.spectral_norm", iteration, ITERATIONS)
        self.iteration = iteration
        self.u: Tensor
        self.v: Tensor
        for name, size in (("u", channels_out), ("v", channels_in * kernel * kernel)):
            start = F.normalize(torch.randn(size), dim=0, eps=EPSILON)
            if iteration == "released":
                self.register_parameter(name, nn.Parameter(start, requires_grad=False))
            else:
                self.register_buffer(name, start)

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight.flatten(1)
        self.v.copy_(F.normalize(matrix.t() @ self.u, dim=0, eps=EPSILON))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0, eps=EPSILON))

    def forward(self, features: Tensor) -> Tensor:
        if self.training or self.iteration == "released":
            self._iterate()
        # Copies: the next forward moves u and v in place, while this one's graph may still be waiting for backward.
        u, v = self.u.detach().clone(), self.v.detach().clone()
        sigma = u @ (self.weight.flatten(1) @ v)
        return self._conv_forward(features, self.weight / sigma, self.bias)


class Layers:
    """Makes (convolution, [BatchNorm], LeakyReLU) with one of the two normalisations."""

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
    """Backbone to a 4 x 4 map and the heads of one stage. Heads give logits; the released ones apply the sigmoid.

    Halvings from ``size`` to 4 px, widths 1, 2, 4, ... times ``width``, then one 3x3 convolution for each doubling
    beyond the first stage's ``first_size``, which halves the width again, so that every stage has equal features.
    """

    def __init__(
        self,
        size: int,
        first_size: int,
        width: int,
        heads: list[str],
        cond_dim: int,
        layers: Layers,
        common: int = 256,
        text_dim: int | None = None,
        unused_heads: list[str] | None = None,
    ) -> None:
        super().__init__()
        for head in [*heads, *(unused_heads or [])]:
            check_choice("stage.heads", head, HEADS)
        conditions = [CONDITIONS[head] for head in heads if head in CONDITIONS]
        if len(conditions) > 1:
            raise ReproError(f"stage.heads: found {heads}, expected at most one conditional head")
        self.size, self.condition = size, conditions[0] if conditions else None
        down, back = doublings(size, HEAD_SIZE), (size // first_size).bit_length() - 1
        widths = [3, *(width << level for level in range(down))]
        backbone = [layers(a, b, kernel=4, stride=2, first=level == 0) for level, (a, b) in enumerate(pairwise(widths))]
        channels = widths[-1]
        for _ in range(back):
            backbone.append(layers(channels, channels // 2, kernel=3, stride=1))
            channels //= 2
        self.feature_channels = channels
        self.trunk = nn.Sequential(*backbone)

        def logit() -> nn.Conv2d:
            return nn.Conv2d(channels, 1, HEAD_SIZE, stride=HEAD_SIZE)

        built = {*heads, *(unused_heads or [])}
        conditional = bool(built & CONDITIONS.keys())
        self.unconditional = logit() if "unconditional" in built else None
        self.joint = layers(channels + cond_dim, channels, kernel=3, stride=1) if conditional else None
        self.conditional = logit() if conditional else None
        self.similar_image: nn.Module | None = None
        self.similar_text: nn.Module | None = None
        if "similarity" in built:
            self.similar_image = nn.Linear(channels, common, bias=False)
            self.similar_text = nn.Linear(cond_dim if text_dim is None else text_dim, common, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """F_i [B, feature_channels, 4, 4]."""
        features: Tensor = self.trunk(images)
        return features

    def image_logits(self, features: Tensor) -> Tensor:
        """[B], for image realism alone."""
        assert self.unconditional is not None
        logits: Tensor = self.unconditional(features)
        return logits.flatten()

    def pair_logits(self, features: Tensor, condition: Tensor) -> Tensor:
        """[B], for realism and agreement with ``condition`` [B, D]."""
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


def build_discriminator(
    system: Mapping[str, Any], image_size: int, text_dim: int, *, unused_heads: bool = False
) -> nn.ModuleList:
    """One ``StageDiscriminator`` per stage."""
    spec = system["discriminator"]
    init = spec.get("init", "orthogonal")
    check_choice("discriminator.init", init, INITS)
    layers = Layers(spec["normalisation"], system.get("compat", {}).get("spectral_norm", "training"))
    sizes = stage_sizes(image_size, len(system["stages"]))
    networks = nn.ModuleList()
    for size, stage in zip(sizes, system["stages"], strict=True):
        cond_dim = system["condition"] if "conditional-code" in stage["heads"] else text_dim
        unused = stage.get("unused_heads") if unused_heads else None
        networks.append(
            StageDiscriminator(
                size,
                sizes[0],
                spec["width"],
                stage["heads"],
                cond_dim,
                layers,
                spec.get("common", 256),
                text_dim,
                unused,
            )
        )
    if init == "orthogonal":
        initialise_orthogonal(networks)
    return networks


def build_released_discriminator(system: Mapping[str, Any], image_size: int, text_dim: int) -> nn.ModuleList:
    """With the heads that the released code creates and never trains."""
    return build_discriminator(system, image_size, text_dim, unused_heads=True)
