"""Verb `prepare`: convert raw files of any layout to memory-mapped arrays (`prepared.py` lists the files)."""

import hashlib
import json
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import file_sha256
from t2i_repro.core.npy import npy_writer
from t2i_repro.core.record import Build, atomic_write, usable_cpus, write_json
from t2i_repro.data.captions import Vocabulary, decode, file_lines, usable
from t2i_repro.data.layout import Layout, RawImage, is_standin, layout_of, raw_files, read_index
from t2i_repro.data.manifest import combine
from t2i_repro.data.pictures import crop_to_box, decode_image, resize_shorter, short_side
from t2i_repro.data.prepared import FORMAT, SPLITS
from t2i_repro.errors import ReproError

_MAX_THREADS = 8  # decoding JPEGs and resizing release the interpreter lock

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Ready:
    """One image and its captions as they are stored."""

    pixels: npt.NDArray[np.uint8]
    texts: list[str]
    tokens: list[list[str]]
    handled: list[str]
    hashes: dict[Path, str] = field(default_factory=dict)


def run(node: Node, out: Path, build: Build) -> None:
    """Prepare the dataset of ``node`` in ``out``.

    Pixels are streamed, so memory does not grow with the number of images. Problems that were handled are counted in
    ``build.facts["handled"]``. Raises ReproError naming the file for input that is refused, and when the raw files have
    changed since the plan.
    """
    spec = node.spec
    layout, year = layout_of(spec["layout"]), spec.get("year")
    drawn = "raw" in node.inputs
    base = build.input("raw") / layout.folder if drawn else Path(node.locations["raw_root"])
    index = read_index(layout, base, year)
    side = short_side(spec["image_size"])
    handled = Counter(index.handled)
    hashes: dict[Path, str] = {}
    vocabulary = Vocabulary()
    tokens, token_start, text, text_start = array("i"), array("q", [0]), bytearray(), array("q", [0])
    caption_start, offsets, shapes = array("q", [0]), array("q"), array("i")

    def ready(image: RawImage) -> _Ready:
        return _read(image, side, spec["captions_per_image"], spec.get("boxes", True))

    with npy_writer(out / "pixels.npy", None, np.uint8) as writer:
        progress = tqdm(index.images, f"preparing {layout.name}", disable=None, unit="image")
        for item in _in_order(ready, progress):
            offsets.append(writer.written)
            shapes.extend(item.pixels.shape[:2])
            writer.write(item.pixels.reshape(-1))
            for caption, words in zip(item.texts, item.tokens, strict=True):
                tokens.extend(vocabulary.indices(words))
                token_start.append(len(tokens))
                text += caption.encode()
                text_start.append(len(text))
            caption_start.append(len(token_start) - 1)
            handled.update(item.handled)
            hashes.update(item.hashes)
    manifest = spec.get("manifest")
    if manifest and not drawn:
        _check_manifest(manifest, layout, base, year, hashes)

    split = np.array([SPLITS.index(image.split) for image in index.images], dtype=np.uint8)
    class_ids = [i if image.class_id is None else image.class_id for i, image in enumerate(index.images)]
    arrays: dict[str, npt.NDArray[Any]] = {
        "offsets": np.array(offsets, dtype=np.int64),
        "shapes": np.array(shapes, dtype=np.int32).reshape(-1, 2),
        "class_ids": np.array(class_ids, dtype=np.int64),
        "split": split,
        "caption_start": np.array(caption_start, dtype=np.int64),
        "tokens": np.array(tokens, dtype=np.int32),
        "token_start": np.array(token_start, dtype=np.int64),
        "text": np.frombuffer(bytes(text), dtype=np.uint8),
        "text_start": np.array(text_start, dtype=np.int64),
    }
    for name, values in arrays.items():
        with atomic_write(out / f"{name}.npy") as file:
            np.save(file, values)
    write_json(out / "vocabulary.json", vocabulary.words)
    standin = drawn or is_standin(base)
    content: dict[str, Any] = {
        "format": FORMAT,
        "layout": layout.name,
        "image_size": spec["image_size"],
        "short_side": side,
        "raw_is_standin": standin,
        "class_names": index.class_names,
        "image_ids": [image.image_id for image in index.images],
    }
    with atomic_write(out / "index.json") as file:
        file.write(json.dumps(content, ensure_ascii=False).encode())
    build.facts.update(
        {
            "standin": standin,
            "images": {name: int((split == number).sum()) for number, name in enumerate(SPLITS)},
            "classes": {
                name: len(set(class_ids[i] for i in np.flatnonzero(split == number))) if layout.has_classes else None
                for number, name in enumerate(SPLITS)
            },
            "captions": len(token_start) - 1,
            "words": len(tokens),
            "vocabulary": len(vocabulary.words),
            "handled": {name: count for name, count in sorted(handled.items()) if count},
        }
    )


def _in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``map`` over a few threads that keeps the order and holds only a few results at a time."""
    threads = min(_MAX_THREADS, usable_cpus())
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(image: RawImage, side: int, captions_per_image: int, boxes: bool) -> _Ready:
    hashes: dict[Path, str] = {}
    picture, handled = decode_image(_read_file(image.path, hashes), str(image.path))
    if boxes and image.box is not None:
        picture, beyond = crop_to_box(picture, image.box, str(image.path))
        handled += ["box partly outside the image"] * beyond
    pixels = np.asarray(resize_shorter(picture, side))
    if isinstance(image.captions, Path):
        source = image.captions
        if not source.is_file():
            raise ReproError(f"{image.path}: has no captions; expected them in {source}")
        text, damaged = decode(_read_file(source, hashes))
        handled += ["captions not in UTF-8"] * damaged
        lines: Iterable[str] = file_lines(text)
    else:
        source, lines = image.path, image.captions
    found = usable(lines, captions_per_image)
    if not found.texts:
        raise ReproError(f"{source}: no caption with a word in it for image {image.image_id}; expected at least one")
    handled += ["empty captions"] * found.empty + ["captions without a word"] * found.wordless
    handled += ["images with fewer captions than expected"] * (len(found.texts) < captions_per_image)
    return _Ready(pixels, found.texts, found.tokens, handled, hashes)


def _read_file(path: Path, hashes: dict[Path, str]) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReproError(f"{path}: cannot be read ({error.strerror})") from error
    hashes[path] = hashlib.sha256(raw).hexdigest()
    return raw


def _check_manifest(manifest: str, layout: Layout, base: Path, year: int | None, read: dict[Path, str]) -> None:
    """Compare what was read (and the index files, read again) with the manifest of the plan."""
    files = raw_files(layout, base, year)
    found = combine((name, read.get(Path(path)) or file_sha256(Path(path))) for name, path in files.items())
    if found != manifest:
        raise ReproError(
            f"{base}: raw files changed since the plan (manifest {found[:10]}, planned {manifest[:10]}). "
            f"Run `snakemake` again: it plans anew and prepares the data under its new name."
        )
