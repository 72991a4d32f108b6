"""Decode, crop and resize image files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from t2i_repro.errors import ReproError

DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_ORIENTATION = 0x0112  # EXIF tag


def short_side(image_size: int) -> int:
    """Short side of a stored image: the papers resize to 76/64 of the size that they crop (304 for 256)."""
    return int(image_size * 76 / 64)


def decode_image(raw: bytes, name: str) -> tuple[Image.Image, list[str]]:
    """RGB image, and what was converted to get it ("greyscale", "palette", "cmyk", "16-bit", ...).

    16-bit samples are scaled by 255/65535, transparency is composited on white. An EXIF orientation is reported but not
    applied: the official code does not apply it, and boxes refer to the stored pixels.
    Raises ReproError naming the file when it is truncated or not an image.
    """
    notes: list[str] = []
    try:
        image: Image.Image = Image.open(io.BytesIO(raw))
        deep = any("16" in str(tile[3]) for tile in getattr(image, "tile", ())) or image.mode.startswith("I")
        image.load()
        if image.getexif().get(_ORIENTATION, 1) not in (0, 1):
            notes.append("exif orientation ignored")
    except DAMAGED as error:
        raise ReproError(
            f"{name}: not an image, or damaged ({len(raw)} bytes: {error}). Restore the official file; see "
            f"`python -m t2i_repro fetch`."
        ) from error
    mode = image.mode
    if mode == "F":
        raise ReproError(f"{name}: floating-point pixels have no defined range; expected 8 or 16 bits per sample")
    if mode in ("1", "L", "LA", "La") or mode.startswith("I"):
        notes.append("greyscale")
    elif mode in ("P", "PA"):
        notes.append("palette")
    elif mode == "CMYK":
        notes.append("cmyk")
    if deep:
        notes.append("16-bit")
    if mode.startswith("I"):
        image = _eight_bits(image, name)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        notes.append("transparency")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB"), notes


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    samples = np.asarray(image).astype(np.float64)
    if samples.min() < 0 or samples.max() > 65535:
        raise ReproError(f"{name}: samples of {samples.min():.0f}..{samples.max():.0f}, expected 16 bits (0..65535)")
    return Image.fromarray(np.rint(samples * (255 / 65535)).astype(np.uint8))


def crop_to_box(image: Image.Image, box: tuple[float, float, float, float], name: str) -> tuple[Image.Image, bool]:
    """Square of 1.5 times the longer side of the box (x, y, width, height), around its centre, cut at the border.

    As in StackGAN and its descendants: r = int(0.75 max(w, h)) around (int((2x+w)/2), int((2y+h)/2)), with the box
    first rounded down to integers. The second value says whether the box extends beyond the image.
    Raises ReproError when the box is empty or completely outside.
    """
    x, y, width, height = (int(value) for value in box)
    columns, rows = image.size
    place = f"{name}: box (x, y, width, height) = {box}"
    if width <= 0 or height <= 0:
        raise ReproError(f"{place} is empty; expected width and height of at least 1 pixel")
    if x >= columns or y >= rows or x + width <= 0 or y + height <= 0:
        raise ReproError(f"{place} lies outside the image of {columns} x {rows} pixels; was the image resized?")
    r = int(max(width, height) * 0.75)
    centre_x, centre_y = int((2 * x + width) / 2), int((2 * y + height) / 2)
    left, upper = max(0, centre_x - r), max(0, centre_y - r)
    right, lower = min(columns, centre_x + r), min(rows, centre_y + r)
    if right <= left or lower <= upper:
        raise ReproError(f"{place} leaves nothing of the image of {columns} x {rows} pixels; correct the box")
    # One pixel of slack: boxes are given with decimals and rounded above.
    beyond = x < 0 or y < 0 or x + width > columns + 1 or y + height > rows + 1
    return image.crop((left, upper, right, lower)), beyond


def resize_shorter(image: Image.Image, side: int) -> Image.Image:
    """Bilinear resize of the shorter side to ``side``; keeps the aspect ratio (longer side rounded down)."""
    width, height = image.size
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)
