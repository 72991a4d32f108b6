"""Figures, by the kind the registry gives them. Needs torch, through the runs that draw.

Every kind writes ``figure.png`` and ``figure.pdf`` (for papers), plots ``figure.svg`` and, of their numbers,
``figure.csv`` too, and tells what goes into ``figure.json``: {alt, notes, rows, best}.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, write_json
from t2i_repro.errors import ReproError
from t2i_repro.rendering.comparisons import samples, stages
from t2i_repro.rendering.mask_maps import mask_maps
from t2i_repro.rendering.plots import curve, scatter
from t2i_repro.rendering.told import Told
from t2i_repro.rendering.variations import interpolation, noise_grid, words

# kind -> (node, folder to write into, build) -> what to say of it
KINDS: dict[str, Callable[[Node, Path, Build], Told]] = {
    "samples": samples,
    "stages": stages,
    "mask-maps": mask_maps,
    "words": words,
    "interpolation": interpolation,
    "noise-grid": noise_grid,
    "curve": curve,
    "scatter": scatter,
}


def render_figure(node: Node, out: Path, build: Build) -> None:
    """Draw a figure and write what is to be said of it. Raises ReproError on a kind it does not know."""
    kind = node.spec["kind"]
    if kind not in KINDS:
        raise ReproError(f"{node.name}: found a figure of kind {kind!r}; allowed: {', '.join(KINDS)}")
    told = KINDS[kind](node, out, build)
    write_json(out / "figure.json", asdict(told))
    build.facts |= {"rows": len(told.rows)}
