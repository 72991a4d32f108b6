"""Blocks of the one-stage generators (DF-GAN 2020, SSA-GAN) and of the one-way discriminator.

Feature maps are [B, C, H, W], sentence vectors [B, text], masks [B, 1, H, W] in [0, 1].
Every gain of a residual branch and every last layer of an affine MLP starts at zero: a fresh generator
ignores its sentence.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import Form

LEAK = 0.2


def condition_mlp(text: int, hidden: int, channels: int, bias: float) -> nn.Sequential:
    """P_gamma or P_beta of SSA-GAN Eq. (4): Linear, ReLU, Linear; constant ``bias`` at initialisation."""
    last = nn.Linear(hidden, channels)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, bias)
    return nn.Sequential(nn.Linear(text, hidden), nn.ReLU(), last)


def upsample(features: Tensor, form: Form) -> Tensor:
    """Double height and width: nearest in the released code, bilinear as SSA-GAN Sec. 3.2 prints."""
    if form == "code":
        return F.interpolate(features, scale_factor=2, mode="nearest")
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def shortcut(channels_in: int, channels_out: int) -> nn.Module:
    """Identity, or a 1x1 convolution where the width changes."""
    return nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)


class Affine(nn.Module):
    """DF-GAN's affine transformation: x -> gamma(s) x + beta(s), per channel, equal all over the image."""

    def __init__(self, channels: int, text: int, hidden: int) -> None:
        super().__init__()
        self.gamma = condition_mlp(text, hidden, channels, bias=1.0)
        self.beta = condition_mlp(text, hidden, channels, bias=0.0)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        gamma, beta = self.gamma(sentence)[:, :, None, None], self.beta(sentence)[:, :, None, None]
        return torch.addcmul(beta, gamma, features)


class AffinePair(nn.Module):
    """Affine, LeakyReLU, Affine, LeakyReLU: DF-GAN puts one before each convolution of its block."""

    def __init__(self, channels: int, text: int, hidden: int) -> None:
        super().__init__()
        self.first = Affine(channels, text, hidden)
        self.second = Affine(channels, text, hidden)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        features = F.leaky_relu(self.first(features, sentence), LEAK)
        return F.leaky_relu(self.second(features, sentence), LEAK)


class AffineBlock(nn.Module):
    """The UPBlock of DF-GAN (2020): [upsample], then shortcut(x) + gain * residual(x, s).

    ``forward`` returns (features, None): this block has no mask.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        text: int,
        hidden: int,
        grow: bool,
        upsampling: Form = "code",
    ) -> None:
        super().__init__()
        self.grow, self.upsampling = grow, upsampling
        self.pair1 = AffinePair(channels_in, text, hidden)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.pair2 = AffinePair(channels_out, text, hidden)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = shortcut(channels_in, channels_out)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.grow:
            features = upsample(features, self.upsampling)
        residual = self.conv1(self.pair1(features, sentence))
        residual = self.conv2(self.pair2(residual, sentence))
        return torch.addcmul(self.shortcut(features), self.gain, residual), None


class SemanticSpatialNorm(nn.Module):
    """SSCBN, the semantic-spatial condition batch normalisation of SSA-GAN.

    ``code``:    y = x_hat + m (gamma(s) x_hat + beta(s)): plain batch normalisation outside the mask;
    ``printed``: y = m (gamma(s) x_hat + beta(s)), Eq. (5): zero outside the mask.
    ``mask=None`` stands for m = 1, the semantic CBN of Eq. (3).
    Both start at x_hat inside the mask: gamma starts at 0 in the first form, at 1 in the second.
    """

    def __init__(self, channels: int, text: int, hidden: int, modulation: Form = "code") -> None:
        super().__init__()
        self.modulation = modulation
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = condition_mlp(text, hidden, channels, bias=0.0 if modulation == "code" else 1.0)
        self.beta = condition_mlp(text, hidden, channels, bias=0.0)

    def forward(self, features: Tensor, sentence: Tensor, mask: Tensor | None) -> Tensor:
        normal = self.norm(features)
        gamma, beta = self.gamma(sentence)[:, :, None, None], self.beta(sentence)[:, :, None, None]
        text = torch.addcmul(beta, gamma, normal)
        if self.modulation == "printed":
            return text if mask is None else mask * text
        return normal + text if mask is None else torch.addcmul(normal, mask, text)


class MaskPredictor(nn.Module):
    """SSA-GAN Fig. 3, grey box: conv3x3 to ``hidden`` channels, BN, ReLU, conv1x1; gives a mask's logits."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features)
        return logits


class SemanticSpatialBlock(nn.Module):
    """SSACN of SSA-GAN: [upsample], mask predictor, two SSCBN sharing one mask, residual sum with a gain.

    ``mask_source`` ``code``: the predictor sees the block's input before upsampling and its *logits* are
    upsampled (bilinear, corners aligned); ``printed`` (Sec. 3.2): it sees the upsampled features.
    ``masked=False`` leaves the predictor out and uses m = 1. ``forward`` returns (features, mask or None).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        text: int,
        hidden: int,
        grow: bool,
        masked: bool = True,
        mask_hidden: int = 100,
        modulation: Form = "code",
        upsampling: Form = "code",
        mask_source: Form = "code",
    ) -> None:
        super().__init__()
        self.grow, self.upsampling, self.mask_source = grow, upsampling, mask_source
        self.predictor = MaskPredictor(channels_in, mask_hidden) if masked else None
        self.norm1 = SemanticSpatialNorm(channels_in, text, hidden, modulation)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = SemanticSpatialNorm(channels_out, text, hidden, modulation)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = shortcut(channels_in, channels_out)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor | None]:
        logits = None
        if self.predictor is not None and self.mask_source == "code":
            logits = self.predictor(features)
            if self.grow:
                logits = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=True)
        if self.grow:
            features = upsample(features, self.upsampling)
        if self.predictor is not None and self.mask_source == "printed":
            logits = self.predictor(features)
        mask = None if logits is None else torch.sigmoid(logits)
        residual = self.conv1(F.relu(self.norm1(features, sentence, mask)))
        residual = self.conv2(F.relu(self.norm2(residual, sentence, mask)))
        return torch.addcmul(self.shortcut(features), self.gain, residual), mask


class DownBlock(nn.Module):
    """Block of the one-way discriminator: halves the map; shortcut(avgpool(x)) + gain * residual(x).

    ``dead_shortcut`` adds the 1x1 convolution that the released code owns but never calls where the width
    does not change; it exists to count and to load parameters as released.
    """

    def __init__(self, channels_in: int, channels_out: int, *, dead_shortcut: bool = False) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.LeakyReLU(LEAK),
        )
        self.shortcut = shortcut(channels_in, channels_out)
        self.unused = nn.Conv2d(channels_in, channels_out, 1) if dead_shortcut and channels_in == channels_out else None
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        # A 1x1 convolution and an average commute; the released code convolves first, at four times the cost.
        return torch.addcmul(self.shortcut(F.avg_pool2d(features, 2)), self.gain, self.residual(features))


def tile_sentence(sentence: Tensor, size: Sequence[int]) -> Tensor:
    """Sentence [B, text] repeated over a map: [B, text, *size]."""
    return sentence[:, :, None, None].expand(-1, -1, *size)
