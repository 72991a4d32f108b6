"""Figures that plot scores: over training, and of one system against another. Need no torch.

Both write ``figure.svg`` and ``figure.pdf``, ``figure.png`` for what shows no vectors, and the plotted numbers as
``figure.csv`` and as the rows of ``figure.json``.
"""

import json
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
from t2i_repro.rendering.pictures import wrap
from t2i_repro.rendering.plot_style import COLUMN, DASHES, GREY, SMALL, drawing, mark, save, sheet, write_numbers
from t2i_repro.rendering.told import Told, heading, registry_notes

LEFT, RIGHT, PLOT = 0.48, 0.1, 1.75  # inches: beside the axes, and their height
PER_SYSTEM = 0.58  # width of a system that has one moment
MARGIN = 0.04  # of a scatter's range


@dataclass(frozen=True)
class Point:
    """A score of a system's images of ``side`` px. ``epoch``: None where it is not known when training ended."""

    system: str
    label: str
    side: int
    epoch: int | None
    metric: dict[str, Any]

    @property
    def value(self) -> float:
        return float(self.metric["value"])

    @property
    def std(self) -> float | None:
        return None if self.metric["std"] is None else float(self.metric["std"])

    def told(self) -> dict[str, Any]:
        facts = {key: self.metric[key] for key in ("value", "std", "n", "protocol")}
        return {"system": self.system, "label": self.label, "side": self.side, "epoch": self.epoch, **facts}


def curve(node: Node, out: Path, build: Build) -> Told:
    """A score by resolution over training (ICSD-GAN Fig. 6): axes for each system with several moments, and one for
    those of which only the end is known. Bars: the ± that a table prints."""
    points = read_points(node, build)
    by_system = {system: [point for point in points if point.system == system] for system in labels_of(node)}
    over_time = {system: given for system, given in by_system.items() if len({point.epoch for point in given}) > 1}
    ends = {system: given for system, given in by_system.items() if system not in over_time}
    metrics = [point.metric for point in points]
    over = sorted({str(metric["details"].get("std_over", "splits")) for metric in metrics if metric["std"] is not None})
    notes = [heading(node), *([f"Bars: ± standard deviation over {' or '.join(over)}."] if over else [])]
    if over_time and ends:
        notes.append(f"{' and '.join(given[0].label for given in ends.values())}: at the end of training.")
    notes += [*common_notes(metrics), *registry_notes(node)]
    with drawing():
        save(draw_curve(over_time, ends, quantity(metrics), notes), out / "figure", "svg", "pdf", "png")
    rows = [point.told() for point in points]
    write_numbers(out / "figure.csv", rows)
    return Told(f"{quantity(metrics)} by resolution. {spoken(by_system)}", notes, rows, best="figure.svg")


def read_points(node: Node, build: Build) -> list[Point]:
    """The scores, by system, side and epoch."""
    labels, points = labels_of(node), []
    for role in node.inputs:
        system, side, epoch = role.split("/")
        metric = read_metric(build.input(role))
        points.append(Point(system, labels[system], int(side), int(epoch) if epoch.isdigit() else None, metric))
    if not points:
        raise ReproError(f"{node.name}: none of its `systems` has a `system`; give one, or drop the figure")
    return sorted(points, key=lambda point: (list(labels).index(point.system), point.side, point.epoch or 0))


def labels_of(node: Node) -> dict[str, str]:
    """What the registry calls each system that we have, in its order."""
    return {column["system"]: column["label"] for column in node.spec["systems"] if "system" in column}


def read_metric(folder: Path) -> dict[str, Any]:
    path = folder / "metric.json"
    try:
        metric: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReproError(f"{path}: cannot be read ({error}); remove {folder} and score it again") from error
    return metric


def quantity(metrics: Sequence[dict[str, Any]]) -> str:
    """`Inception score (is:standin)`: what is plotted, by the protocols that measured it."""
    name = metrics[0]["metric"].replace("-", " ").capitalize()
    protocols = dict.fromkeys(re.sub("-[0-9]+px$", "", metric["protocol"]) for metric in metrics)
    return f"{name} ({', '.join(protocols)})"


def common_notes(metrics: Sequence[dict[str, Any]]) -> list[str]:
    """Runs behind the numbers, and whether they may be compared with print."""
    runs = dict.fromkeys(metric["run"]["path"].rsplit("/", 1)[-1] for metric in metrics if metric["run"])
    obstacles = dict.fromkeys(obstacle for metric in metrics for obstacle in metric["obstacles"])
    notes = [f"Runs: {', '.join(runs)}."] if runs else []
    return notes + ([f"Not comparable with print: {', '.join(obstacles)}."] if obstacles else [])


def spoken(by_system: dict[str, list[Point]]) -> str:
    """The numbers in words."""
    told = []
    for given in by_system.values():
        for side in sorted({point.side for point in given}):
            chosen = [point for point in given if point.side == side]
            values = ", ".join(f"{point.value:.3g}" for point in chosen)
            epochs = [str(point.epoch) for point in chosen if point.epoch is not None]
            after = f" after epoch{'s' if len(epochs) > 1 else ''} {', '.join(epochs)}" if epochs else ""
            told.append(f"{chosen[0].label} at {side} px: {values}{after}.")
    return " ".join(told)


def draw_curve(
    over_time: dict[str, list[Point]], ends: dict[str, list[Point]], name: str, notes: Sequence[str]
) -> Figure:
    """Axes side by side, of one height and one scale, a legend above, notes below."""
    room = COLUMN - LEFT - RIGHT
    beside = min(PER_SYSTEM * len(ends), room) if over_time else room * bool(ends)
    each = (room - beside) / max(1, len(over_time))
    figure, top, bottom = sheet(COLUMN, PLOT, 0.44, notes)
    sides = sorted({point.side for given in (*over_time.values(), *ends.values()) for point in given})
    left, first = LEFT, None
    for width, systems in [*((each, [given]) for given in over_time.values()), (beside, list(ends.values()))]:
        if not systems:
            continue
        gap = 0.08 if first is not None else 0.0
        axes = place(figure, left + gap, width - gap, bottom, first)
        if first is None:
            axes.set_ylabel(name, parse_math=False)
            first = axes
        else:
            axes.tick_params(labelleft=False)
            axes.spines["left"].set_visible(False)
        draw_line(axes, systems[0], sides) if systems[0][0].system in over_time else draw_ends(axes, systems, sides)
        left += width
    assert first is not None
    handles = [
        first.plot([], [], linestyle=DASHES[n % len(DASHES)], label=f"{side} px", **mark(n))[0]
        for n, side in enumerate(sides)
    ]
    anchor = (LEFT / COLUMN, top)
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=anchor,
        ncols=len(sides),
        frameon=False,
        borderpad=0,
        fontsize=SMALL,
    )
    return figure


def draw_line(axes: Axes, points: Sequence[Point], sides: Sequence[int]) -> None:
    """A line for each side, over epochs."""
    for number, side in enumerate(sides):
        chosen = [point for point in points if point.side == side]
        if chosen:
            bars(axes, [float(point.epoch or 0) for point in chosen], chosen, number, DASHES[number % len(DASHES)])
    epochs = sorted({point.epoch for point in points if point.epoch is not None})
    axes.set_xlabel(f"epoch of {points[0].label}", parse_math=False)
    if len(epochs) <= 8:
        axes.set_xticks(epochs)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.margins(x=0.08)


def draw_ends(axes: Axes, systems: Sequence[Sequence[Point]], sides: Sequence[int]) -> None:
    """A mark for each side, the systems beside one another."""
    for number, side in enumerate(sides):
        shift = 0.5 * ((number + 0.5) / len(sides) - 0.5)
        found = [(at + shift, point) for at, given in enumerate(systems) for point in given if point.side == side]
        if found:
            bars(axes, [at for at, _ in found], [point for _, point in found], number, "none")
    axes.set_xticks(range(len(systems)), labels=[given[0].label for given in systems], parse_math=False)
    axes.set_xlim(-0.5, len(systems) - 0.5)
    axes.grid(visible=False, axis="x")


def bars(axes: Axes, places: Sequence[float], points: Sequence[Point], number: int, dashes: Any) -> None:
    values, errors = [point.value for point in points], [point.std or 0.0 for point in points]
    drawn = axes.errorbar(places, values, yerr=errors, linestyle=dashes, elinewidth=0.7, **mark(number))
    drawn.lines[0].set_gid(f"{'ends' if dashes == 'none' else points[0].system}-{points[0].side}px")


def place(figure: Figure, left: float, width: float, bottom: float, shared: Axes | None = None) -> Axes:
    """Axes of height PLOT; left and width in inches, bottom as a part of the figure."""
    across, height = figure.get_size_inches()
    return figure.add_axes((left / across, bottom, width / across, PLOT / height), sharey=shared)


def scatter(node: Node, out: Path, build: Build) -> Told:
    """A class-wise score of two systems (HDGAN Table 3, left): a dot per class, and the line of equal scores.

    Raises ReproError where they have no class in common.
    """
    labels = labels_of(node)
    metrics = {system: read_metric(build.input(system)) for system in labels}
    of = {system: metric["details"]["by_class"] for system, metric in metrics.items()}
    across, upward = of
    shared = sorted(set(of[across]) & set(of[upward]), key=lambda label: (len(label), label))
    if not shared:
        raise ReproError(f"{node.name}: {across} and {upward} have no class in common; sample both from one split")
    rows = [{"class": label, across: of[across][label], upward: of[upward][label]} for label in shared]
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
    with drawing():
        pairs = [(row[across], row[upward]) for row in rows]
        save(draw_scatter(pairs, list(labels.values()), name, notes), out / "figure", "svg", "pdf", "png")
    write_numbers(out / "figure.csv", rows)
    alt = f"Class-wise {name} of {labels[upward]} against {labels[across]}. {notes[1]}"
    return Told(alt, notes, rows, best="figure.svg")


def draw_scatter(
    pairs: Sequence[tuple[float, float]], labels: Sequence[str], name: str, notes: Sequence[str]
) -> Figure:
    figure, _, bottom = sheet(COLUMN, PLOT, 0.44, notes)
    axes = place(figure, LEFT, PLOT, bottom)
    low, high = min(map(min, pairs)), max(map(max, pairs))
    pad = MARGIN * (high - low) or 0.05 * max(abs(high), 1e-9)
    reach = (low - pad, high + pad)
    axes.plot(reach, reach, color=GREY, linewidth=0.8, linestyle=DASHES[1], marker="", gid="equal")
    hollow = {"markerfacecolor": "none", "markeredgecolor": mark(0)["color"], "markeredgewidth": 0.9, "markersize": 3.6}
    axes.plot(*zip(*pairs, strict=True), linestyle="none", gid="classes", **{**mark(0), **hollow})
    axes.set(xlim=reach, ylim=reach, aspect="equal")
    for axis, label in ((axes.xaxis, labels[0]), (axes.yaxis, labels[1])):
        axis.set_label_text(f"{name} within a class, {label}", parse_math=False)
        axis.set_major_locator(MaxNLocator(4))
    zones = [f"above the line: lower for {labels[0]}", f"below: lower for {labels[1]}"]
    room = COLUMN - LEFT - PLOT - 2 * RIGHT
    for height, zone in zip((0.75, 0.45), zones, strict=True):
        lines = "\n".join(wrap(zone, room * 72 / SMALL))
        look: dict[str, Any] = {
            "transform": axes.transAxes,
            "fontsize": SMALL,
            "color": GREY,
            "parse_math": False,
            "va": "top",
        }
        axes.text(1 + RIGHT / PLOT, height, lines, **look)
    return figure
