"""Figures that plot scores: over training, and of one system against another.

Both write ``figure.svg``, ``figure.pdf`` and ``figure.png``, and the plotted numbers as ``figure.csv`` and as rows of
``figure.json``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.errors import ReproError
from t2i_repro.metrics.comparison import checked, why_not
from t2i_repro.metrics.score_file import read_metric
from t2i_repro.rendering.figures import FigureInfo, heading, registry_notes
from t2i_repro.rendering.pictures import wrap
from t2i_repro.rendering.plot_style import (
    COLUMN,
    DASHES,
    GREY,
    SMALL,
    figure_with_notes,
    mark,
    plot_style,
    save,
    write_numbers,
)

LEFT, RIGHT, PLOT = 0.48, 0.1, 1.75  # inches: left and right of the axes, and their height
PER_SYSTEM = 0.58  # inches: width of a system that has one snapshot
MARGIN = 0.04  # of a scatter's range


@dataclass(frozen=True)
class Point:
    """A score of a system's images of ``size`` px. ``epoch``: None if it is unknown when training ended."""

    system: str
    label: str
    size: int
    epoch: int | None
    metric: dict[str, Any]

    @property
    def value(self) -> float:
        return float(self.metric["value"])

    @property
    def std(self) -> float | None:
        return None if self.metric["std"] is None else float(self.metric["std"])

    def to_dict(self) -> dict[str, Any]:
        """The point as a row of `figure.json` and `figure.csv`."""
        numbers = {key: self.metric[key] for key in ("value", "std", "n", "protocol")}
        return {"system": self.system, "label": self.label, "side": self.size, "epoch": self.epoch, **numbers}


def curve(node: Node, out: Path, build: Build) -> FigureInfo:
    """A score by resolution over training (ICSD-GAN Fig. 6).

    Each system with several snapshots has axes of its own; those of which only the end is known share one. Bars: the ±
    of the score.
    """
    points = read_points(node, build)
    by_system = {system: [point for point in points if point.system == system] for system in labels_of(node)}
    over_time = {system: own for system, own in by_system.items() if len({point.epoch for point in own}) > 1}
    ends = {system: own for system, own in by_system.items() if system not in over_time}
    metrics = [point.metric for point in points]
    over = sorted({str(metric["details"].get("std_over", "splits")) for metric in metrics if metric["std"] is not None})
    notes = [heading(node), *([f"Bars: ± standard deviation over {' or '.join(over)}."] if over else [])]
    if over_time and ends:
        notes.append(f"{' and '.join(own[0].label for own in ends.values())}: at the end of training.")
    notes += [*common_notes(metrics), *registry_notes(node)]
    with plot_style():
        save(draw_curve(over_time, ends, quantity(metrics), notes), out / "figure", "svg", "pdf", "png")
    rows = [point.to_dict() for point in points]
    write_numbers(out / "figure.csv", rows)
    return FigureInfo(f"{quantity(metrics)} by resolution. {in_words(by_system)}", notes, rows, best="figure.svg")


def read_points(node: Node, build: Build) -> list[Point]:
    """The scores, sorted by system, size and epoch. Raises ReproError if there are none."""
    labels, points = labels_of(node), []
    for role in node.inputs:
        system, size, epoch = role.split("/")
        metric = checked(read_metric(build.input(role)))
        points.append(Point(system, labels[system], int(size), int(epoch) if epoch.isdigit() else None, metric))
    if not points:
        raise ReproError(f"{node.name}: none of its `systems` has a `system`; give one, or drop the figure")
    return sorted(points, key=lambda point: (list(labels).index(point.system), point.size, point.epoch or 0))


def labels_of(node: Node) -> dict[str, str]:
    """The registry's label of each system that we have, in its order."""
    return {column["system"]: column["label"] for column in node.spec["systems"] if "system" in column}


def quantity(metrics: Sequence[dict[str, Any]]) -> str:
    """What is plotted, and the protocols that measured it: `Inception score (is:standin)`."""
    name = metrics[0]["metric"].replace("-", " ").capitalize()
    protocols = dict.fromkeys(re.sub("-[0-9]+px$", "", metric["protocol"]) for metric in metrics)
    return f"{name} ({', '.join(protocols)})"


def common_notes(metrics: Sequence[dict[str, Any]]) -> list[str]:
    """The runs behind the numbers, and why they are not comparable with print, if they are not."""
    runs = dict.fromkeys(metric["run"]["path"].rsplit("/", 1)[-1] for metric in metrics if metric["run"])
    obstacles = dict.fromkeys(obstacle for metric in metrics for obstacle in metric["obstacles"])
    notes = [f"Runs: {', '.join(runs)}."] if runs else []
    return notes + ([f"Not comparable with print: {why_not(list(obstacles))}."] if obstacles else [])


def in_words(by_system: dict[str, list[Point]]) -> str:
    """The numbers as sentences."""
    sentences = []
    for points in by_system.values():
        for size in sorted({point.size for point in points}):
            chosen = [point for point in points if point.size == size]
            values = ", ".join(f"{point.value:.3g}" for point in chosen)
            epochs = [str(point.epoch) for point in chosen if point.epoch is not None]
            after = f" after epoch{'s' if len(epochs) > 1 else ''} {', '.join(epochs)}" if epochs else ""
            sentences.append(f"{chosen[0].label} at {size} px: {values}{after}.")
    return " ".join(sentences)


def draw_curve(
    over_time: dict[str, list[Point]], ends: dict[str, list[Point]], name: str, notes: Sequence[str]
) -> Figure:
    """Axes next to each other, of one height and one scale; a legend above, notes below."""
    available = COLUMN - LEFT - RIGHT
    ends_width = min(PER_SYSTEM * len(ends), available) if over_time else available * bool(ends)
    curve_width = (available - ends_width) / max(1, len(over_time))
    figure, top, bottom = figure_with_notes(COLUMN, PLOT, 0.44, notes)
    sizes = sorted({point.size for points in (*over_time.values(), *ends.values()) for point in points})
    left, first = LEFT, None
    for width, systems in [
        *((curve_width, [points]) for points in over_time.values()),
        (ends_width, list(ends.values())),
    ]:
        if not systems:
            continue
        gap = 0.08 if first is not None else 0.0
        axes = add_axes(figure, left + gap, width - gap, bottom, first)
        if first is None:
            axes.set_ylabel(name, parse_math=False)
            first = axes
        else:
            axes.tick_params(labelleft=False)
            axes.spines["left"].set_visible(False)
        draw_lines(axes, systems[0], sizes) if systems[0][0].system in over_time else draw_ends(axes, systems, sizes)
        left += width
    assert first is not None
    handles = [
        first.plot([], [], linestyle=DASHES[index % len(DASHES)], label=f"{size} px", **mark(index))[0]
        for index, size in enumerate(sizes)
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(LEFT / COLUMN, top),
        ncols=len(sizes),
        frameon=False,
        borderpad=0,
        fontsize=SMALL,
    )
    return figure


def draw_lines(axes: Axes, points: Sequence[Point], sizes: Sequence[int]) -> None:
    """A line over epochs for each size."""
    for index, size in enumerate(sizes):
        chosen = [point for point in points if point.size == size]
        if chosen:
            bars(axes, [float(point.epoch or 0) for point in chosen], chosen, index, DASHES[index % len(DASHES)])
    epochs = sorted({point.epoch for point in points if point.epoch is not None})
    axes.set_xlabel(f"epoch of {points[0].label}", parse_math=False)
    if len(epochs) <= 8:
        axes.set_xticks(epochs)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.margins(x=0.08)


def draw_ends(axes: Axes, systems: Sequence[Sequence[Point]], sizes: Sequence[int]) -> None:
    """A mark for each size, at the position of its system."""
    for index, size in enumerate(sizes):
        shift = 0.5 * ((index + 0.5) / len(sizes) - 0.5)
        found = [(at + shift, point) for at, points in enumerate(systems) for point in points if point.size == size]
        if found:
            bars(axes, [at for at, _ in found], [point for _, point in found], index, "none")
    axes.set_xticks(range(len(systems)), labels=[points[0].label for points in systems], parse_math=False)
    axes.set_xlim(-0.5, len(systems) - 0.5)
    axes.grid(visible=False, axis="x")


def bars(axes: Axes, positions: Sequence[float], points: Sequence[Point], index: int, dashes: Any) -> None:
    """Points with error bars, with the mark of the size number `index`."""
    values, errors = [point.value for point in points], [point.std or 0.0 for point in points]
    drawn = axes.errorbar(positions, values, yerr=errors, linestyle=dashes, elinewidth=0.7, **mark(index))
    drawn.lines[0].set_gid(f"{'ends' if dashes == 'none' else points[0].system}-{points[0].size}px")


def add_axes(figure: Figure, left: float, width: float, bottom: float, shared: Axes | None = None) -> Axes:
    """Axes of height PLOT; left and width in inches, bottom as a fraction of the figure."""
    figure_width, figure_height = figure.get_size_inches()
    return figure.add_axes((left / figure_width, bottom, width / figure_width, PLOT / figure_height), sharey=shared)


def scatter(node: Node, out: Path, build: Build) -> FigureInfo:
    """A class-wise score of two systems (HDGAN Table 3, left): a dot per class, and the line of equal scores.

    Raises ReproError if they have no class in common.
    """
    labels = labels_of(node)
    metrics = {system: checked(read_metric(build.input(system))) for system in labels}
    by_class = {system: metric["details"]["by_class"] for system, metric in metrics.items()}
    across, upward = by_class
    shared = sorted(set(by_class[across]) & set(by_class[upward]), key=lambda label: (len(label), label))
    if not shared:
        raise ReproError(f"{node.name}: {across} and {upward} have no class in common; sample both from one split")
    rows = [{"class": label, across: by_class[across][label], upward: by_class[upward][label]} for label in shared]
    below = sum(row[upward] < row[across] for row in rows)
    above = sum(row[upward] > row[across] for row in rows)
    deviations = " and ".join(f"{metrics[system]['details']['deviation']:.3f} ({labels[system]})" for system in labels)
    notes = [
        heading(node),
        f"{len(rows)} classes. Below the line, where {labels[upward]} has the lower score: {below}; above: {above}.",
        f"Standard deviation between classes: {deviations}.",
        *common_notes(list(metrics.values())),
        *registry_notes(node),
    ]
    name = str(metrics[across]["metric"]).upper()
    with plot_style():
        pairs = [(row[across], row[upward]) for row in rows]
        save(draw_scatter(pairs, list(labels.values()), name, notes), out / "figure", "svg", "pdf", "png")
    write_numbers(out / "figure.csv", rows)
    alt = f"Class-wise {name} of {labels[upward]} against {labels[across]}. {notes[1]}"
    return FigureInfo(alt, notes, rows, best="figure.svg")


def draw_scatter(
    pairs: Sequence[tuple[float, float]], labels: Sequence[str], name: str, notes: Sequence[str]
) -> Figure:
    """Square axes with a hollow dot for each pair, the line of equal scores, and what its two sides mean."""
    figure, _, bottom = figure_with_notes(COLUMN, PLOT, 0.44, notes)
    axes = add_axes(figure, LEFT, PLOT, bottom)
    low, high = min(map(min, pairs)), max(map(max, pairs))
    pad = MARGIN * (high - low) or 0.05 * max(abs(high), 1e-9)
    limits = (low - pad, high + pad)
    axes.plot(limits, limits, color=GREY, linewidth=0.8, linestyle=DASHES[1], marker="", gid="equal")
    hollow = {"markerfacecolor": "none", "markeredgecolor": mark(0)["color"], "markeredgewidth": 0.9, "markersize": 3.6}
    axes.plot(*zip(*pairs, strict=True), linestyle="none", gid="classes", **{**mark(0), **hollow})
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    for axis, label in ((axes.xaxis, labels[0]), (axes.yaxis, labels[1])):
        axis.set_label_text(f"{name} within a class, {label}", parse_math=False)
        axis.set_major_locator(MaxNLocator(4))
    regions = [f"above the line: lower for {labels[0]}", f"below: lower for {labels[1]}"]
    available = COLUMN - LEFT - PLOT - 2 * RIGHT
    for height, region in zip((0.75, 0.45), regions, strict=True):
        axes.text(
            1 + RIGHT / PLOT,
            height,
            "\n".join(wrap(region, available * 72 / SMALL)),
            transform=axes.transAxes,
            fontsize=SMALL,
            color=GREY,
            parse_math=False,
            va="top",
        )
    return figure
