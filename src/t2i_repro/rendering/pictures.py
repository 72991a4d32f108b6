"""Grids of pictures with headings, captions and notes, as PNG and PDF."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from PIL import ImageFont

# Inches. A figure is between 3.4 and 7 wide, a column's text and a page's, and is printed at that width; no text is
# below 6.5 pt there.
WIDEST, NARROWEST = 7.0, 3.4
LARGEST, SMALLEST = 1.25, 0.8  # size of a picture with the space around it
TALL = 8.0  # height of all rows if captions are short; more than 10 rows take more
TEXT = 1.5  # minimum width of the column of captions
SPACE = 0.05
DPI = 200
SIZES = {"head": 8.0, "text": 7.5, "small": 6.5}  # points
GREY = "0.35"
FACE = "DejaVu Serif"  # part of matplotlib


@dataclass(frozen=True)
class Picture:
    """An image uint8 [S, S, 3], or a mask [s, s], drawn from its least value (black) to its greatest (white).

    ``under``: a few characters below it.
    """

    pixels: npt.NDArray[Any]
    under: str = ""


@dataclass(frozen=True)
class Row:
    """A caption and its pictures, one for each column.

    ``small``: lines below the caption. ``apart``: separated from the row above by a line.
    """

    text: str
    pictures: Sequence[Picture]
    small: Sequence[str] = ()
    apart: bool = False


@dataclass(frozen=True)
class Grid:
    """Rows of pictures. ``columns``: heading and a small line below it. ``notes``: sentences below the grid."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Row]
    notes: Sequence[str]


@dataclass(frozen=True)
class Layout:
    """Sizes in inches. ``size``: of a picture. ``text``: width of the captions left of their row; 0 if they are above
    it. ``across``: pictures in a line; longer rows are broken."""

    width: float
    size: float
    text: float
    across: int

    @property
    def captions_left(self) -> bool:
        return self.text > 0


def choose_layout(columns: int, rows: int) -> Layout:
    """Make pictures as large as fits. Captions are left of them if they stay large enough. Break long rows evenly."""
    largest = min(LARGEST, max(SMALLEST, TALL / rows))
    size = min(largest, (WIDEST - TEXT) / columns)
    if size >= SMALLEST:
        width = max(NARROWEST, TEXT + columns * size)
        return Layout(width, size, width - columns * size, columns)
    lines = -(-columns // int(WIDEST / SMALLEST))
    across = -(-columns // lines)
    size = min(largest, WIDEST / across)
    return Layout(max(NARROWEST, across * size), size, 0.0, across)


def draw_grid(grid: Grid, out: Path) -> None:
    """Write ``figure.png`` and ``figure.pdf``, with vector text and unsmoothed pictures; the same bytes every time."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every table of a font that it leaves out
    # In the PDF, text can be searched and each picture is a separate image.
    with rc_context({"pdf.fonttype": 42, "image.composite_image": False, "font.family": "serif", "font.serif": [FACE]}):
        figure = Drawing(grid).draw()
        figure.savefig(out / "figure.png", dpi=DPI, metadata={"Software": None})
        figure.savefig(out / "figure.pdf", dpi=DPI, metadata={"CreationDate": None})


class Drawing:
    """A grid while it is drawn. Lengths are in inches from the upper left corner."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.layout = grid, choose_layout(len(grid.columns), len(grid.rows))
        self.axes: Axes

    def draw(self) -> Figure:
        # The first pass finds the height.
        self.axes = Figure().add_axes((0, 0, 1, 1))
        height = self.fill()
        figure = Figure(figsize=(self.layout.width, height), facecolor="white")
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.fill()
        self.axes.set(xlim=(0, self.layout.width), ylim=(height, 0), aspect="auto")
        return figure

    def fill(self) -> float:
        """Draw everything. Returns the height."""
        top = SPACE
        if self.one_line:
            top = self.headings(top, self.grid.columns)
        for index, row in enumerate(self.grid.rows):
            if index and row.apart:
                self.axes.plot([SPACE, self.layout.width - SPACE], [top + SPACE] * 2, color="0.75", linewidth=0.5)
                top += 2 * SPACE
            top = self.row(row, top)
        top += SPACE
        for note in self.grid.notes:
            top = self.text(SPACE, top, note, self.layout.width - 2 * SPACE, "small", color=GREY)
        return top + SPACE

    @property
    def one_line(self) -> bool:
        """Whether a row fits in a line, so that headings are drawn once."""
        return self.layout.across == len(self.grid.columns)

    def headings(self, top: float, columns: Sequence[tuple[str, str]]) -> float:
        """Draw names above the columns. Returns the top of what follows."""
        bottoms = [top]
        for column, (name, small) in enumerate(columns):
            left, width = self.layout.text + column * self.layout.size, self.layout.size - SPACE
            below = self.text(left + SPACE / 2, top, name, width, "head", centre=True) if name else top
            if small:
                below = self.text(left + SPACE / 2, below, small, width, "small", centre=True, color=GREY)
            bottoms.append(below)
        return max(bottoms) + (SPACE / 2 if max(bottoms) > top else 0)

    def row(self, row: Row, top: float) -> float:
        """Draw a caption and its pictures. Returns the top of the next row."""
        layout, start = self.layout, top
        width = (layout.text if layout.captions_left else layout.width) - 2 * SPACE
        caption_end = self.text(SPACE, top + SPACE / 2, row.text, width, "text")
        for line in row.small:
            caption_end = self.text(SPACE, caption_end, line, width, "small", color=GREY)
        top = start if layout.captions_left else caption_end + SPACE / 2
        for first in range(0, len(row.pictures), layout.across):
            chunk = slice(first, first + layout.across)
            if not self.one_line:
                top = self.headings(top, self.grid.columns[chunk])
            top = self.line(row.pictures[chunk], top)
        return max(top, caption_end + SPACE / 2) if layout.captions_left else top + SPACE

    def line(self, pictures: Sequence[Picture], top: float) -> float:
        """Draw pictures next to each other, with the characters below them. Returns the top of what follows."""
        size = self.layout.size
        below = top + size
        for column, picture in enumerate(pictures):
            left = self.layout.text + column * size + SPACE / 2
            self.picture(picture, left, top + SPACE / 2)
            if picture.under:
                under = self.text(left, top + size - SPACE / 2, picture.under, size, "small", centre=True, color=GREY)
                below = max(below, under)
        return below

    def picture(self, picture: Picture, left: float, top: float) -> None:
        size = self.layout.size - SPACE
        grey_scale = {} if picture.pixels.ndim == 3 else stretch(picture.pixels)
        extent = (left, left + size, top + size, top)
        self.axes.imshow(picture.pixels, interpolation="nearest", extent=extent, aspect="auto", **grey_scale)

    def text(
        self, left: float, top: float, text: str, width: float, size: str, *, centre: bool = False, color: str = "black"
    ) -> float:
        """Draw text in lines no longer than ``width``. Returns the top of what follows."""
        points = SIZES[size]
        step = points / 72 * 1.25
        lines = wrap(text, width * 72 / points)
        for index, line in enumerate(lines):
            self.axes.text(
                left + width / 2 if centre else left,
                top + (index + 0.5) * step,
                line,
                ha="center" if centre else "left",
                va="center",
                fontsize=points,
                color=color,
                parse_math=False,
            )
        return top + len(lines) * step


@cache
def font() -> ImageFont.FreeTypeFont:
    """The font of all text, to measure lengths."""
    return ImageFont.truetype(findfont(FontProperties(family=FACE)), 100)


def wrap(text: str, width: float) -> list[str]:
    """Break text into lines no wider than ``width`` ems, within a word only if it is wider than a line."""
    lines: list[str] = []
    for word in text.split():
        while len(word) > 1 and length(word) > width:
            fits = next((count for count in range(len(word) - 1, 1, -1) if length(word[:count]) <= width), 1)
            lines.append(word[:fits])
            word = word[fits:]
        if lines and length(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def length(text: str) -> float:
    """Width of a line in ems, plus 4% because small letters are set on whole pixels."""
    return 1.04 * font().getlength(text) / 100


def stretch(mask: npt.NDArray[Any]) -> dict[str, Any]:
    """Arguments of imshow for a grey scale over the mask's own range; a constant mask is plain grey."""
    low, high = float(mask.min()), float(mask.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return {"cmap": "gray", "vmin": low, "vmax": high}


def mask_range(mask: npt.NDArray[np.floating[Any]]) -> str:
    """The text below a mask: `0.12 to 0.98`."""
    return f"{mask.min():.2f} to {mask.max():.2f}"
