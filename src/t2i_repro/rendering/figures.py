"""Figures rebuilt from a run. Needs torch, through the run's generator.

Writes ``figure.png`` (for pages), ``figure.pdf`` (for papers) and ``figure.json`` {alt, notes, rows}.
"""

import logging
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from t2i_repro.data.captions import tokenise
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.sampling.generator import load_run
from t2i_repro.spec.digest import derive_seed
from t2i_repro.spec.node import Node
from t2i_repro.spec.record import Build, write_json
from t2i_repro.training.draws import Draws
from t2i_repro.training.text import Caption

CELL, TEXT, LINES = 0.95, 1.9, 0.14  # inches: side of a picture, width of the text column, height of a line of notes
DPI = 200
SEED = "figure"


@dataclass(frozen=True)
class MaskRow:
    """A caption with its image uint8 [S, S, 3] and its masks [s, s] in [0, 1], shallow to deep. ``dropped``: words of
    the caption that the run's vocabulary lacks."""

    caption: str
    origin: str
    dropped: list[str]
    image: npt.NDArray[np.uint8]
    masks: list[npt.NDArray[np.float32]]


def render_mask_maps(node: Node, out: Path, build: Build) -> None:
    """SSA-GAN Fig. 5: text, generated image, and the mask of every block.

    The registry's captions come first, then captions of the test split. Raises ReproError where the run has no masks.
    """
    rows = mask_rows(node, build)
    spec = node.spec
    notes = [
        f"{spec['scale_label']}; {spec['data_label']}; {node.inputs['run'].path.rsplit('/', 1)[-1]}.",
        "Each mask is stretched from its least value (black) to its greatest (white), which stand beneath it.",
    ]
    for row in rows:
        if row.dropped:
            notes.append(f"Not in this vocabulary, left out of “{shortened(row.caption)}”: {', '.join(row.dropped)}.")
    draw_mask_maps(rows, notes, out)
    captions = "; ".join(row.caption for row in rows)
    alt = f"Generated image and {len(rows[0].masks)} mask maps for each of {len(rows)} captions: {captions}"
    told = [{"caption": row.caption, "origin": row.origin, "dropped": row.dropped} for row in rows]
    write_json(out / "figure.json", {"alt": alt, "notes": notes, "rows": told})
    build.facts |= {
        "rows": len(rows),
        "masks": len(rows[0].masks),
        "words_dropped": sum(len(row.dropped) for row in rows),
    }


def mask_rows(node: Node, build: Build) -> list[MaskRow]:
    """Images and masks for the figure's captions."""
    prepared = Prepared(build.input("data"))
    run = load_run(build.input("run"), build.input("data"), build.input("text"))
    words: int = run.spec["words"]
    chosen: list[tuple[Caption, str, list[str]]] = []
    for caption in node.spec.get("captions", []):
        tokens = prepared.encode(caption, skip_unknown=True)
        dropped = [word for word in tokenise(caption) if word not in prepared.vocabulary]
        chosen.append((Caption(caption, tokens[:words]), "paper", dropped))
    draws = Draws(prepared, "test", words, derive_seed(run.spec["seed"], SEED))
    for index in range(node.spec.get("test_captions", 0)):
        chosen.append((draws.caption(index), "test split", []))
    if not chosen:
        raise ReproError(
            f"{node.name}: no caption to draw; give `captions` or `test_captions` in papers/{node.spec['paper']}.yaml"
        )
    noise = np.stack([draws.noise(index, run.noise) for index in range(len(chosen))])
    images, masks = run.generate_with_masks([caption for caption, *_ in chosen], noise)
    if not masks:
        raise ReproError(f"{node.name}: system {node.spec['system']!r} predicts no masks; name one with masks >= 1")
    levels = [level[:, 0].float().cpu().numpy() for level in masks]
    return [
        MaskRow(caption.text, origin, dropped, images[index], [level[index] for level in levels])
        for index, (caption, origin, dropped) in enumerate(chosen)
    ]


def draw_mask_maps(rows: list[MaskRow], notes: list[str], out: Path) -> None:
    """One line per caption: text, image, masks. Vector text and unsmoothed pictures in the PDF."""
    count = len(rows[0].masks)
    width = TEXT + (1 + count) * CELL
    wrapped = [line for note in notes for line in textwrap.wrap(note, int(width * 17))]
    foot = 0.12 + LINES * len(wrapped)
    head, band = 0.42, CELL + 0.17
    height = head + band * len(rows) + foot
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of a font it leaves out
    # fonttype 42 keeps the PDF's text searchable
    with rc_context({"pdf.fonttype": 42, "font.family": "serif", "font.serif": ["DejaVu Serif"]}):
        figure = Figure(figsize=(width, height), facecolor="white")

        def put(left: float, top: float, text: str, **style: Any) -> None:
            figure.text(left / width, 1 - top / height, text, **style)

        for column in range(1 + count):
            name = "image" if column == 0 else f"mask {column}"
            side = rows[0].image.shape[0] if column == 0 else rows[0].masks[column - 1].shape[0]
            middle = TEXT + (column + 0.5) * CELL
            put(middle, 0.14, name, ha="center", va="center", fontsize=8)
            put(middle, 0.30, f"{side} px", ha="center", va="center", fontsize=6.5, color="0.4")
        for number, row in enumerate(rows):
            top = head + number * band
            lines = textwrap.wrap(row.caption, 27)
            size = 7.5 if len(lines) <= 7 else 7.5 * 7 / len(lines)
            put(0.08, top + CELL / 2, "\n".join(lines), va="center", fontsize=size, linespacing=1.25, parse_math=False)
            pictures: list[npt.NDArray[Any]] = [row.image, *row.masks]
            for column, picture in enumerate(pictures):
                left = TEXT + column * CELL + 0.03
                bottom = height - top - CELL + 0.03
                axes = figure.add_axes((left / width, bottom / height, (CELL - 0.06) / width, (CELL - 0.06) / height))
                axes.set_axis_off()
                axes.imshow(picture, interpolation="nearest", **({} if column == 0 else stretch(picture)))
                if column:
                    told = f"{picture.min():.2f} to {picture.max():.2f}"
                    put(
                        left + CELL / 2 - 0.03,
                        top + CELL + 0.05,
                        told,
                        ha="center",
                        va="center",
                        fontsize=6,
                        color="0.4",
                    )
        for number, line in enumerate(wrapped):
            put(
                0.08,
                height - foot + 0.12 + LINES * number,
                line,
                va="center",
                fontsize=6.5,
                color="0.3",
                parse_math=False,
            )
        figure.savefig(out / "figure.png", dpi=DPI, metadata={"Software": None})
        figure.savefig(out / "figure.pdf", dpi=DPI, metadata={"CreationDate": None})


def stretch(mask: npt.NDArray[Any]) -> dict[str, Any]:
    """Grey scale over the mask's own range; a constant mask is plain grey."""
    low, high = float(mask.min()), float(mask.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return {"cmap": "gray", "vmin": low, "vmax": high}


def shortened(text: str, length: int = 40) -> str:
    """The first words of a text."""
    return textwrap.shorten(text, length, placeholder=" …")
