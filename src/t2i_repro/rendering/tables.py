"""Tables: printed beside rebuilt, in four formats and as JSON for the report. Needs no torch, takes no time."""

from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, write_json
from t2i_repro.rendering.cells import table_content
from t2i_repro.rendering.formats import as_csv, as_html, as_latex, as_markdown

FORMATS = {"csv": as_csv, "md": as_markdown, "tex": as_latex, "html": as_html}


def render_table(node: Node, out: Path, build: Build) -> None:
    """Write ``table.{csv,md,tex,html,json}``. A cell that has not been run is shown, with the reason."""
    content = table_content(node)
    for suffix, write in FORMATS.items():
        (out / f"table.{suffix}").write_text(write(content), encoding="utf-8")
    write_json(out / "table.json", content)
    cells = [cell for row in content["rows"] for cell in row["cells"].values()]
    build.facts |= {
        "cells": len(cells),
        "printed": sum(cell["printed"] is not None for cell in cells),
        "rebuilt": sum(cell["rebuilt"] is not None for cell in cells),
        "comparable": sum(bool(cell["rebuilt"] and cell["rebuilt"]["comparable"]) for cell in cells),
    }
