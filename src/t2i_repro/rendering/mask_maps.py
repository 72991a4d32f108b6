"""Mask maps: the image and the mask of every block (SSA-GAN Figs. 5, 10)."""

from pathlib import Path

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.errors import ReproError
from t2i_repro.rendering.painters import Cast
from t2i_repro.rendering.pictures import Grid, Picture, Row, draw_grid, extremes
from t2i_repro.rendering.told import Told, heading, registry_notes

STRETCHED = "Each mask is stretched from its least value (black) to its greatest (white), which stand beneath it."


def mask_maps(node: Node, out: Path, build: Build) -> Told:
    """A row per caption: the image, then masks from shallow to deep. Raises ReproError where the run has no masks."""
    cast = Cast.of(node, build)
    sentences, painter = cast.sentences(node), cast.first
    noise = painter.noise(range(len(sentences)))
    images, masks = painter.run.generate_with_masks([painter.caption(sentence) for sentence in sentences], noise)
    if not masks:
        raise ReproError(f"{node.name}: system {node.spec['system']!r} predicts no masks; name one with masks >= 1")
    levels = [level[:, 0].float().cpu().numpy() for level in masks]
    sides = [images.shape[1], *(level.shape[1] for level in levels)]
    columns = [(f"mask {column}" if column else "image", f"{side} × {side} px") for column, side in enumerate(sides)]
    rows = [
        Row(
            sentence.text,
            [Picture(images[index]), *(Picture(level[index], extremes(level[index])) for level in levels)],
            cast.unread(sentence),
        )
        for index, sentence in enumerate(sentences)
    ]
    notes = [heading(node), STRETCHED, *registry_notes(node), *cast.notes(node.spec.get("captions", []))]
    draw_grid(Grid(columns, rows, notes), out)
    captions = "; ".join(sentence.text for sentence in sentences)
    alt = f"Generated image and {len(levels)} mask maps for each of {len(sentences)} captions: {captions}"
    build.facts |= {"masks": len(levels)}
    return Told(alt, notes, [cast.told(sentence) for sentence in sentences])
