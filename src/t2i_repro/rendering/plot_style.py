"""Style and files of every plot: the same bytes for the same numbers, text that can be searched, marks that differ in
shape as well as in colour."""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from t2i_repro.core.record import atomic_write
from t2i_repro.core.text import csv_text
from t2i_repro.rendering.pictures import wrap

# Okabe and Ito's blue, vermilion, green, nearly black and sky blue, which dichromats tell apart best.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#222222", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (2.5, 1)))
COLUMN = 3.4  # inches: width of a column of text
GREY, RULE = "0.35", "0.85"
SMALL = 6.5  # points; nothing is smaller at the width of a column
LINE = SMALL / 72 * 1.25  # inches: height of a line of notes
DPI = 200
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "t2i-repro",
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "font.family": "serif",
    "font.serif": ["DejaVu Serif"],
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0.0,
    "xtick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.6,
}
# Metadata that matplotlib would write: dates and its own version change the bytes.
METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def mark(index: int) -> dict[str, Any]:
    """Colour and shape of series number `index` of a plot."""
    style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
    return {**style, "markeredgecolor": "white", "markeredgewidth": 0.4}  # marks that overlap stay apart


@contextmanager
def plot_style() -> Iterator[None]:
    """The style, to be active while a figure is made and saved."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every table of a font that it leaves out
    with rc_context(STYLE):
        yield


def figure_with_notes(
    width: float, plot: float, labels: float, notes: Sequence[str], above: float = 0.2
) -> tuple[Figure, float, float]:
    """A figure with notes at its foot.

    Lengths are in inches. ``plot``: height of the axes; ``labels``: between axes and notes; ``above``: over the axes.
    Returns the figure, and the positions above and below the axes as fractions of its height.
    """
    lines = [line for note in notes for line in wrap(note, (width - 0.2) * 72 / SMALL)]
    below = labels + LINE * len(lines) + 0.05
    height = below + plot + above
    figure = Figure(figsize=(width, height), facecolor="white")
    for index, line in enumerate(lines):
        bottom = (0.05 + LINE * (len(lines) - index - 1)) / height
        figure.text(0.05 / width, bottom, line, fontsize=SMALL, color=GREY, parse_math=False)
    return figure, (below + plot + 0.03) / height, below / height


def save(figure: Figure, path: Path, *suffixes: str) -> None:
    """Write a figure to `path` with each of the suffixes (svg, pdf, png)."""
    for suffix in suffixes:
        with atomic_write(path.with_name(f"{path.name}.{suffix}")) as file:
            figure.savefig(file, format=suffix, dpi=DPI, metadata=METADATA[suffix])


def write_numbers(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the plotted numbers as CSV, with all their digits; a missing one is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_text, rows[0]))
    for row in rows:
        writer.writerow(
            "" if value is None else csv_text(value) if isinstance(value, str) else repr(value)
            for value in row.values()
        )
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
