"""Verb `standin`: procedural pictures in an official raw layout, for whoever has no dataset at hand."""

from dataclasses import fields
from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.data.layout import STANDIN_MARK, StandinSize, layout_of
from t2i_repro.data.procedural.files import MARK, write


def run(node: Node, out: Path, build: Build) -> None:
    """Draw the raw dataset of ``node.spec`` in ``out``: the same files for the same spec, on any machine.

    Raises ReproError for an unknown layout, and for one that has no stand-in.
    """
    layout = layout_of(node.spec["layout"])
    size = StandinSize(**{field.name: int(node.spec[field.name]) for field in fields(StandinSize)})
    base = out / layout.folder
    layout.draw_standin(base, size, node.spec.get("year"))
    write(base / STANDIN_MARK, MARK)
    build.facts.update({"standin": True, "images": size.classes * size.images_per_class, "classes": size.classes})
