"""A stand-in for COCO: procedural scenes of several objects in the official files."""

import json
from pathlib import Path

from t2i_repro.data.layout import StandinSize
from t2i_repro.data.procedural import scenes
from t2i_repro.data.procedural.files import MARK, jpeg, pictures, write


def write_coco(base: Path, size: StandinSize, year: int) -> None:
    images: dict[str, list[dict[str, object]]] = {"train": [], "val": []}
    annotations: dict[str, list[dict[str, object]]] = {"train": [], "val": []}
    for key, (kind, _, (width, height), rng) in enumerate(pictures("coco", size), 1):
        part = "train" if kind < size.train_classes else "val"
        scene = scenes.scene(rng)
        name = f"COCO_{part}{year}_{key:012d}.jpg" if year == 2014 else f"{key:012d}.jpg"
        write(base / f"{part}{year}" / name, jpeg(scenes.draw(scene, width, height, rng)))
        images[part].append({"id": key, "file_name": name, "width": width, "height": height})
        for text in scenes.captions(scene, size.captions_per_image, rng):
            number = sum(map(len, annotations.values())) + 1
            annotations[part].append({"image_id": key, "id": number, "caption": text})
    for part in images:
        content = {
            "info": {"description": MARK.strip(), "year": year},
            "licenses": [],
            "images": images[part],
            "annotations": annotations[part],
        }
        write(base / "annotations" / f"captions_{part}{year}.json", json.dumps(content))
