"""Images of a folder, a zip archive, an .npz or .npy file, with counts of duplicates and lossy files."""

import csv
import hashlib
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

from t2i_repro.core.npy import stored_rows
from t2i_repro.data.pictures import DAMAGED
from t2i_repro.errors import ReproError

LARGEST = 1 << 28  # bytes that an image of an archive may unpack to: 256 MiB
LOSSLESS, LOSSY = (".png", ".bmp", ".ppm", ".tif", ".tiff"), (".jpg", ".jpeg", ".webp")
WORKERS = 2
WAITING = 1024  # images that may wait for a worker: each takes a kilobyte or so

Pixels = npt.NDArray[np.uint8]


@dataclass
class Source:
    """``names`` [N], in alphabetical order (arrays: row indices); ``open(i)`` -> uint8 [h, w, 3]; ``raw(i)``: the bytes
    that determine its content; ``lossy``: how many are in lossy formats."""

    path: Path
    names: list[str]
    open: Callable[[int], Pixels]
    raw: Callable[[int], bytes]
    lossy: int = 0
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self._hashes: list[bytes] = []
        indices = range(len(self.names))
        with ThreadPoolExecutor(WORKERS) as pool:
            for start in range(0, len(indices), WAITING):
                part = indices[start : start + WAITING]
                self._hashes += pool.map(lambda i: hashlib.sha256(self.raw(i)).digest(), part)
        self.digest = hashlib.sha256(b"".join(self._hashes)).hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def duplicates(self) -> int:
        """Images whose bytes another one has too, but for the first of each."""
        return len(self._hashes) - len(set(self._hashes))

    def read(self, start: int, stop: int, side: int | None) -> Pixels:
        """Images as a block uint8 [B, S, S, 3]. ``side``: the short side is brought to it (PIL bilinear) and the middle
        kept; None: they have to be square and of one size. Raises ReproError naming one that is not."""
        with ThreadPoolExecutor(WORKERS) as pool:
            found = list(pool.map(lambda i: fitted(self.open(i), side), range(start, stop)))
        for index, image in enumerate(found):
            if image.shape != found[0].shape or image.shape[0] != image.shape[1]:
                name = self.names[start + index]
                height, width = image.shape[:2]
                raise ReproError(
                    f"{self.path}: {name} is {width} x {height} px; expected square images of one size, as "
                    f"{self.names[start]} ({found[0].shape[1]} px)"
                )
        return np.stack(found)


def fitted(image: Pixels, side: int | None) -> Pixels:
    if side is None or image.shape[:2] == (side, side):
        return image
    height, width = image.shape[:2]
    ratio = side / min(height, width)
    size = max(side, round(width * ratio)), max(side, round(height * ratio))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    top, left = (size[1] - side) // 2, (size[0] - side) // 2
    return small[top : top + side, left : left + side]


def open_source(path: Path) -> Source:
    """Images at ``path``. Raises ReproError if there are none, or on arrays other than uint8 [N, S, S, 3]."""
    if path.is_dir():
        names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.suffix.lower() in LOSSLESS + LOSSY)
        return of_files(path, names, lambda name: (path / name).read_bytes())
    if path.suffix == ".zip" and path.exists():
        try:
            with zipfile.ZipFile(path) as archive:
                members = {info.filename: info.file_size for info in archive.infolist()}
        except zipfile.BadZipFile as error:
            raise ReproError(f"{path}: cannot be read ({error})") from error
        names = sorted(name for name in members if Path(name).suffix.lower() in LOSSLESS + LOSSY)
        large = [name for name in names if members[name] > LARGEST]
        if large:
            raise ReproError(f"{path}: {large[0]} unpacks to {members[large[0]]:,} bytes; expected at most {LARGEST:,}")
        # An open archive cannot be shared by threads.
        return of_files(path, names, lambda name: member(path, name))
    if path.suffix in (".npy", ".npz") and path.exists():
        return of_array(path)
    raise ReproError(f"{path}: no images there; expected a folder, a .zip, an .npz or an .npy file")


def member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ReproError(f"{path}: {name} cannot be unpacked ({error})") from error


def of_files(path: Path, names: list[str], load: Callable[[str], bytes]) -> Source:
    if not names:
        raise ReproError(f"{path}: holds no image ({', '.join(LOSSLESS + LOSSY)})")

    def decode(index: int) -> Pixels:
        try:
            with Image.open(io.BytesIO(load(names[index]))) as picture:
                return np.asarray(picture.convert("RGB"))
        except DAMAGED as error:
            raise ReproError(f"{path}: {names[index]} cannot be decoded ({error})") from error

    lossy = sum(Path(name).suffix.lower() in LOSSY for name in names)
    return Source(path, names, decode, lambda index: load(names[index]), lossy)


def of_array(path: Path) -> Source:
    """The array of an .npy file, or the first of an .npz archive, which is unpacked into a temporary file."""
    try:
        rows = stored_rows(path.open("rb") if path.suffix == ".npy" else unpacked(path))
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile) as error:
        raise ReproError(f"{path}: cannot be read ({error})") from error
    if len(rows.shape) != 4 or rows.shape[3] != 3 or rows.dtype != np.uint8:
        bad = rows.dtype.kind == "f" and any(np.isnan(rows.read(row)).any() for row in range(rows.shape[0]))
        hint = "; NaN among them" if bad else ""
        raise ReproError(f"{path}: found {rows.dtype} {rows.shape}{hint}; expected uint8 [N, S, S, 3], RGB")
    return Source(path, [str(row) for row in range(rows.shape[0])], rows.read, lambda row: rows.read(row).tobytes())


def unpacked(path: Path) -> IO[bytes]:
    """The first array of an archive, in a file that is deleted when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - returned open; it goes with the Source that reads it
    with zipfile.ZipFile(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(".npy"))
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if info.file_size > free:
            raise ReproError(
                f"{path}: {info.filename} unpacks to {info.file_size:,} bytes; {tempfile.gettempdir()} has {free:,} "
                f"free. Set TMPDIR to a larger disk, or save the array as .npy"
            )
        with archive.open(info) as packed:
            shutil.copyfileobj(packed, file, 1 << 20)
    file.seek(0)
    return file


def read_captions(path: Path, samples: Source) -> list[tuple[str, int]]:
    """Caption and class (-1: none) of each sample. Raises ReproError unless there is one for each."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".csv":
        rows = [{"caption": line} for line in text.splitlines() if line.strip()]
    else:
        rows = list(csv.DictReader(text.splitlines()))
    if rows and "file" in rows[0]:
        by_name = {row["file"]: row for row in rows}
        absent = [name for name in samples.names if name not in by_name]
        if absent:
            raise ReproError(f"{path}: no caption of {absent[0]} ({len(absent)} samples have none)")
        rows = [by_name[name] for name in samples.names]
    if len(rows) != len(samples) or "caption" not in (rows[0] if rows else {}):
        raise ReproError(f"{path}: {len(rows)} captions; expected one for each of {len(samples)} images")
    classes = {name: number for number, name in enumerate(sorted({row.get("class") or "" for row in rows}))}
    return [(row["caption"], classes[row["class"]] if row.get("class") else -1) for row in rows]
