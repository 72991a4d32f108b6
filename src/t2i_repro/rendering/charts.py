"""Line charts as SVG, for the losses of a run: on its page, in the page's colours, and as a file to download."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from t2i_repro.errors import ReproError
from t2i_repro.rendering.markup import environment

WIDTH, HEIGHT = 320, 170  # user units; the page scales them
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
POINTS = 240  # more steps than this are averaged in buckets, with a band from their minimum to their maximum
ACROSS, TITLE, GAP = 2, 18, 14  # of the file: charts in a line, height of a title, space between charts


@dataclass(frozen=True)
class Curve:
    """A quantity over training steps."""

    name: str
    steps: list[float]
    values: list[float]


Bucket = tuple[float, float, float, float]
"""Consecutive steps of a curve as one point: (step, mean, minimum, maximum)."""


@dataclass(frozen=True)
class Chart:
    """A drawn curve. ``content``: escaped SVG elements in a box of WIDTH x HEIGHT. ``summary``: text alternative.
    ``buckets``: the plotted numbers."""

    name: str
    summary: str
    content: str
    buckets: list[Bucket]


def read_curves(path: Path) -> list[Curve]:
    """Read the columns of a `losses.csv` over its column `step`, without empty cells and columns of text.

    Raises ReproError if there is no column `step`.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return []
    if "step" not in rows[0]:
        raise ReproError(f"{path}: columns: found {', '.join(rows[0])}; expected one named step")
    curves = []
    for name in rows[0]:
        points = [(as_number(row["step"]), as_number(row[name])) for row in rows]
        kept = [(step, value) for step, value in points if step is not None and value is not None]
        if name != "step" and kept:
            curves.append(Curve(name, [step for step, _ in kept], [value for _, value in kept]))
    return curves


def as_number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def line_chart(curve: Curve) -> Chart:
    """Draw a curve."""
    buckets = bucketed(curve)
    low, high = min(bucket[2] for bucket in buckets), max(bucket[3] for bucket in buckets)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first, last = curve.steps[0], curve.steps[-1]

    def x(step: float) -> float:
        return round(LEFT + (step - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    upper = [(x(step), y(highest)) for step, _, _, highest in buckets]
    lower = [(x(step), y(lowest)) for step, _, lowest, _ in reversed(buckets)]
    inner = (tick for tick in nice_ticks(first, last) if first < tick < last - (last - first) / 6)
    content = (
        environment()
        .get_template("chart.html")
        .render(
            left=LEFT,
            right=WIDTH - RIGHT,
            height=HEIGHT,
            line=path_of([(x(step), y(mean)) for step, mean, _, _ in buckets]),
            band=path_of(upper + lower) + "Z" if len(curve.steps) > POINTS else "",
            rows=[{"at": y(tick), "text": short(tick)} for tick in ticks],
            columns=[{"at": x(step), "text": short(step)} for step in sorted({first, last, *inner})],
        )
    )
    summary = (
        f"{curve.name}: {short(curve.values[0])} at step {short(first)}, "
        f"{short(curve.values[-1])} at step {short(last)}"
    )
    return Chart(curve.name, summary, content, buckets)


def chart_file(charts: Sequence[Chart], note: str) -> str:
    """The charts as one SVG document with a note at its foot."""
    lines = -(-len(charts) // ACROSS)
    places = [
        {"chart": chart, "x": index % ACROSS * (WIDTH + GAP), "y": index // ACROSS * (TITLE + HEIGHT + GAP) + TITLE}
        for index, chart in enumerate(charts)
    ]
    width, height = ACROSS * (WIDTH + GAP) - GAP, lines * (TITLE + HEIGHT + GAP) + TITLE
    return environment().get_template("losses.html").render(places=places, note=note, width=width, height=height)


def bucketed(curve: Curve) -> list[Bucket]:
    """A curve as at most POINTS buckets."""
    count = len(curve.steps)
    found = []
    for bucket in range(min(count, POINTS)):
        start, stop = (count * edge // min(count, POINTS) for edge in (bucket, bucket + 1))
        values = curve.values[start:stop]
        found.append((curve.steps[(start + stop - 1) // 2], math.fsum(values) / len(values), min(values), max(values)))
    return found


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from at most `low` to at least `high`."""
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        spread = abs(low) or 1.0
        low, high = low - spread / 2, high + spread / 2
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(start, stop + 1)]


def short(value: float) -> str:
    """A number as the label of a tick: three significant digits."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def path_of(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{horizontal},{vertical}" for horizontal, vertical in points)
