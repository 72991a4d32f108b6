"""A stand-in for Oxford-102: procedural flowers in the official files."""

import io
import json
from pathlib import Path

import numpy as np
from scipy.io import savemat

from t2i_repro.data.layout import StandinSize
from t2i_repro.data.procedural import flowers
from t2i_repro.data.procedural.files import class_stream, jpeg, pictures, write, write_split_lists

_MAT_HEADER = b"MATLAB 5.0 MAT-file, t2i-repro stand-in".ljust(116)  # scipy writes the time of day here


def write_oxford(base: Path, size: StandinSize) -> None:
    kinds = flowers.kinds(size.classes, class_stream("oxford", size))
    labels: list[int] = []
    for kind, _, (width, height), rng in pictures("oxford", size):
        image, place = flowers.draw(kinds[kind], width, height, rng)
        labels.append(kind + 1)
        stem = f"image_{len(labels):05d}"
        write(base / "jpg" / f"{stem}.jpg", jpeg(image))
        texts = flowers.captions(kinds[kind], place, size.captions_per_image, rng)
        write(base / "text_c10" / f"class_{kind + 1:05d}" / f"{stem}.txt", "".join(f"{text}\n" for text in texts))
    buffer = io.BytesIO()
    savemat(buffer, {"labels": np.array([labels], dtype=np.uint8 if size.classes < 256 else np.uint16)})
    write(base / "imagelabels.mat", _MAT_HEADER + buffer.getvalue()[len(_MAT_HEADER) :])
    write_split_lists(base / "class_split", [f"class_{number:05d}" for number in range(1, size.classes + 1)], size)
    names = {str(number): kind.name for number, kind in enumerate(kinds, 1)}
    write(base / "cat_to_name.json", json.dumps(names, indent=1) + "\n")
