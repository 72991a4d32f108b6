"""Images to evaluate: those of a sample folder, or the real images of a split of a prepared dataset."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError

ODD = {"duplicates": "are there twice", "lossy": "are in a lossy format"}


@dataclass(frozen=True)
class Images:
    """``read(start, stop)`` -> uint8 [stop - start, S, S, 3], RGB, S = ``size``.

    ``real``: images of the dataset, not samples. ``data_is_standin``: the dataset is procedural. ``run``: path and
    digest of the training they come from. ``origin`` int64 [N, 3]: indices of the dataset's image, of the caption and
    of the class of each, -1 for none. ``reduced``: samples made smaller here, because the run keeps none of an earlier
    stage. ``outside``: who made them, if not this project (`outside_of`).
    """

    count: int
    size: int
    read: Callable[[int, int], npt.NDArray[np.uint8]]
    real: bool
    data_is_standin: bool
    run: dict[str, str] | None
    origin: npt.NDArray[np.int64]
    reduced: bool = False
    outside: dict[str, Any] | None = None


def open_images(folder: Path, kind: str, split: str | None, size: int | None = None) -> Images:
    """Images of a `sample` or an `import-samples` artefact, or of ``split`` of a `prepare` artefact. ``size``: side in
    pixels if not that of the last stage."""
    if kind in ("sample", "import-samples"):
        return open_samples(folder, size)
    if kind == "prepare" and split is not None:
        return open_real(folder, split, size)
    raise ReproError(
        f"{folder}: images of kind {kind!r}, split {split!r}; expected a sample, or prepared data with a split"
    )


def open_samples(folder: Path, size: int | None = None) -> Images:
    """`images.npy` of a sample folder, memory-mapped. At a smaller ``size``: `images-SIZE.npy`, the output of an
    earlier stage of the generator, or else the images reduced to it."""
    stage = folder / f"images-{size}.npy"
    path = stage if stage.exists() else folder / "images.npy"
    try:
        images: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ReproError(f"{path}: cannot be read ({error}); sample the run again") from error
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3 or images.dtype != np.uint8:
        raise ReproError(f"{path}: found {images.dtype} {images.shape}; expected uint8 [N, S, S, 3]")
    record = read_record(folder)
    inputs: dict[str, Any] = record["inputs"]
    run = {key: inputs["run"][key] for key in ("path", "digest")} if "run" in inputs else None
    data = Prepared(Path(inputs["data"]["path"]))
    side = images.shape[1] if size is None else size
    return Images(
        count=len(images),
        size=side,
        read=lambda start, stop: reduced(rows(path, images, start, stop), side),
        real=False,
        data_is_standin=data.raw_is_standin,
        run=run,
        origin=origin_of_samples(folder / "captions.csv", data, len(images)),
        reduced=side != images.shape[1],
        outside=outside_of(record),
    )


def outside_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """Source (samples, checkpoint), provenance, SHA-256 and `remarks` on oddities of what others made, from the record
    of a sample or a run; None if this project made it."""
    if record["kind"] == "import-samples":
        facts, content = record["facts"], record["spec"]["content"]
        remarks = [f"{facts[what]} of {facts['images']} images {text}" for what, text in ODD.items() if facts[what]]
        return {"source": "samples", **record["spec"]["provenance"], "sha256": content, "remarks": remarks}
    if record["kind"] == "import-run":
        spec = record["spec"]
        return {"source": "checkpoint", **spec["provenance"], "sha256": spec["checkpoint"], "remarks": []}
    run = record["inputs"].get("run", {"kind": None})
    return outside_of(read_record(Path(run["path"]))) if run["kind"] == "import-run" else None


def outside_remarks(outside: dict[str, Any] | None) -> list[str]:
    """Remarks to show with every number of what others made (`outside` of metric.json)."""
    if outside is None:
        return []
    note = f" ({outside['note']})" if "note" in outside else ""
    made = f"outside {outside['source']}: {outside['by']}, {outside['from']}, {outside['date']}{note}"
    return [f"{made}; SHA-256 {outside['sha256'][:12]}", *outside["remarks"]]


def rows(path: Path, images: npt.NDArray[np.uint8], start: int, stop: int) -> npt.NDArray[np.uint8]:
    """Images start .. stop - 1, copied from the file: pages of a mapped file would count as memory of this process
    until the system reclaims them, 6 GB for 30,000 images."""
    offset = getattr(images, "offset", 0) + start * images[0].nbytes
    stop = min(stop, len(images))
    found = np.fromfile(path, np.uint8, (stop - start) * images[0].nbytes, offset=offset)
    return found.reshape(stop - start, *images.shape[1:])


def origin_of_samples(path: Path, data: Prepared, count: int) -> npt.NDArray[np.int64]:
    """Image, caption and class of each sample, from its row in `captions.csv`. Raises ReproError on missing or double
    rows."""
    origin = np.full((count, 3), -1, dtype=np.int64)
    if not path.exists():
        return origin
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(int(row["index"]), int(row["caption_id"])) for row in csv.DictReader(file)]
    if [index for index, _ in rows] != list(range(count)):
        raise ReproError(f"{path}: {len(rows)} rows, not one for each of the images 0 to {count - 1}; sample again")
    origin[:, 1] = [caption for _, caption in rows]
    origin[:, 0] = data.caption_image[origin[:, 1]]
    origin[:, 2] = data.class_ids[origin[:, 0]]
    return origin


def open_real(folder: Path, split: str, size: int | None = None) -> Images:
    """The images of a split, centre-cropped to the size GANs are trained at: short side int(size * 76 / 64), as stored,
    then size x size. At a smaller ``size`` the crop is reduced, as earlier stages see it. Order of the dataset."""
    data = Prepared(folder)
    indices, side = indices_of(data, split), size or data.image_size

    def read(start: int, stop: int) -> npt.NDArray[np.uint8]:
        crops = [centre_crop(data.pixels(int(index)), data.image_size) for index in indices[start:stop]]
        return reduced(np.stack(crops), side)

    origin = np.stack([indices, np.full_like(indices, -1), data.class_ids[indices]], axis=1)
    return Images(len(indices), side, read, True, data.raw_is_standin, None, origin)


def indices_of(data: Prepared, split: str) -> npt.NDArray[np.int64]:
    """Indices of the images of a split. Raises ReproError when there is no such split."""
    if split not in data.splits:
        raise ReproError(f"{data.folder}: split: found {split!r}; allowed: {', '.join(data.splits)}")
    return data.splits[split]


def reduced(images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Images [B, S, S, 3] at ``side`` pixels, by PIL's bilinear filter (which averages when it reduces).

    Raises ReproError when they are smaller.
    """
    if images.shape[1] == side:
        return images
    if images.shape[1] < side:
        raise ReproError(f"images of {images.shape[1]} px; expected at least {side} px")
    pictures = [Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR) for pixels in images]
    return np.stack([np.asarray(picture) for picture in pictures])


def centre_crop(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The middle size x size of an image [h, w, 3]. Raises ReproError when it is smaller."""
    height, width = pixels.shape[:2]
    if min(height, width) < size:
        raise ReproError(
            f"image of {width} x {height} px; expected at least {size} px on both sides: prepare the data again"
        )
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[top : top + size, left : left + size]
