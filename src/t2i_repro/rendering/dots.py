"""Dot plot of what several papers print of the same thing, as inline SVG: a shape and a colour for each paper."""

from collections.abc import Sequence
from typing import Any

from t2i_repro.audit.contradictions import Compared
from t2i_repro.rendering.charts import nice_ticks, short
from t2i_repro.rendering.markup import environment

WIDTH, LEFT, RIGHT = 720, 230, 24  # user units; the page scales them
TOP, ROW, BOTTOM = 10, 24, 40
SIZE = 5.5
COLOURS = 5  # classes .mark-0 to .mark-4 of style.css, after Okabe and Ito
SHAPES = (
    "M{x0} {y}A{s} {s} 0 1 0 {x1} {y}A{s} {s} 0 1 0 {x0} {y}Z",
    "M{x0} {y0}H{x1}V{y1}H{x0}Z",
    "M{x} {y0}L{x1} {y1}H{x0}Z",
    "M{x} {y0}L{x1} {y}L{x} {y1}L{x0} {y}Z",
    "M{x} {y1}L{x0} {y0}H{x1}Z",
)


def marker(number: int, x: float, y: float) -> str:
    """Path of the mark of paper `number` around a point."""
    places = {"x": x, "y": y, "x0": x - SIZE, "x1": x + SIZE, "y0": y - SIZE, "y1": y + SIZE, "s": SIZE}
    return SHAPES[number % len(SHAPES)].format(**{key: round(value, 1) for key, value in places.items()})


def dot_plot(compared: Sequence[Compared], papers: Sequence[str]) -> str:
    """A row for each of `compared`, a mark for each value, as a multiple of the row's smallest. Returns markup;
    everything in it is escaped."""
    top = max([one.spread for one in compared], default=0.0) + 1
    ticks = nice_ticks(1.0, max(top, 1.02))
    ticks = [tick for tick in ticks if tick >= 1.0 - 1e-9]

    def x(ratio: float) -> float:
        return LEFT + (ratio - 1) / (ticks[-1] - 1) * (WIDTH - LEFT - RIGHT)

    rows: list[dict[str, Any]] = []
    for number, one in enumerate(compared):
        y = TOP + ROW * (number + 0.5)
        least = min(given.cell.value or 0.0 for given in one.prints)
        marks = [
            {
                "path": marker(
                    papers.index(given.cell.paper), x((given.cell.value or 0.0) / least if least else 1.0), y
                ),
                "colour": papers.index(given.cell.paper) % COLOURS,
                "text": f"{given.cell.paper}: {given.cell.text()}",
            }
            for given in one.prints
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
        {"paper": paper, "path": marker(number, 7, 7), "colour": number % COLOURS}
        for number, paper in enumerate(papers)
    ]
