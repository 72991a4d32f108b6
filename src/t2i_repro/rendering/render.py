"""Verb `render`: a table or a figure."""

from pathlib import Path

from t2i_repro.errors import ReproError
from t2i_repro.spec.node import Node
from t2i_repro.spec.record import Build


def run(node: Node, out: Path, build: Build) -> None:
    """Render by kind; figures by the kind the registry gives them. Raises ReproError on one it does not know."""
    if node.kind == "table":
        from t2i_repro.rendering.tables import render_table

        render_table(node, out, build)
    elif node.kind == "figure" and node.spec["kind"] == "mask-maps":
        from t2i_repro.rendering.figures import render_mask_maps

        render_mask_maps(node, out, build)
    else:
        raise ReproError(f"{node.name}: {node.kind} of kind {node.spec.get('kind')!r}; expected a table, or mask-maps")
