"""One-stage generators: DF-GAN in its 2020 form and SSA-GAN, one class over two kinds of block."""

from typing import Literal

import torch
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.errors import ReproError
from t2i_repro.models.blocks import LEAK, AffineBlock, SemanticSpatialBlock

BlockKind = Literal["affine", "semantic-spatial"]
BLOCKS: tuple[BlockKind, ...] = ("affine", "semantic-spatial")
FEWEST_BLOCKS = 4


def block_count(image_size: int, base_size: int) -> int:
    """Blocks from first map to image: log2(image_size / base_size) + 1; the first does not upsample."""
    ratio = image_size // base_size if base_size > 0 else 0
    if ratio < 1 or ratio * base_size != image_size or ratio & (ratio - 1):
        raise ReproError(
            f"image_size {image_size} is not base_size {base_size} times a power of two; change one of them"
        )
    return ratio.bit_length()


def channel_multiples(blocks: int) -> list[int]:
    """Width of each block's output in units of ``width``: 8, halved by each of the last three blocks."""
    if blocks < FEWEST_BLOCKS:
        raise ReproError(f"base_size: {blocks} blocks from it to the image, at least {FEWEST_BLOCKS} needed; lower it")
    return [8] * (blocks - 3) + [4, 2, 1]


class OneStageGenerator(nn.Module):
    """Noise and sentence vector to an image in one pass (SSA-GAN Fig. 2).

    ``forward(noise [B, noise], sentence [B, text])`` -> images [B, 3, image_size, image_size] in [-1, 1].
    The noise alone gives the first map (8 * width channels, base_size x base_size); the sentence enters
    through every block.

    ``masks``: how many blocks, counted from the last, have a mask (SSA-GAN Table 3); None means all.
    Blocks without mask modulate everywhere (m = 1) and own no predictor.
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
        noise: int = 100,
        text: int = 256,
        hidden: int = 256,
        mask_hidden: int = 100,
        modulation: Form = "code",
        upsampling: Form = "code",
        mask_source: Form = "code",
    ) -> None:
        super().__init__()
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

        self.image_size, self.base_size = image_size, base_size
        self.noise, self.text, self.masks = noise, text, masks
        self.fc = nn.Linear(noise, 8 * width * base_size * base_size)
        self.blocks = nn.ModuleList()
        for index, (channels_in, channels_out) in enumerate(zip(inputs, outputs, strict=True)):
            grow = index > 0
            if block == "affine":
                self.blocks.append(
                    AffineBlock(channels_in, channels_out, text=text, hidden=hidden, grow=grow, upsampling=upsampling)
                )
            else:
                self.blocks.append(
                    SemanticSpatialBlock(
                        channels_in,
                        channels_out,
                        text=text,
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

    def draw_noise(self, count: int, device: torch.device | str | None = None) -> Tensor:
        """z ~ N(0, 1), [count, noise], from the default random stream of ``device``."""
        return torch.randn(count, self.noise, device=device)
