"""Drawing with anti-aliasing, relief and texture; all lengths in pixels of the finished picture."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[float, float, float]  # each 0..1
Points = npt.NDArray[np.float64]  # [n, 2]: x to the right, y downwards
Field = npt.NDArray[np.float32]

COLOURS: dict[str, Colour] = {
    "red": (0.80, 0.10, 0.10),
    "orange": (0.95, 0.50, 0.08),
    "yellow": (0.96, 0.84, 0.15),
    "green": (0.25, 0.62, 0.22),
    "blue": (0.15, 0.35, 0.82),
    "purple": (0.50, 0.22, 0.66),
    "pink": (0.95, 0.55, 0.70),
    "brown": (0.45, 0.28, 0.14),
    "black": (0.09, 0.09, 0.11),
    "white": (0.94, 0.94, 0.92),
    "grey": (0.53, 0.54, 0.56),
}


def smooth_noise(rng: np.random.Generator, width: int, height: int, cells: float, stretch: float = 1) -> Field:
    """[height, width] field of 0..1 with about ``cells`` bumps along the shorter side; ``stretch`` widens them."""
    short = min(width, height)
    columns = max(2, round(cells * width / short / stretch) + 1)
    rows = max(2, round(cells * height / short) + 1)
    coarse = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
    field = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(field, 0, 1)


def blend(first: Colour, second: Colour, weight: Field) -> Field:
    """[..., 3]: from ``first`` (weight 0) to ``second`` (weight 1)."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return a + weight[..., None] * (b - a)


def rounded(points: list[tuple[float, float]] | Points, times: int = 3) -> Points:
    """A closed polygon with its corners cut ``times`` times (Chaikin): a smooth outline."""
    outline = np.asarray(points, dtype=np.float64)
    for _ in range(times):
        following = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following], 1)
        outline = outline.reshape(-1, 2)
    return outline


def oval(x: float, y: float, a: float, b: float, start: float = 0, stop: float = 360) -> Points:
    """Points on an ellipse with half axes a and b, from one angle to another (degrees, clockwise from the right)."""
    angle = np.radians(np.linspace(start, stop, 28))
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], 1)


def shaded(colour: Colour, factor: float) -> Colour:
    """Darker (factor < 1) or lighter (factor > 1, towards white)."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    share = min(1.0, factor - 1)
    red, green, blue = (value + share * (1 - value) for value in colour)
    return (red, green, blue)


class Canvas:
    """A background to draw objects on.

    ``place`` maps the points given to ``fill`` and ``stroke`` to pixels (set it to move, turn or mirror an object).
    What is drawn with ``solid`` gets relief and counts for ``bounds``.
    """

    def __init__(self, background: Field, rng: np.random.Generator) -> None:
        self.height, self.width = background.shape[:2]
        self.rng = rng
        self.scale = max(2, min(4, 400 // min(self.width, self.height)))
        small = Image.fromarray((np.clip(background, 0, 1) * 255).astype(np.uint8))
        size = (self.width * self.scale, self.height * self.scale)
        self._image = small.resize(size, Image.Resampling.NEAREST)
        self._mask = Image.new("L", size)
        self._draw, self._draw_mask = ImageDraw.Draw(self._image), ImageDraw.Draw(self._mask)
        self.place: Callable[[Points], Points] = lambda points: points

    def fill(self, points: Points | list[tuple[float, float]], colour: Colour, solid: bool = True) -> None:
        """A polygon."""
        corners = (self.place(np.asarray(points, dtype=np.float64)) * self.scale).ravel().tolist()
        self._draw.polygon(corners, fill=_bytes(colour))
        if solid:
            self._draw_mask.polygon(corners, fill=255)

    def stroke(
        self, points: Points | list[tuple[float, float]], width: float, colour: Colour, solid: bool = True
    ) -> None:
        """A line ``width`` pixels of the finished picture thick."""
        corners = (self.place(np.asarray(points, dtype=np.float64)) * self.scale).ravel().tolist()
        thick = max(1, round(width * self.scale))
        self._draw.line(corners, fill=_bytes(colour), width=thick, joint="curve")
        if solid:
            self._draw_mask.line(corners, fill=255, width=thick, joint="curve")

    def bounds(self) -> tuple[int, int, int, int]:
        """Box (x, y, width, height) of all that is solid so far."""
        box = self._mask.getbbox() or (0, 0, *self._mask.size)
        left, upper = box[0] // self.scale, box[1] // self.scale
        return left, upper, -(-box[2] // self.scale) - left, -(-box[3] // self.scale) - upper

    def finish(self, relief: float = 1.0, texture: float = 0.10) -> Image.Image:
        """The picture: reduced to size, solid parts lit from the upper left and textured, grain over all."""
        pixels = np.asarray(self._image.reduce(self.scale), dtype=np.float32) / 255
        mask = self._mask.reduce(self.scale)
        radius = min(self.width, self.height) * 0.045
        bump = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255
        down, right = np.gradient(bump)
        solid = np.asarray(mask, dtype=np.float32) / 255
        light = 1 + solid * relief * radius * 0.5 * (0.8 * down + 0.6 * right)
        fine = smooth_noise(self.rng, self.width, self.height, 26, stretch=1.6) - 0.5
        light += solid * texture * 2 * fine
        grain = self.rng.normal(0, 0.012, pixels.shape).astype(np.float32)
        return Image.fromarray((np.clip(pixels * light[..., None] + grain, 0, 1) * 255).astype(np.uint8))


def _bytes(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(1.0, max(0.0, value))) for value in colour)
    return red, green, blue


def jittered(name: str, rng: np.random.Generator, amount: float = 0.035) -> Colour:
    """A colour by name, a little different each time but still the colour named."""
    light = rng.normal(1, amount)
    red, green, blue = (min(1.0, max(0.0, value * light + rng.normal(0, amount / 2))) for value in COLOURS[name])
    return red, green, blue


def backdrop(kind: str, width: int, height: int, rng: np.random.Generator) -> Field:
    """[height, width, 3] background of a kind: leaves, sky, water, grass, snow, sand or dark."""
    large = smooth_noise(rng, width, height, rng.uniform(2, 4))
    if kind == "sky":
        fall = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        base = blend((0.42, 0.66, 0.93), (0.74, 0.87, 0.97), np.clip(fall + 0.15 * (large - 0.5), 0, 1))
        clouds = smooth_noise(rng, width, height, 4, stretch=2)
        return base + 0.35 * (np.clip(clouds - 0.55, 0, 1) * 1.6)[..., None]
    if kind == "water":
        ripples = smooth_noise(rng, width, height, 22, stretch=7)
        return blend((0.20, 0.38, 0.50), (0.45, 0.63, 0.72), 0.45 * large + 0.55 * ripples)
    if kind == "snow":
        return blend((0.76, 0.82, 0.90), (0.93, 0.95, 0.98), large)
    if kind == "sand":
        fine = smooth_noise(rng, width, height, 30)
        return blend((0.72, 0.60, 0.42), (0.86, 0.77, 0.58), 0.6 * large + 0.4 * fine)
    if kind == "dark":
        return blend((0.04, 0.06, 0.05), (0.14, 0.18, 0.13), large)
    if kind == "grass":
        blades = smooth_noise(rng, height, width, 26, stretch=5).T
        return blend((0.24, 0.42, 0.13), (0.52, 0.68, 0.28), 0.5 * large + 0.5 * blades)
    leaves = smooth_noise(rng, width, height, rng.uniform(6, 10))
    return blend((0.13, 0.27, 0.12), (0.52, 0.65, 0.36), 0.55 * large + 0.45 * leaves)
