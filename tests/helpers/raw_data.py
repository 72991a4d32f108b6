"""A tiny CUB folder to spoil in many ways, and short cuts to prepare it."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.data import prepare
from t2i_repro.data.layout import layouts
from t2i_repro.data.prepared import Prepared

CLASSES = ("001.Red_Bird", "002.Blue_Bird", "003.Green_Bird")
STEMS = [f"{name}/{name[4:]}_{number}" for name in CLASSES for number in (1, 2)]
COLOURS = [(200, 20, 20), (160, 0, 0), (20, 20, 200), (0, 0, 160), (20, 200, 20), (0, 160, 0)]


def write_cub(root: Path, side: int = 40) -> Path:
    """Six images in three classes (two train, one test), two captions each; returns CUB_200_2011."""
    base = root / "CUB_200_2011"
    for number in range(len(STEMS)):
        image, text = picture(base, number), caption_file(base, number)
        image.parent.mkdir(parents=True, exist_ok=True)
        text.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((side, side + 10, 3), COLOURS[number], dtype=np.uint8)
        Image.fromarray(pixels).save(image, quality=95)
        text.write_text(f"bird number{number} one\nthis is number{number} two\n")
    lists = base / "t2i_class_split"
    lists.mkdir()
    (lists / "trainvalclasses.txt").write_text("\n".join(CLASSES[:2]) + "\n")
    (lists / "testclasses.txt").write_text(CLASSES[2] + "\n")
    keys = range(1, len(STEMS) + 1)
    (base / "classes.txt").write_text("".join(f"{key} {name}\n" for key, name in enumerate(CLASSES, 1)))
    (base / "images.txt").write_text("".join(f"{key} {STEMS[key - 1]}.jpg\n" for key in keys))
    (base / "image_class_labels.txt").write_text("".join(f"{key} {(key + 1) // 2}\n" for key in keys))
    (base / "bounding_boxes.txt").write_text("".join(f"{key} 8.0 8.0 20.0 20.0\n" for key in keys))
    return base


def picture(base: Path, number: int) -> Path:
    return base / "images" / f"{STEMS[number]}.jpg"


def caption_file(base: Path, number: int) -> Path:
    return base / "text_c10" / f"{STEMS[number]}.txt"


def replace_line(path: Path, number: int, line: str) -> None:
    """Put another line in the place of line ``number`` (from 0)."""
    lines = path.read_text().splitlines()
    lines[number] = line
    path.write_text("\n".join(lines) + "\n")


def node(root: Path, layout: str = "cub", **changes: Any) -> Node:
    """The node that prepares a dataset below ``root``."""
    spec = {"layout": layout, "year": None, "image_size": 16, "captions_per_image": 2, "boxes": True, "manifest": None}
    return Node(
        "prepare", layout, "test", {**spec, **changes}, locations={"raw_root": str(root / layouts()[layout].folder)}
    )


def prepared(root: Path, out: Path, layout: str = "cub", **changes: Any) -> tuple[Prepared, dict[str, Any]]:
    """Prepare a folder and open the result; the second value are the facts of the record."""
    wanted = node(root, layout, **changes)
    build = Build(wanted)
    out.mkdir(parents=True, exist_ok=True)
    prepare.run(wanted, out, build)
    return Prepared(out), build.facts
