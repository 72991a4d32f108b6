"""Dot plot of values that several papers print for the same quantity: on the page as SVG, in the page's colours, and as
files in the style of plots. Each paper has a shape and a colour."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2i_repro.audit.contradictions import Compared, Print
from t2i_repro.rendering.charts import nice_ticks, short
from t2i_repro.rendering.markup import environment
from t2i_repro.rendering.plot_style import COLUMN, GREY, SMALL, figure_with_notes, mark, plot_style, save

WIDTH, LEFT, RIGHT = 720, 230, 24  # user units; the page scales them
TOP, ROW, BOTTOM = 10, 24, 40
SIZE = 5.5
COLOURS = 5  # classes .mark-0 to .mark-4 of style.css, after Okabe and Ito
SHAPES = (  # circle, square, triangle, diamond, triangle down
    "M{x0} {y}A{s} {s} 0 1 0 {x1} {y}A{s} {s} 0 1 0 {x0} {y}Z",
    "M{x0} {y0}H{x1}V{y1}H{x0}Z",
    "M{x} {y0}L{x1} {y1}H{x0}Z",
    "M{x} {y0}L{x1} {y}L{x} {y1}L{x0} {y}Z",
    "M{x} {y1}L{x0} {y0}H{x1}Z",
)

FILE_NAMES, FILE_ROW, FILE_RIGHT = 1.3, 0.17, 0.08  # inches: width of the rows' names, height of a row, right margin
SHIFT = 0.13  # of a row: distance between the marks of two papers, so that equal values stay apart


def marker(index: int, x: float, y: float) -> str:
    """SVG path of the mark of paper `index` around a point."""
    points = {"x": x, "y": y, "x0": x - SIZE, "x1": x + SIZE, "y0": y - SIZE, "y1": y + SIZE, "s": SIZE}
    return SHAPES[index % len(SHAPES)].format(**{key: round(value, 1) for key, value in points.items()})


def multiples(one: Compared) -> list[tuple[Print, float]]:
    """The values printed for a quantity, each with its multiple of the smallest."""
    values = [(printed, printed.cell.value or 0.0) for printed in one.prints]
    smallest = min(value for _, value in values)
    return [(printed, value / smallest if smallest else 1.0) for printed, value in values]


def dot_plot(compared: Sequence[Compared], papers: Sequence[str]) -> str:
    """SVG with a row for each of `compared` and a mark for each value, at its multiple of the row's smallest. All text
    is escaped."""
    largest = max([one.spread for one in compared], default=0.0) + 1
    ticks = [tick for tick in nice_ticks(1.0, max(largest, 1.02)) if tick >= 1.0 - 1e-9]

    def x(ratio: float) -> float:
        return LEFT + (ratio - 1) / (ticks[-1] - 1) * (WIDTH - LEFT - RIGHT)

    rows: list[dict[str, Any]] = []
    for index, one in enumerate(compared):
        y = TOP + ROW * (index + 0.5)
        marks = [
            {
                "path": marker(papers.index(printed.cell.paper), x(multiple), y),
                "colour": papers.index(printed.cell.paper) % COLOURS,
                "text": f"{printed.cell.paper}: {printed.cell.text()}",
            }
            for printed, multiple in multiples(one)
        ]
        rows.append({"y": y, "title": one.title, "marks": marks, "from": x(1.0), "to": x(1 + one.spread)})
    height = TOP + ROW * len(rows) + BOTTOM
    return (
        environment()
        .get_template("dots.html")
        .render(
            rows=rows,
            ticks=[{"at": round(x(tick), 1), "text": short(tick)} for tick in ticks],
            width=WIDTH,
            height=height,
            left=LEFT,
            foot=height - BOTTOM,
        )
    )


def key_marks(papers: Sequence[str]) -> list[dict[str, Any]]:
    """The legend: paper, path of its mark in a square of 14 units, colour."""
    return [
        {"paper": paper, "path": marker(index, 7, 7), "colour": index % COLOURS} for index, paper in enumerate(papers)
    ]


def save_dot_plot(path: Path, compared: Sequence[Compared], papers: Sequence[str], notes: Sequence[str]) -> None:
    """Write the plot as `path` with suffixes svg and pdf."""
    with plot_style():
        figure, top, bottom = figure_with_notes(COLUMN, FILE_ROW * len(compared), 0.42, notes)
        width, height = 1 - (FILE_NAMES + FILE_RIGHT) / COLUMN, FILE_ROW * len(compared) / figure.get_figheight()
        axes = figure.add_axes((FILE_NAMES / COLUMN, bottom, width, height))
        rows = range(len(compared))
        axes.hlines(rows, 1.0, [1 + one.spread for one in compared], color=GREY, linewidth=0.6, zorder=1.5)
        for index, paper in enumerate(papers):
            shift = SHIFT * (index - (len(papers) - 1) / 2)
            found = [
                (multiple, row + shift)
                for row, one in enumerate(compared)
                for printed, multiple in multiples(one)
                if printed.cell.paper == paper and printed.cell.value is not None
            ]
            across, upward = [multiple for multiple, _ in found], [y for _, y in found]
            axes.plot(across, upward, linestyle="none", label=paper, gid=f"paper-{paper}", **mark(index))
        axes.set_yticks(rows, labels=[one.title for one in compared], parse_math=False)
        axes.set_ylim(len(compared) - 0.5, -0.5)
        axes.set_xlabel("multiple of the smallest printed value")
        ticks = nice_ticks(1.0, max(1.02, *(1 + one.spread for one in compared)))
        axes.set_xticks([tick for tick in ticks if tick >= 1])
        figure.legend(
            loc="lower left",
            bbox_to_anchor=(0.02, top),
            ncols=len(papers),
            handletextpad=0.1,
            columnspacing=0.9,
            frameon=False,
            borderpad=0,
            fontsize=SMALL,
        )
        save(figure, path, "svg", "pdf")
