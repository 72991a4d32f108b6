"""Verb `render` for figures: draw a figure and write what goes with it as `figure.json`.

Every kind writes ``figure.png`` and ``figure.pdf``; plots also ``figure.svg``, and their numbers as ``figure.csv``.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from t2i_repro.core.artefact import Node
from t2i_repro.core.declarations import resolve
from t2i_repro.core.record import Build, write_json
from t2i_repro.errors import ReproError

# By name, so that plots do not wait for torch, which figures of generated images need.
KINDS = {
    "samples": "t2i_repro.rendering.image_figures:samples",
    "stages": "t2i_repro.rendering.image_figures:stages",
    "mask-maps": "t2i_repro.rendering.image_figures:mask_maps",
    "words": "t2i_repro.rendering.image_figures:words",
    "interpolation": "t2i_repro.rendering.image_figures:interpolation",
    "noise-grid": "t2i_repro.rendering.image_figures:noise_grid",
    "curve": "t2i_repro.rendering.plots:curve",
    "scatter": "t2i_repro.rendering.plots:scatter",
}


@dataclass(frozen=True)
class FigureInfo:
    """Content of ``figure.json``.

    ``alt``: text alternative. ``notes``: sentences shown below the figure; the first comes from `heading`. ``rows``:
    content of each row, for programs. ``best``: the file that looks best on a screen.
    """

    alt: str
    notes: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: str = "figure.png"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# Draws a figure into a folder and describes it.
Draw = Callable[[Node, Path, Build], FigureInfo]


def run(node: Node, out: Path, build: Build) -> None:
    """Draw the figure of `node` in `out`. Raises ReproError if its kind is unknown."""
    kind = node.spec["kind"]
    if kind not in KINDS:
        raise ReproError(f"{node.name}: found a figure of kind {kind!r}; allowed: {', '.join(KINDS)}")
    info = cast(Draw, resolve(KINDS[kind]))(node, out, build)
    write_json(out / "figure.json", info.to_dict())
    build.facts |= {"rows": len(info.rows)}


def heading(node: Node) -> str:
    """The first note of every figure: scale, data, runs."""
    spec = node.spec
    runs = dict.fromkeys(
        source.path.rsplit("/", 1)[-1] for role, source in node.inputs.items() if role.split("/")[0] == "run"
    )
    return "; ".join([spec["scale_label"], spec["data_label"], *([", ".join(runs)] if runs else [])]) + "."


def registry_notes(node: Node) -> list[str]:
    """The registry's note on the figure, and the systems that only print shows."""
    notes = [node.spec["note"]] if "note" in node.spec else []
    absent = [column["label"] for column in node.spec.get("systems", []) if "system" not in column]
    if absent:
        notes.append(f"Printed only, no run of ours: {', '.join(absent)}.")
    return notes
