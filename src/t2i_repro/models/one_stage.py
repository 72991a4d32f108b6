"""DF-GAN in its 2020 form and SSA-GAN: one generator over two kinds of block, and the one-way discriminator.

Feature maps are [B, C, H, W], sentence embeddings [B, text_dim], masks [B, 1, H, W] in [0, 1]. Every gain of a residual
branch and every last layer of an affine MLP starts at zero: at initialisation the generator ignores its sentence.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import BLOCKS, FORMS, GENERATOR_SWITCHES, BlockKind, Form, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Generator, GeneratorOutput, Text, sizes
from t2i_repro.models.layers import HEAD_SIZE, LEAK, doublings, tile_sentence

FEWEST_BLOCKS = 4
MULTIPLES = (1, 2, 4, 8, 16)  # widths of the discriminator's maps


def condition_mlp(text_dim: int, hidden: int, channels: int, bias: float) -> nn.Sequential:
    """P_gamma or P_beta of SSA-GAN Eq. (4): Linear, ReLU, Linear; constant ``bias`` at initialisation."""
    last = nn.Linear(hidden, channels)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, bias)
    return nn.Sequential(nn.Linear(text_dim, hidden), nn.ReLU(), last)


def upsample(features: Tensor, form: Form) -> Tensor:
    """Double height and width: nearest in the released code, bilinear as SSA-GAN Sec. 3.2 prints."""
    if form == "code":
        return F.interpolate(features, scale_factor=2, mode="nearest")
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def shortcut(channels_in: int, channels_out: int) -> nn.Module:
    """Identity, or a 1x1 convolution where the width changes."""
    return nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)


class Affine(nn.Module):
    """Affine transformation of DF-GAN: x -> gamma(s) x + beta(s), per channel, the same at every position."""

    def __init__(self, channels: int, text_dim: int, hidden: int) -> None:
        super().__init__()
        self.gamma = condition_mlp(text_dim, hidden, channels, bias=1.0)
        self.beta = condition_mlp(text_dim, hidden, channels, bias=0.0)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        gamma, beta = self.gamma(sentence)[:, :, None, None], self.beta(sentence)[:, :, None, None]
        return torch.addcmul(beta, gamma, features)


class AffinePair(nn.Module):
    """Affine, LeakyReLU, Affine, LeakyReLU: DF-GAN puts one before each convolution of its block."""

    def __init__(self, channels: int, text_dim: int, hidden: int) -> None:
        super().__init__()
        self.first = Affine(channels, text_dim, hidden)
        self.second = Affine(channels, text_dim, hidden)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        features = F.leaky_relu(self.first(features, sentence), LEAK)
        return F.leaky_relu(self.second(features, sentence), LEAK)


class AffineBlock(nn.Module):
    """The UPBlock of DF-GAN (2020): [upsample], then shortcut(x) + gain * residual(x, s).

    ``forward`` returns (features, None), since this block has no mask.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        text_dim: int,
        hidden: int,
        grow: bool,
        upsampling: Form = "code",
    ) -> None:
        super().__init__()
        self.grow, self.upsampling = grow, upsampling
        self.pair1 = AffinePair(channels_in, text_dim, hidden)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.pair2 = AffinePair(channels_out, text_dim, hidden)
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
    ``mask=None`` means m = 1, the semantic CBN of Eq. (3).
    Both start at x_hat inside the mask: gamma starts at 0 in the first form, at 1 in the second.
    """

    def __init__(self, channels: int, text_dim: int, hidden: int, modulation: Form = "code") -> None:
        super().__init__()
        self.modulation = modulation
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = condition_mlp(text_dim, hidden, channels, bias=0.0 if modulation == "code" else 1.0)
        self.beta = condition_mlp(text_dim, hidden, channels, bias=0.0)

    def forward(self, features: Tensor, sentence: Tensor, mask: Tensor | None) -> Tensor:
        normal = self.norm(features)
        gamma, beta = self.gamma(sentence)[:, :, None, None], self.beta(sentence)[:, :, None, None]
        text = torch.addcmul(beta, gamma, normal)
        if self.modulation == "printed":
            return text if mask is None else mask * text
        return normal + text if mask is None else torch.addcmul(normal, mask, text)


class MaskPredictor(nn.Module):
    """Logits [B, 1, H, W] of a mask (SSA-GAN Fig. 3, grey box): conv3x3 to ``hidden`` channels, BN, ReLU, conv1x1."""

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

    ``mask_source`` ``code``: the predictor reads the block's input before upsampling and its *logits* are
    upsampled (bilinear, corners aligned); ``printed`` (Sec. 3.2): it reads the upsampled features.
    ``masked=False`` omits the predictor and uses m = 1. ``forward`` returns (features, mask or None).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        text_dim: int,
        hidden: int,
        grow: bool,
        masked: bool = True,
        mask_hidden: int,
        modulation: Form = "code",
        upsampling: Form = "code",
        mask_source: Form = "code",
    ) -> None:
        super().__init__()
        self.grow, self.upsampling, self.mask_source = grow, upsampling, mask_source
        self.predictor = MaskPredictor(channels_in, mask_hidden) if masked else None
        self.norm1 = SemanticSpatialNorm(channels_in, text_dim, hidden, modulation)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = SemanticSpatialNorm(channels_out, text_dim, hidden, modulation)
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

    ``dead_shortcut`` adds the 1x1 convolution that the released code creates but never calls where the width
    does not change, for counting and loading the released parameters.
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


def block_count(image_size: int, base_size: int) -> int:
    """Blocks from the first map to the image: log2(image_size / base_size) + 1; the first does not upsample."""
    return doublings(image_size, base_size, least=0) + 1


def channel_multiples(blocks: int) -> list[int]:
    """Output width of each block in units of ``width``: 8, halved by each of the last three blocks."""
    if blocks < FEWEST_BLOCKS:
        raise ReproError(f"base_size: {blocks} blocks from it to the image, at least {FEWEST_BLOCKS} needed; lower it")
    return [8] * (blocks - 3) + [4, 2, 1]


class OneStageGenerator(Generator):
    """Maps noise and a sentence embedding to an image in one pass (SSA-GAN Fig. 2).

    ``forward(noise [B, noise_dim], sentence [B, text_dim])`` -> images [B, 3, image_size, image_size] in [-1, 1].
    The noise alone gives the first map (8 * width channels, base_size x base_size); the sentence enters
    through every block.

    ``masks``: how many blocks, counted from the last, have a mask (SSA-GAN Table 3); None means all.
    Blocks without a mask modulate every position (m = 1) and have no predictor.
    ``modulation``, ``upsampling``, ``mask_source``: ``code`` or ``printed``, see ``docs/divergences.md``.
    Raises ReproError for sizes that do not fit or unknown choices.
    """

    def __init__(
        self,
        block: BlockKind = "semantic-spatial",
        width: int = 64,
        masks: int | None = None,
        image_size: int = 256,
        base_size: int = 4,
        *,
        noise_dim: int,
        text_dim: int = 256,
        hidden: int,
        mask_hidden: int,
        modulation: Form = "code",
        upsampling: Form = "code",
        mask_source: Form = "code",
    ) -> None:
        super().__init__(noise_dim, text_dim)
        check_choice("block", block, BLOCKS)
        switches = {"modulation": modulation, "upsampling": upsampling, "mask_source": mask_source}
        for name, value in switches.items():
            check_choice(name, value, FORMS)
        outputs = [multiple * width for multiple in channel_multiples(block_count(image_size, base_size))]
        inputs = [8 * width, *outputs[:-1]]
        most = len(outputs) if block == "semantic-spatial" else 0
        masks = most if masks is None else masks
        if not 0 <= masks <= most:
            raise ReproError(f"masks: found {masks}, expected 0 to {most} for {len(outputs)} {block} blocks")

        self.image_size, self.base_size, self.masks = image_size, base_size, masks
        self.fc = nn.Linear(noise_dim, 8 * width * base_size * base_size)
        self.blocks = nn.ModuleList()
        for index, (channels_in, channels_out) in enumerate(zip(inputs, outputs, strict=True)):
            grow = index > 0
            if block == "affine":
                self.blocks.append(
                    AffineBlock(
                        channels_in, channels_out, text_dim=text_dim, hidden=hidden, grow=grow, upsampling=upsampling
                    )
                )
            else:
                self.blocks.append(
                    SemanticSpatialBlock(
                        channels_in,
                        channels_out,
                        text_dim=text_dim,
                        hidden=hidden,
                        grow=grow,
                        masked=index >= len(outputs) - masks,
                        mask_hidden=mask_hidden,
                        modulation=modulation,
                        upsampling=upsampling,
                        mask_source=mask_source,
                    )
                )
        normalisation = [nn.BatchNorm2d(outputs[-1])] if block == "semantic-spatial" else []
        self.to_rgb = nn.Sequential(
            *normalisation, nn.LeakyReLU(LEAK), nn.Conv2d(outputs[-1], 3, 3, padding=1), nn.Tanh()
        )

    def with_masks(self, noise: Tensor, sentence: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images and the predicted masks [B, 1, s, s] in [0, 1], shallow to deep (SSA-GAN Fig. 5)."""
        features = self.fc(noise).view(len(noise), -1, self.base_size, self.base_size)
        masks: list[Tensor] = []
        for block in self.blocks:
            features, mask = block(features, sentence)
            if mask is not None:
                masks.append(mask)
        return self.to_rgb(features), masks

    def forward(self, noise: Tensor, sentence: Tensor) -> Tensor:
        return self.with_masks(noise, sentence)[0]

    def outputs(self, noise: Tensor, text: Text) -> GeneratorOutput:
        images, masks = self.with_masks(noise, text.sentence)
        return GeneratorOutput([images], masks)


class OneWayDiscriminator(nn.Module):
    """The discriminator of DF-GAN (2020), which SSA-GAN keeps (Sec. 3.3): one logit per (image, sentence) pair, no
    unconditional output.

    Image [B, 3, image_size, image_size] in [-1, 1] -> log2(image_size / 4) halving blocks, widths 1, 2, 4,
    8, 16, 16, ... times ``width`` -> [B, feature_channels, 4, 4]; the sentence [B, text_dim] is tiled and
    concatenated, and two convolutions give a logit. Image features do not depend on the sentence, so matched and
    mismatched pairs share one pass over the image. ``dead_shortcuts`` adds the unused 1x1 convolutions of
    the released code (see ``DownBlock``).
    """

    def __init__(
        self, width: int = 64, image_size: int = 256, *, text_dim: int = 256, dead_shortcuts: bool = False
    ) -> None:
        super().__init__()
        depth = doublings(image_size, HEAD_SIZE)
        widths = [width * MULTIPLES[min(level, len(MULTIPLES) - 1)] for level in range(depth + 1)]
        self.feature_channels = widths[-1]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            DownBlock(widths[level], widths[level + 1], dead_shortcut=dead_shortcuts) for level in range(depth)
        )
        self.joint = nn.Sequential(
            nn.Conv2d(self.feature_channels + text_dim, 2 * width, 3, padding=1, bias=False),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(2 * width, 1, HEAD_SIZE, bias=False),
        )

    def features(self, images: Tensor) -> Tensor:
        """Image features [B, feature_channels, 4, 4]."""
        features: Tensor = self.stem(images)
        for block in self.blocks:
            features = block(features)
        return features

    def logits(self, features: Tensor, sentence: Tensor) -> Tensor:
        """[B], from the ``features`` of images and the sentences to compare them with."""
        joined = torch.cat([features, tile_sentence(sentence, features.shape[2:])], dim=1)
        logits: Tensor = self.joint(joined)
        return logits.flatten()

    def forward(self, images: Tensor, sentence: Tensor) -> Tensor:
        return self.logits(self.features(images), sentence)


def build_generator(system: Mapping[str, Any], image_size: int, base_size: int, text_dim: int) -> OneStageGenerator:
    """Keys: block, width, [masks], [switches.modulation, upsampling, mask_source], [noise, hidden, mask_hidden]."""
    switches = {name: value for name, value in system.get("switches", {}).items() if name in GENERATOR_SWITCHES}
    return OneStageGenerator(
        system["block"],
        system["width"],
        system.get("masks"),
        image_size,
        base_size,
        text_dim=text_dim,
        **sizes(system, noise="noise_dim", hidden="hidden", mask_hidden="mask_hidden"),
        **switches,
    )


def build_discriminator(system: Mapping[str, Any], image_size: int, text_dim: int) -> OneWayDiscriminator:
    """Keys: width."""
    return OneWayDiscriminator(system["width"], image_size, text_dim=text_dim)


def build_released_discriminator(system: Mapping[str, Any], image_size: int, text_dim: int) -> OneWayDiscriminator:
    """With the parameters that the released code creates and never uses."""
    return OneWayDiscriminator(system["width"], image_size, text_dim=text_dim, dead_shortcuts=True)
