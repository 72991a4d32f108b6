"""The page's plots as files to take away, SVG and PDF: losses of a run, and what papers print of the same thing.

The page draws its own (charts.py, dots.py), in the colours of the reader's choice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from t2i_repro.audit.contradictions import Compared
from t2i_repro.rendering.charts import POINTS, Curve, bucketed, nice_ticks
from t2i_repro.rendering.plot_style import COLUMN, GREY, SMALL, drawing, mark, save, sheet

ACROSS = 2  # panels of losses beside each other
PANEL, TITLE, TICKS = 0.75, 0.2, 0.2  # inches: height of a panel, above it, below it
LEFT, RIGHT = 0.46, 0.08
NAMES, ROW = 1.3, 0.17  # inches: width of the names of rows, height of a row
ASIDE = 0.13  # of a row: from one paper's marks to the next one's


def save_losses(path: Path, curves: Sequence[Curve], notes: Sequence[str]) -> None:
    """A panel per loss, each on its own scale, over training steps; where a point stands for several steps, with a band
    from their least to their greatest value."""
    lines = -(-len(curves) // ACROSS)
    each = TITLE + PANEL + TICKS
    with drawing():
        figure, _, foot = sheet(COLUMN, lines * each, 0.25, notes, above=0.05)
        height = figure.get_figheight()
        for number, curve in enumerate(curves):
            line, column = divmod(number, ACROSS)
            left = (column * COLUMN / ACROSS + LEFT) / COLUMN
            bottom = foot + ((lines - 1 - line) * each + TICKS) / height
            axes = figure.add_axes((left, bottom, (COLUMN / ACROSS - LEFT - RIGHT) / COLUMN, PANEL / height))
            draw_losses(axes, curve)
            if number + ACROSS >= len(curves):
                axes.set_xlabel("step", labelpad=1.5, fontsize=SMALL)
        save(figure, path, "svg", "pdf")


def draw_losses(axes: Axes, curve: Curve) -> None:
    buckets = bucketed(curve)
    steps = [bucket[0] for bucket in buckets]
    if len(curve.steps) > POINTS:
        least, greatest = [bucket[2] for bucket in buckets], [bucket[3] for bucket in buckets]
        axes.fill_between(steps, least, greatest, color=mark(0)["color"], alpha=0.2, linewidth=0)
    axes.plot(steps, [bucket[1] for bucket in buckets], color=mark(0)["color"], linewidth=0.9, gid=f"loss-{curve.name}")
    axes.set_title(curve.name, loc="left", pad=3, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))


def save_disagreements(path: Path, compared: Sequence[Compared], papers: Sequence[str], notes: Sequence[str]) -> None:
    """A row for each thing that several papers print, a mark for each value, as a multiple of the row's smallest."""
    with drawing():
        figure, top, foot = sheet(COLUMN, ROW * len(compared), 0.42, notes)
        width, height = 1 - (NAMES + RIGHT) / COLUMN, ROW * len(compared) / figure.get_figheight()
        axes = figure.add_axes((NAMES / COLUMN, foot, width, height))
        rows = range(len(compared))
        axes.hlines(rows, 1.0, [1 + one.spread for one in compared], color=GREY, linewidth=0.6, zorder=1.5)
        for number, paper in enumerate(papers):
            found = [
                (given.cell.value / least if least else 1.0, row)
                for row, one in enumerate(compared)
                for least in [min(given.cell.value or 0.0 for given in one.prints)]
                for given in one.prints
                if given.cell.paper == paper and given.cell.value is not None
            ]
            shift = ASIDE * (number - (len(papers) - 1) / 2)  # equal values stay apart
            places, heights = [place for place, _ in found], [row + shift for _, row in found]
            axes.plot(places, heights, linestyle="none", label=paper, gid=f"paper-{paper}", **mark(number))
        axes.set_yticks(rows, labels=[one.title for one in compared], parse_math=False)
        axes.set_ylim(len(compared) - 0.5, -0.5)
        axes.set_xlabel("multiple of the smallest printed value")
        reach = nice_ticks(1.0, max(1.02, *(1 + one.spread for one in compared)))
        axes.set_xticks([tick for tick in reach if tick >= 1])
        place: dict[str, Any] = {
            "loc": "lower left",
            "bbox_to_anchor": (0.02, top),
            "handletextpad": 0.1,
            "columnspacing": 0.9,
        }
        figure.legend(ncols=len(papers), frameon=False, borderpad=0, fontsize=SMALL, **place)
        save(figure, path, "svg", "pdf")
