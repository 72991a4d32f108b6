"""Discriminators: the one-way discriminator of DF-GAN (2020), which SSA-GAN keeps (Sec. 3.3)."""

import torch
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.blocks import LEAK, DownBlock, tile_sentence

HEAD_SIZE = 4
MULTIPLES = (1, 2, 4, 8, 16)


class OneWayDiscriminator(nn.Module):
    """One score per (image, sentence) pair, no unconditional output.

    Image [B, 3, image_size, image_size] in [-1, 1] -> log2(image_size / 4) halving blocks, widths 1, 2, 4,
    8, 16, 16, ... times ``width`` -> [B, feature_channels, 4, 4]; the sentence [B, text] is tiled beside it
    and two convolutions give a logit. Image features do not depend on the sentence, so matched and
    mismatched pairs share one pass over the image. ``dead_shortcuts`` adds the unused 1x1 convolutions of
    the released code (see ``DownBlock``).
    """

    def __init__(
        self, width: int = 64, image_size: int = 256, *, text: int = 256, dead_shortcuts: bool = False
    ) -> None:
        super().__init__()
        ratio = image_size // HEAD_SIZE
        if ratio < 2 or ratio * HEAD_SIZE != image_size or ratio & (ratio - 1):
            raise ReproError(
                f"image_size {image_size}: the discriminator halves the image down to {HEAD_SIZE} px, "
                f"so it must be {HEAD_SIZE} times a power of two and at least {2 * HEAD_SIZE}"
            )
        depth = ratio.bit_length() - 1
        widths = [width * MULTIPLES[min(level, len(MULTIPLES) - 1)] for level in range(depth + 1)]
        self.feature_channels = widths[-1]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            DownBlock(widths[level], widths[level + 1], dead_shortcut=dead_shortcuts) for level in range(depth)
        )
        self.joint = nn.Sequential(
            nn.Conv2d(self.feature_channels + text, 2 * width, 3, padding=1, bias=False),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(2 * width, 1, HEAD_SIZE, bias=False),
        )

    def features(self, images: Tensor) -> Tensor:
        """Image features [B, feature_channels, 4, 4]."""
        features: Tensor = self.stem(images)
        for block in self.blocks:
            features = block(features)
        return features

    def judge(self, features: Tensor, sentence: Tensor) -> Tensor:
        """Logits [B] that the image behind ``features`` is real and matches ``sentence``."""
        joined = torch.cat([features, tile_sentence(sentence, features.shape[2:])], dim=1)
        logits: Tensor = self.joint(joined)
        return logits.flatten()

    def forward(self, images: Tensor, sentence: Tensor) -> Tensor:
        return self.judge(self.features(images), sentence)
