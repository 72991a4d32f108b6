"""Verb `render`: a table or a figure."""

from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.errors import ReproError


def run(node: Node, out: Path, build: Build) -> None:
    """Render a table or a figure. Raises ReproError on anything else."""
    if node.kind == "table":
        from t2i_repro.rendering.tables import render_table

        render_table(node, out, build)
    elif node.kind == "figure":
        from t2i_repro.rendering.figures import render_figure

        render_figure(node, out, build)
    else:
        raise ReproError(f"{node.name}: found a {node.kind}; `render` draws a table or a figure")
