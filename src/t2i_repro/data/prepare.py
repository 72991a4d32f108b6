"""Verb `prepare`: raw files of any layout into one memory-mapped form (see `prepared.py` for the files)."""

import errno
import hashlib
import io
import json
import os
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import Build, atomic_write, write_json
from t2i_repro.data.captions import Vocabulary, decode, file_lines, usable
from t2i_repro.data.layouts import RawImage, data_root, raw_files, read_index
from t2i_repro.data.manifest import combine
from t2i_repro.data.pictures import crop_to_box, decode_image, resize_shorter, short_side
from t2i_repro.data.prepared import FORMAT, SPLITS
from t2i_repro.errors import ReproError, StorageFull

_MAX_THREADS = 8  # decoding JPEGs and resizing release the interpreter lock

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Ready:
    """One image as it goes into the prepared form."""

    pixels: npt.NDArray[np.uint8]
    texts: list[str]
    tokens: list[list[str]]
    handled: list[str]
    hashes: dict[Path, str] = field(default_factory=dict)


def run(node: Node, out: Path, build: Build) -> None:
    """Prepare the data of ``node`` in ``out``.

    Pixels are streamed, so memory does not grow with the number of images. What could be handled is counted in
    ``build.facts["handled"]``. Raises ReproError naming the file for input that is refused, and when the raw files
    are no longer those the plan has seen.
    """
    spec = node.spec
    layout, year = spec["layout"], spec.get("year")
    root = data_root(layout, build.input("raw") if "raw" in node.inputs else Path(node.locations["raw_root"]))
    index = read_index(layout, root, year)
    side = short_side(spec["image_size"])
    handled = Counter(index.handled)
    hashes: dict[Path, str] = {}
    vocabulary = Vocabulary()
    tokens, token_start, text, text_start = array("i"), array("q", [0]), bytearray(), array("q", [0])
    caption_start, offsets, shapes = array("q", [0]), array("q"), array("i")

    def ready(image: RawImage) -> _Ready:
        return _read(image, side, spec["captions_per_image"], spec.get("boxes", True))

    with PixelWriter(out / "pixels.npy") as writer:
        progress = tqdm(index.images, f"preparing {layout}", disable=None, unit="image")
        for item in _in_order(ready, progress):
            offsets.append(writer.count)
            shapes.extend(item.pixels.shape[:2])
            writer.append(item.pixels)
            for caption, words in zip(item.texts, item.tokens, strict=True):
                tokens.extend(vocabulary.numbers(words))
                token_start.append(len(tokens))
                text += caption.encode()
                text_start.append(len(text))
            caption_start.append(len(token_start) - 1)
            handled.update(item.handled)
            hashes.update(item.hashes)
    manifest = spec.get("manifest")
    if manifest and "raw" not in node.inputs:
        _check_manifest(manifest, layout, root, year, hashes)

    split = np.array([SPLITS.index(image.split) for image in index.images], dtype=np.uint8)
    number = enumerate(index.images)
    class_ids = [place if image.class_id is None else image.class_id for place, image in number]
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
    standin = index.standin or ("raw" in node.inputs and node.inputs["raw"].kind == "standin")
    content: dict[str, Any] = {
        "format": FORMAT,
        "layout": layout,
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
            "images": {name: int((split == place).sum()) for place, name in enumerate(SPLITS)},
            "classes": {
                name: len(set(class_ids[i] for i in np.flatnonzero(split == place))) if index.class_names else None
                for place, name in enumerate(SPLITS)
            },
            "captions": len(token_start) - 1,
            "words": len(tokens),
            "vocabulary": len(vocabulary.words),
            "handled": {name: count for name, count in sorted(handled.items()) if count},
        }
    )


class PixelWriter:
    """A flat uint8 ``.npy`` file written piece by piece; it appears under its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._partial = path.with_name(f"{path.name}.partial")
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._file = self._partial.open("wb")
        self._file.write(_npy_header(0))
        return self

    def append(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Add an array's values in C order. Raises StorageFull when the disk is full."""
        assert self._file is not None
        try:
            self._file.write(np.ascontiguousarray(pixels).data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(f"{self._partial}: disk full after {self.count / 1e9:.1f} GB of pixels") from error
            raise
        self.count += pixels.size

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._file is not None
        if kind is None:
            self._file.seek(0)
            self._file.write(_npy_header(self.count))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            os.replace(self._partial, self.path)
        else:
            self._partial.unlink(missing_ok=True)


def _npy_header(count: int) -> bytes:
    """Header for ``count`` values; numpy reserves room for the digits, so its length does not depend on the count."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (count,)})
    return buffer.getvalue()


def _in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``map`` over a few threads that keeps the order and never holds more than a few results."""
    threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
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


def _check_manifest(manifest: str, layout: str, root: Path, year: int | None, read: dict[Path, str]) -> None:
    """Compare what was read (and the indices, read again) with the manifest of the plan."""
    files = raw_files(layout, root, year)
    found = combine((file, read.get(root / file) or file_sha256(root / file)) for file in files)
    if found != manifest:
        raise ReproError(
            f"{root}: raw files changed since the plan (manifest {found[:10]}, planned {manifest[:10]}). "
            f"Run `snakemake` again: it plans anew and prepares the data under its new name."
        )
