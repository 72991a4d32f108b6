"""What the writers of stand-ins share: the pictures to draw, each with a random stream of its own, and files."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from t2i_repro.core.digest import derive_seed
from t2i_repro.data.layout import StandinSize
from t2i_repro.data.reed import SPLIT_LISTS

MARK = "Procedural stand-ins drawn by t2i-repro, not photographs. Scores on them say nothing about the papers.\n"


def pictures(layout: str, size: StandinSize) -> Iterator[tuple[int, int, tuple[int, int], np.random.Generator]]:
    """Class (from 0), number within it (from 0), size (width, height) and random stream of each picture."""
    progress = tqdm(total=size.classes * size.images_per_class, desc=f"drawing {layout}", disable=None, unit="image")
    with progress:
        for kind in range(size.classes):
            for number in range(size.images_per_class):
                rng = np.random.default_rng(derive_seed(size.seed, layout, kind, number))
                longer = round(size.side * rng.uniform(1.0, 1.45))
                upright = rng.random() < 0.25
                yield kind, number, (size.side, longer) if upright else (longer, size.side), rng
                progress.update()


def class_stream(layout: str, size: StandinSize) -> np.random.Generator:
    """The random stream that draws the classes themselves."""
    return np.random.default_rng(derive_seed(size.seed, layout, "classes"))


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_split_lists(folder: Path, names: list[str], size: StandinSize) -> None:
    """The class lists of Reed's splits: the first ``size.train_classes`` of ``names`` train."""
    parts = {"train": names[: size.train_classes], "test": names[size.train_classes :]}
    for split, file in SPLIT_LISTS.items():
        write(folder / file, "".join(f"{name}\n" for name in parts[split]))
