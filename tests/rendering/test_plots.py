"""Plots: the numbers that were scored can be read back from what was drawn."""

import csv
import dataclasses
import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import dead_links
from fakes import HOSTILE, LABELS, Project, build, metric, node
from matplotlib.colors import to_rgb

from t2i_repro.audit.contradictions import disagreements
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, building, write_json
from t2i_repro.errors import ReproError
from t2i_repro.rendering import report
from t2i_repro.rendering.charts import HEIGHT, POINTS, WIDTH, Curve, chart_file, line_chart
from t2i_repro.rendering.dots import save_dot_plot
from t2i_repro.rendering.figures import Draw
from t2i_repro.rendering.plot_style import COLOURS, MARKERS
from t2i_repro.rendering.plots import curve, scatter

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
SYSTEMS = [
    {"label": "ICSD-GAN", "system": "icsd-gan"},
    {"label": "Printed only"},
    {"label": "HDGAN", "system": "hdgan"},
]
VALUES = {
    **{f"icsd-gan/{side}/{epoch}": 1 + side / 100 + epoch**2 / 50 for side in (16, 32, 64) for epoch in (2, 5, 8)},
    **{f"hdgan/{side}/8": 2 - side / 100 for side in (16, 32, 64)},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scored(name: str, value: dict[str, Any]) -> Node:
    run = {"path": f"results/smoke/runs/cub-{name.split('/')[0]}-s0-0123456789", "digest": "0123456789"}
    made = node("score", name.replace("/", "-"), {})
    return build(made, lambda folder: write_json(folder / "metric.json", value | {"run": run}))


def figure(kind: str, systems: list[dict[str, str]], scores: dict[str, Node], **changes: Any) -> Node:
    spec = {"paper": "icsd-gan", "figure": "fig6", "kind": kind, "systems": systems, **LABELS, **changes}
    made = node("figure", "icsd-gan-fig6", spec)
    return dataclasses.replace(made, inputs={role: score.as_input() for role, score in scores.items()})


def curve_figure(systems: list[dict[str, str]] = SYSTEMS, **changes: Any) -> Node:
    scores = {role: scored(role, metric(value, 0.05)) for role, value in VALUES.items()}
    return figure("curve", systems, scores, **changes)


def classes(name: str, by_class: dict[str, float]) -> Node:
    details = {"by_class": by_class, "deviation": float(np.std(list(by_class.values())))}
    return scored(name, metric(0.2) | {"metric": "ms-ssim", "protocol": "ms-ssim:class-wise-std", "details": details})


def scatter_figure(across: dict[str, float], upward: dict[str, float]) -> Node:
    systems = [{"label": "StackGAN", "system": "stackgan"}, {"label": "HDGAN", "system": "hdgan"}]
    scores = {"hdgan": classes("hdgan", upward), "stackgan": classes("stackgan", across)}
    return figure("scatter", systems, scores)


def drawn(draw: Draw, made: Node, name: str = "out") -> Path:
    """The folder that a figure was drawn into, with its figure.json."""
    out = Path(name)
    out.mkdir()
    write_json(out / "figure.json", draw(made, out, Build(made)).to_dict())
    return out


def marks(svg: Path, name: str) -> list[tuple[float, float]]:
    """Positions of the marks of a series, in the figure's units, y downwards."""
    (group,) = (group for group in ET.parse(svg).getroot().iter(f"{SVG}g") if group.get("id") == name)
    return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in group.iter(f"{SVG}use")]


def texts(svg: Path) -> list[str]:
    return ["".join(element.itertext()) for element in ET.parse(svg).getroot().iter(f"{SVG}text")]


def scale(places: list[float], values: list[float]) -> np.ndarray:
    """Slope and offset of the axis that puts these values at these positions; all of them must fit."""
    slope, offset = np.polyfit(values, places, 1)
    assert np.allclose(slope * np.array(values) + offset, places, atol=1e-3)
    return np.array([slope, offset])


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "figure.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_curve_shows_every_score_where_it_belongs() -> None:
    out = drawn(curve, curve_figure())
    info = json.loads((out / "figure.json").read_text())
    assert {f"{row['system']}/{row['side']}/{row['epoch']}": row["value"] for row in info["rows"]} == VALUES
    assert [{key: str(value) for key, value in row.items()} for row in info["rows"]] == rows_of(out)
    lines = {side: marks(out / "figure.svg", f"icsd-gan-{side}px") for side in (16, 32, 64)}
    ends = {side: marks(out / "figure.svg", f"ends-{side}px") for side in (16, 32, 64)}
    places = [place for side in lines for place in lines[side]]
    values = [VALUES[f"icsd-gan/{side}/{epoch}"] for side in lines for epoch in (2, 5, 8)]
    across = scale([place[0] for place in places], [2.0, 5.0, 8.0] * 3)
    upward = scale([place[1] for place in places], values)
    assert across[0] > 0 > upward[0]
    for side, ((_, height),) in ends.items():  # the same scale for the systems next to it
        assert height == pytest.approx(upward @ [VALUES[f"hdgan/{side}/8"], 1], abs=1e-3)
    assert min(place[0][0] for place in ends.values()) > max(place[0] for place in places)


def test_a_curve_says_in_words_what_it_shows() -> None:
    out = drawn(curve, curve_figure(note="Our note."))
    info = json.loads((out / "figure.json").read_text())
    assert {"16 px", "32 px", "64 px", "HDGAN", "epoch of ICSD-GAN", "2", "5", "8"} <= set(texts(out / "figure.svg"))
    assert "Inception score (is:standin)" in texts(out / "figure.svg")
    assert info["notes"][0] == "smoke scale, seconds; stand-in data (procedural)."
    for note in (
        "HDGAN: at the end of training.",
        "Runs: cub-icsd-gan-s0-0123456789, cub-hdgan-s0-0123456789.",
        "Not comparable with print: smoke scale, stand-in data, stand-in network.",
        "Our note.",
        "Printed only, no run of ours: Printed only.",
    ):
        assert note in info["notes"]
        assert note in " ".join(texts(out / "figure.svg"))
    assert "ICSD-GAN at 64 px: 1.72, 2.14, 2.92 after epochs 2, 5, 8." in info["alt"]
    assert info["best"] == "figure.svg"
    assert sorted(path.name for path in out.iterdir() if path.name != "figure.json") == [
        *("figure.csv", "figure.pdf", "figure.png", "figure.svg")
    ]


@pytest.mark.parametrize("epochs", [("8",), ("end",)])
def test_systems_of_one_snapshot_share_axes(epochs: tuple[str]) -> None:
    scores = {
        f"{system}/64/{epoch}": scored(f"{system}/64/{epoch}", metric(value, 0.1))
        for system, value in (("icsd-gan", 2.0), ("hdgan", 3.0))
        for epoch in epochs
    }
    out = drawn(curve, figure("curve", SYSTEMS, scores))
    (left, low), (right, high) = marks(out / "figure.svg", "ends-64px")
    assert left < right
    assert low > high
    assert [row["epoch"] for row in rows_of(out)] == [epochs[0] if epochs[0] != "end" else ""] * 2
    assert ("after epoch 8" in json.loads((out / "figure.json").read_text())["alt"]) == (epochs[0] == "8")


def test_a_curve_of_nothing_is_refused() -> None:
    with pytest.raises(ReproError, match="none of its `systems` has a `system`"):
        curve(figure("curve", SYSTEMS[1:2], {}), Path("."), Build(figure("curve", SYSTEMS[1:2], {})))


ACROSS = {"151": 0.30, "152": 0.20, "153": 0.25, "99": 0.40, "160": 0.1}
UPWARD = {"151": 0.20, "152": 0.24, "153": 0.25, "99": 0.10, "161": 0.1}


def test_a_scatter_has_a_dot_for_each_class() -> None:
    out = drawn(scatter, scatter_figure(ACROSS, UPWARD))
    rows = rows_of(out)
    assert [row["class"] for row in rows] == ["99", "151", "152", "153"]
    assert [(float(row["stackgan"]), float(row["hdgan"])) for row in rows] == [
        (ACROSS[row["class"]], UPWARD[row["class"]]) for row in rows
    ]
    places = marks(out / "figure.svg", "classes")
    across = scale([place[0] for place in places], [ACROSS[row["class"]] for row in rows])
    upward = scale([place[1] for place in places], [UPWARD[row["class"]] for row in rows])
    assert across[0] == pytest.approx(-upward[0])
    info = json.loads((out / "figure.json").read_text())
    assert info["notes"][1] == "4 classes. Below the line, where HDGAN has the lower score: 2; above: 1."
    deviations = [np.std(list(scores.values())) for scores in (ACROSS, UPWARD)]
    assert info["notes"][2] == (
        f"Standard deviation between classes: {deviations[0]:.3f} (StackGAN) and {deviations[1]:.3f} (HDGAN)."
    )
    svg = (out / "figure.svg").read_text()
    line = next(group for group in ET.fromstring(svg).iter(f"{SVG}g") if group.get("id") == "equal")
    ((x0, y0), (x1, y1)) = re.findall(r"([-0-9.]+) ([-0-9.]+)", next(line.iter(f"{SVG}path")).attrib["d"])
    for x, y in ((x0, y0), (x1, y1)):  # the line of equal scores, on both axes
        value = (float(x) - across[1]) / across[0]
        assert float(y) == pytest.approx(upward @ [value, 1], abs=1e-3)
    assert {"MS-SSIM within a class, StackGAN", "MS-SSIM within a class, HDGAN"} <= set(texts(out / "figure.svg"))


@pytest.mark.parametrize("same", [{"1": 0.5}, {"1": 0.5, "2": 0.5}, {"1": 0.0}])
def test_a_scatter_of_classes_that_do_not_differ_can_be_drawn(same: dict[str, float]) -> None:
    out = drawn(scatter, scatter_figure(same, same))
    assert len(marks(out / "figure.svg", "classes")) == len(same)


def test_systems_without_a_class_in_common_are_refused() -> None:
    made = scatter_figure({"1": 0.1}, {"2": 0.1})
    with pytest.raises(ReproError, match="stackgan and hdgan have no class in common"):
        scatter(made, Path("."), Build(made))


@pytest.mark.parametrize(("draw", "made"), [(curve, curve_figure), (scatter, lambda: scatter_figure(ACROSS, UPWARD))])
def test_a_plot_is_the_same_bytes_every_time(draw: Draw, made: Callable[[], Node]) -> None:
    one, two = (drawn(draw, made(), name) for name in ("one", "two"))
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    assert b"CreationDate" not in (one / "figure.pdf").read_bytes()
    assert "dc:date" not in (one / "figure.svg").read_text()


def test_labels_and_notes_appear_as_they_are_written() -> None:
    systems = [{"label": HOSTILE, "system": "icsd-gan"}, {"label": f"{HOSTILE}!", "system": "hdgan"}]
    out = drawn(curve, curve_figure(systems, note=HOSTILE))
    shown = texts(out / "figure.svg")
    assert {f"epoch of {HOSTILE}", f"{HOSTILE}!"} <= set(shown)
    assert "".join(HOSTILE.split()) in "".join("".join(shown).split())
    assert not list(ET.parse(out / "figure.svg").getroot().iter(f"{SVG}script"))
    assert rows_of(out)[0]["label"] == f"'{HOSTILE}"


def test_a_file_of_losses_has_a_chart_for_each() -> None:
    few = Curve("g_loss", [0.0, 10.0, 20.0], [3.0, 1.0, 2.0])
    many = Curve(f"{HOSTILE}$", list(range(3 * POINTS)), [float(step % 7) for step in range(3 * POINTS)])
    root = ET.fromstring(chart_file([line_chart(few), line_chart(many), line_chart(few)], f"smoke scale {HOSTILE}"))
    groups = root.findall(f"{SVG}g")
    assert [group.findtext(f"{SVG}title") for group in groups] == [
        "g_loss: 3 at step 0, 2 at step 20",
        f"{HOSTILE}$: 0 at step 0, {719 % 7} at step 719",
        "g_loss: 3 at step 0, 2 at step 20",
    ]
    shown = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert shown.count("g_loss") == 2
    assert {f"{HOSTILE}$", f"smoke scale {HOSTILE}"} <= set(shown)
    (line,) = groups[0].findall(f"{SVG}path")
    found = re.findall(r"([-0-9.]+),([-0-9.]+)", line.attrib["d"])
    across = scale([float(x) for x, _ in found], few.steps)
    upward = scale([float(y) for _, y in found], few.values)
    assert across[0] > 0 > upward[0]
    bands = [path for path in root.iter(f"{SVG}path") if path.get("class") == "band"]
    assert len(bands) == 1, "only where a point is a mean over several steps"
    boxes = [tuple(map(float, re.findall(r"[-0-9.]+", group.attrib["transform"]))) for group in groups]
    for x, y in boxes:  # no two overlap, and all are inside
        assert 0 <= x <= float(root.attrib["width"]) - WIDTH
        assert 0 <= y <= float(root.attrib["height"]) - HEIGHT
    for (x, y), (other_x, other_y) in itertools.combinations(boxes, 2):
        assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT


def paper(name: str, value: float) -> dict[str, Any]:
    columns = {"fid": {"label": "FID", "protocol": "fid:tf", "dataset": "cub", "better": "lower", "digits": 2}}
    rows = {"attngan": {"label": "AttnGAN", "printed": {"fid": value}}}
    return {"id": name, "tables": {"table1": {"where": "Table 1", "columns": columns, "rows": rows}}}


def test_a_value_that_papers_print_differently_is_drawn_at_its_multiple(folder: Path) -> None:
    printed = {"one": 10.0, "two": 15.0, "three": 23.0}
    found = disagreements({name: paper(name, value) for name, value in printed.items()})
    for name in ("a", "b"):
        save_dot_plot(folder / name, found, list(printed), ["As printed."])
    places = [marks(folder / "a.svg", f"paper-{name}")[0][0] for name in printed]
    scale(places, [1.0, 1.5, 2.3])
    assert {"AttnGAN, CUB, FID", *printed, "As printed."} <= set(texts(folder / "a.svg"))
    for suffix in ("svg", "pdf"):
        assert (folder / f"a.{suffix}").read_bytes() == (folder / f"b.{suffix}").read_bytes()


def test_the_page_shows_plots_in_vectors_and_names_them_where_their_runs_are_shown() -> None:
    project = Project()
    score = project.score("df-gan", "curve", metric(2.0, 0.1))
    systems = [{"label": "DF-GAN", "system": "df-gan"}]
    info = {"paper": "ssa-gan", "figure": "fig30", "where": "Fig. 30", "caption": "A plot."}
    plot = figure("curve", systems, {"df-gan/64/8": score}, **info)
    build(plot, lambda out: write_json(out / "figure.json", curve(plot, out, Build(plot)).to_dict()))
    page = dataclasses.replace(project.report, inputs={**project.report.inputs, "ssa-gan/fig30": plot.as_input()})
    out = Path(page.folder)
    with building(page, out) as work:
        report.run(page, out, work)
    assert dead_links(out) == []
    shown = (out / "paper-ssa-gan.html").read_text()
    assert '<img src="files/ssa-gan-fig30.svg"' in shown
    assert '<img src="files/ssa-gan-fig5.png"' in shown
    for suffix in ("svg", "pdf", "png", "csv"):
        assert (out / f"files/ssa-gan-fig30.{suffix}").read_bytes() == Path(
            plot.folder, f"figure.{suffix}"
        ).read_bytes()
    pages = {name: next(out.glob(f"run-cub-{name}-s0-*.html")).read_text() for name in project.runs}
    assert ["paper-ssa-gan.html#ssa-gan-fig30" in text for text in pages.values()] == [True, False]
    assert ["paper-ssa-gan.html#ssa-gan-fig5" in text for text in pages.values()] == [False, True]


# Viénot, Brettel and Mollon 1999: linear RGB as seen without red-sensitive, or green-sensitive, cones.
DICHROMATS = {
    "protanope": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranope": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


@pytest.mark.parametrize("eyes", DICHROMATS)
def test_no_two_marks_look_alike_without_colour_vision(eyes: str) -> None:
    assert len(set(MARKERS)) == len(MARKERS) == len(COLOURS)
    linear = [np.array(to_rgb(colour)) ** 2.2 for colour in COLOURS]
    seen = [np.clip(np.array(DICHROMATS[eyes]) @ colour, 0, 1) ** (1 / 2.2) for colour in linear]
    for one, other in itertools.combinations(seen, 2):
        assert np.abs(one - other).max() > 0.2
