"""Verb `standin`: procedural pictures in the official raw layouts, for whoever has no dataset at hand."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build
from t2i_repro.data.layouts import SPLIT_LISTS, STANDIN_MARK
from t2i_repro.data.procedural import birds, flowers, scenes
from t2i_repro.errors import ReproError

_MARK = "Procedural stand-ins drawn by t2i-repro, not photographs. Scores on them say nothing about the papers.\n"
_MAT_HEADER = b"MATLAB 5.0 MAT-file, t2i-repro stand-in".ljust(116)  # scipy writes the time of day here


@dataclass(frozen=True)
class _Wish:
    """How many pictures, and how large."""

    train_classes: int
    test_classes: int
    images_per_class: int
    captions_per_image: int
    side: int
    seed: int

    @property
    def classes(self) -> int:
        return self.train_classes + self.test_classes


def run(node: Node, out: Path, build: Build) -> None:
    """Draw the raw dataset of ``node.spec`` in ``out``: the same files for the same spec, on any machine.

    Classes of the test split are drawn after those of the train split and are none of them. Raises ReproError for an
    unknown layout.
    """
    spec = dict(node.spec)
    layout, year = spec.pop("layout"), spec.pop("year", None)
    wish = _Wish(**{name: int(spec[name]) for name in _Wish.__dataclass_fields__})
    if layout == "cub":
        _write_cub(out / "CUB_200_2011", wish)
    elif layout == "oxford":
        _write_oxford(out / "oxford102", wish)
    elif layout == "coco":
        _write_coco(out / "coco", wish, year or 2014)
    else:
        raise ReproError(f"{node.name}: no stand-in for layout {layout!r}; expected cub, oxford or coco")
    build.facts.update({"standin": True, "images": wish.classes * wish.images_per_class, "classes": wish.classes})


def _each(layout: str, wish: _Wish) -> Iterator[tuple[int, int, tuple[int, int], np.random.Generator]]:
    """Class (from 0), number within it (from 0), size (width, height) and random stream of each picture."""
    progress = tqdm(total=wish.classes * wish.images_per_class, desc=f"drawing {layout}", disable=None, unit="image")
    with progress:
        for kind in range(wish.classes):
            for number in range(wish.images_per_class):
                rng = np.random.default_rng(derive_seed(wish.seed, layout, kind, number))
                longer = round(wish.side * rng.uniform(1.0, 1.45))
                upright = rng.random() < 0.25
                yield kind, number, (wish.side, longer) if upright else (longer, wish.side), rng
                progress.update()


def _classes(layout: str, wish: _Wish) -> np.random.Generator:
    return np.random.default_rng(derive_seed(wish.seed, layout, "classes"))


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _write_lists(folder: Path, names: list[str], wish: _Wish) -> None:
    parts = {"train": names[: wish.train_classes], "test": names[wish.train_classes :]}
    for split, file in SPLIT_LISTS.items():
        _write(folder / file, "".join(f"{name}\n" for name in parts[split]))


def _write_cub(base: Path, wish: _Wish) -> None:
    kinds = birds.species(wish.classes, _classes("cub", wish))
    names = [f"{number:03d}.{kind.name}" for number, kind in enumerate(kinds, 1)]
    images: list[str] = []
    labels, boxes, halves = [], [], []
    for kind, number, (width, height), rng in _each("cub", wish):
        image, place, box = birds.draw(kinds[kind], width, height, rng)
        stem = f"{names[kind]}/{kinds[kind].name}_{number + 1:04d}_{kind * wish.images_per_class + number + 1}"
        _write(base / "images" / f"{stem}.jpg", _jpeg(image))
        texts = birds.captions(kinds[kind], place, wish.captions_per_image, rng)
        _write(base / "text_c10" / f"{stem}.txt", "".join(f"{text}\n" for text in texts))
        key = len(images) + 1
        images.append(f"{key} {stem}.jpg\n")
        labels.append(f"{key} {kind + 1}\n")
        boxes.append(f"{key} {' '.join(f'{value:.1f}' for value in box)}\n")
        halves.append(f"{key} {number % 2}\n")
    _write(base / "images.txt", "".join(images))
    _write(base / "image_class_labels.txt", "".join(labels))
    _write(base / "bounding_boxes.txt", "".join(boxes))
    _write(base / "train_test_split.txt", "".join(halves))
    _write(base / "classes.txt", "".join(f"{number} {name}\n" for number, name in enumerate(names, 1)))
    _write_lists(base / "t2i_class_split", names, wish)
    _write(base / STANDIN_MARK, _MARK)


def _write_oxford(base: Path, wish: _Wish) -> None:
    from scipy.io import savemat

    kinds = flowers.kinds(wish.classes, _classes("oxford", wish))
    labels: list[int] = []
    for kind, _, (width, height), rng in _each("oxford", wish):
        image, place = flowers.draw(kinds[kind], width, height, rng)
        labels.append(kind + 1)
        stem = f"image_{len(labels):05d}"
        _write(base / "jpg" / f"{stem}.jpg", _jpeg(image))
        texts = flowers.captions(kinds[kind], place, wish.captions_per_image, rng)
        _write(base / "text_c10" / f"class_{kind + 1:05d}" / f"{stem}.txt", "".join(f"{text}\n" for text in texts))
    buffer = io.BytesIO()
    savemat(buffer, {"labels": np.array([labels], dtype=np.uint8 if wish.classes < 256 else np.uint16)})
    _write(base / "imagelabels.mat", _MAT_HEADER + buffer.getvalue()[len(_MAT_HEADER) :])
    _write_lists(base / "class_split", [f"class_{number:05d}" for number in range(1, wish.classes + 1)], wish)
    names = {str(number): kind.name for number, kind in enumerate(kinds, 1)}
    _write(base / "cat_to_name.json", json.dumps(names, indent=1) + "\n")
    _write(base / STANDIN_MARK, _MARK)


def _write_coco(base: Path, wish: _Wish, year: int) -> None:
    images: dict[str, list[dict[str, object]]] = {"train": [], "val": []}
    annotations: dict[str, list[dict[str, object]]] = {"train": [], "val": []}
    for key, (kind, _, (width, height), rng) in enumerate(_each("coco", wish), 1):
        part = "train" if kind < wish.train_classes else "val"
        what = scenes.scene(rng)
        name = f"COCO_{part}{year}_{key:012d}.jpg" if year == 2014 else f"{key:012d}.jpg"
        _write(base / f"{part}{year}" / name, _jpeg(scenes.draw(what, width, height, rng)))
        images[part].append({"id": key, "file_name": name, "width": width, "height": height})
        for text in scenes.captions(what, wish.captions_per_image, rng):
            number = sum(map(len, annotations.values())) + 1
            annotations[part].append({"image_id": key, "id": number, "caption": text})
    for part in images:
        content = {
            "info": {"description": _MARK.strip(), "year": year},
            "licenses": [],
            "images": images[part],
            "annotations": annotations[part],
        }
        _write(base / "annotations" / f"captions_{part}{year}.json", json.dumps(content))
    _write(base / STANDIN_MARK, _MARK)
