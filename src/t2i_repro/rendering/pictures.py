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

# Inches. A figure is at most as wide as a page's text, at least as a column's, and prints at that width: no text is
# below 6.5 pt there.
WIDEST, NARROWEST = 7.0, 3.4
LARGEST, SMALLEST = 1.25, 0.8  # side of a picture with the space beside it
TALL = 8.0  # of all rows where captions are short; more than 10 rows take more
TEXT = 1.5  # least width of the column of captions
SPACE = 0.05
DPI = 200
SIZES = {"head": 8.0, "text": 7.5, "small": 6.5}  # points
GREY = "0.35"
FACE = "DejaVu Serif"  # comes with matplotlib


@dataclass(frozen=True)
class Picture:
    """An image uint8 [S, S, 3], or a mask [s, s], drawn from its least value (black) to its greatest (white).
    ``under``: a few characters beneath it."""

    pixels: npt.NDArray[Any]
    under: str = ""


@dataclass(frozen=True)
class Row:
    """A caption and its pictures, one for each column. ``small``: lines beneath the caption; ``apart``: set off from
    the row above."""

    text: str
    pictures: Sequence[Picture]
    small: Sequence[str] = ()
    apart: bool = False


@dataclass(frozen=True)
class Grid:
    """``columns``: heading and a small line beneath it."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Row]
    notes: Sequence[str]


@dataclass(frozen=True)
class Layout:
    """Where things stand, in inches. ``beside``: captions stand at the left, in ``text`` inches; else above their row.
    A row is broken after ``across`` pictures."""

    width: float
    side: float
    text: float
    across: int

    @property
    def beside(self) -> bool:
        return self.text > 0


def lay_out(columns: int, rows: int) -> Layout:
    """Pictures as large as fit, captions at their left if they stay large enough. Long rows are broken evenly."""
    largest = min(LARGEST, max(SMALLEST, TALL / rows))
    side = min(largest, (WIDEST - TEXT) / columns)
    if side >= SMALLEST:
        width = max(NARROWEST, TEXT + columns * side)
        return Layout(width, side, width - columns * side, columns)
    lines = -(-columns // int(WIDEST / SMALLEST))
    across = -(-columns // lines)
    side = min(largest, WIDEST / across)
    return Layout(max(NARROWEST, across * side), side, 0.0, across)


def draw_grid(grid: Grid, out: Path) -> None:
    """Write ``figure.png`` and ``figure.pdf``: vector text and unsmoothed pictures, the same bytes every time."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of a font it leaves out
    # In the PDF text can be searched, and each picture is one of its own.
    with rc_context({"pdf.fonttype": 42, "image.composite_image": False, "font.family": "serif", "font.serif": [FACE]}):
        figure = Drawing(grid).draw()
        figure.savefig(out / "figure.png", dpi=DPI, metadata={"Software": None})
        figure.savefig(out / "figure.pdf", dpi=DPI, metadata={"CreationDate": None})


class Drawing:
    """One grid on its way to paper; lengths in inches from the upper left corner."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.layout = grid, lay_out(len(grid.columns), len(grid.rows))
        self.bottom = 0.0
        self.axes: Axes

    def draw(self) -> Figure:
        # Once to learn the height, once to draw.
        self.axes = Figure().add_axes((0, 0, 1, 1))
        height = self.fill()
        figure = Figure(figsize=(self.layout.width, height), facecolor="white")
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.fill()
        self.axes.set(xlim=(0, self.layout.width), ylim=(height, 0), aspect="auto")
        return figure

    def fill(self) -> float:
        """Put everything in its place. Returns the height."""
        top = SPACE
        if self.one_line:
            top = self.headings(top, self.grid.columns)
        for number, row in enumerate(self.grid.rows):
            if number and row.apart:
                self.axes.plot([SPACE, self.layout.width - SPACE], [top + SPACE] * 2, color="0.75", linewidth=0.5)
                top += 2 * SPACE
            top = self.row(row, top)
        top += SPACE
        for note in self.grid.notes:
            top = self.text(SPACE, top, note, self.layout.width - 2 * SPACE, "small", color=GREY)
        return top + SPACE

    @property
    def one_line(self) -> bool:
        return self.layout.across == len(self.grid.columns)

    def headings(self, top: float, columns: Sequence[tuple[str, str]]) -> float:
        """Names above the columns. Returns where the row may begin."""
        bottoms = [top]
        for place, (name, small) in enumerate(columns):
            left, width = self.layout.text + place * self.layout.side, self.layout.side - SPACE
            below = self.text(left + SPACE / 2, top, name, width, "head", centre=True) if name else top
            if small:
                below = self.text(left + SPACE / 2, below, small, width, "small", centre=True, color=GREY)
            bottoms.append(below)
        return max(bottoms) + (SPACE / 2 if max(bottoms) > top else 0)

    def row(self, row: Row, top: float) -> float:
        """A caption and its pictures. Returns where the next row may begin."""
        layout, start = self.layout, top
        width = (layout.text if layout.beside else layout.width) - 2 * SPACE
        told = self.text(SPACE, top + SPACE / 2, row.text, width, "text")
        for line in row.small:
            told = self.text(SPACE, told, line, width, "small", color=GREY)
        top = start if layout.beside else told + SPACE / 2
        for first in range(0, len(row.pictures), layout.across):
            chunk = slice(first, first + layout.across)
            if not self.one_line:
                top = self.headings(top, self.grid.columns[chunk])
            below = top + layout.side
            for place, picture in enumerate(row.pictures[chunk]):
                left = layout.text + place * layout.side + SPACE / 2
                self.picture(picture, left, top + SPACE / 2)
                if picture.under:
                    below = max(
                        below,
                        self.text(
                            left,
                            top + layout.side - SPACE / 2,
                            picture.under,
                            layout.side,
                            "small",
                            centre=True,
                            color=GREY,
                        ),
                    )
            top = below
        return max(top, told + SPACE / 2) if layout.beside else top + SPACE

    def picture(self, picture: Picture, left: float, top: float) -> None:
        side = self.layout.side - SPACE
        look = {} if picture.pixels.ndim == 3 else stretch(picture.pixels)
        extent = (left, left + side, top + side, top)
        self.axes.imshow(picture.pixels, interpolation="nearest", extent=extent, aspect="auto", **look)

    def text(
        self, left: float, top: float, text: str, width: float, size: str, *, centre: bool = False, color: str = "black"
    ) -> float:
        """Text in lines no longer than ``width``. Returns where the next may begin."""
        points = SIZES[size]
        step = points / 72 * 1.25
        lines = wrap(text, width * 72 / points)
        for number, line in enumerate(lines):
            self.axes.text(
                left + width / 2 if centre else left,
                top + (number + 0.5) * step,
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
    """The face of all text, to measure it."""
    return ImageFont.truetype(findfont(FontProperties(family=FACE)), 100)


def wrap(text: str, width: float) -> list[str]:
    """Lines no wider than ``width`` ems, broken between words, within one only where it is wider than a line."""
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
    """Width of a line in ems, with a little to spare: small letters are set on whole pixels."""
    return 1.04 * font().getlength(text) / 100


def stretch(mask: npt.NDArray[Any]) -> dict[str, Any]:
    """Grey scale over the mask's own range; a constant mask is plain grey."""
    low, high = float(mask.min()), float(mask.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return {"cmap": "gray", "vmin": low, "vmax": high}


def extremes(mask: npt.NDArray[np.floating[Any]]) -> str:
    """What stands beneath a mask."""
    return f"{mask.min():.2f} to {mask.max():.2f}"
