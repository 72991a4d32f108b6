"""Conversion of images to uint8, and grids of images with their captions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

INK, PAPER = (20, 20, 20), (255, 255, 255)


def to_uint8(images: Tensor) -> npt.NDArray[np.uint8]:
    """[B, 3, S, S] in [-1, 1] -> [B, S, S, 3], (x + 1) * 127.5 truncated, as in the code of every paper."""
    scaled = ((images.nan_to_num() + 1) * 127.5).clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, limit: int) -> list[str]:
    """Lines no wider than ``width`` pixels; text that does not fit into ``limit`` lines ends in an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > limit:
        lines = lines[:limit]
        while lines[-1] and font.getlength(f"{lines[-1]}…") > width:
            lines[-1] = lines[-1][:-1]
        lines[-1] += "…"
    return lines


def captioned_grid(
    images: npt.NDArray[np.uint8], captions: Sequence[str], columns: int = 4, size: int = 160, lines: int = 6
) -> Image.Image:
    """Images [N, S, S, 3] in rows of ``columns``, each with its caption below.

    Smaller images are enlarged to about ``size`` pixels, by an integer factor and without smoothing.
    """
    size = images.shape[1] * max(1, round(size / images.shape[1]))
    margin, font = 10, ImageFont.load_default(max(12, size // 13))
    columns = min(columns, len(images))
    wrapped = [wrap(caption, font, size, lines) for caption in captions]
    line = round(font.size * 1.25) if isinstance(font, ImageFont.FreeTypeFont) else 12
    height = size + 6 + line * max(map(len, wrapped), default=0) + margin
    rows = -(-len(images) // columns)
    grid = Image.new("RGB", (columns * (size + margin) + margin, rows * height + margin), PAPER)
    draw = ImageDraw.Draw(grid)
    for index, (pixels, text) in enumerate(zip(images, wrapped, strict=True)):
        row, column = divmod(index, columns)
        left, top = margin + column * (size + margin), margin + row * height
        grid.paste(Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST), (left, top))
        for line_index, words in enumerate(text):
            draw.text((left, top + size + 4 + line_index * line), words, INK, font)
    return grid
