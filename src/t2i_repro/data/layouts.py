"""Readers of the official raw layouts of CUB-200-2011, Oxford-102 and COCO captions.

``raw_files`` lists what determines the data (it feeds the manifest digest); ``read_index`` says which image has
which captions, class, split and box. Both only look at indices, never at pixels.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from t2i_repro.data.captions import decode
from t2i_repro.errors import ReproError

FOLDERS = {"cub": "CUB_200_2011", "oxford": "oxford102", "coco": "coco"}
STANDIN_MARK = "STANDIN.txt"  # written by our stand-ins, so that no copy of them can pass for the real data

# Reed's captions and the class lists lie inside the official folder, or beside it as his archives unpack.
CAPTION_FOLDERS = {
    "cub": ("CUB_200_2011/text_c10", "CUB_200_2011/text", "cvpr2016_cub/text_c10", "text_c10"),
    "oxford": ("oxford102/text_c10", "cvpr2016_flowers/text_c10", "text_c10"),
}
SPLIT_FOLDERS = {
    "cub": ("CUB_200_2011/t2i_class_split", "CUB_200_2011/class_split", "CUB_200_2011", "cvpr2016_cub", "."),
    "oxford": ("oxford102/class_split", "oxford102", "cvpr2016_flowers", "."),
}
SPLIT_LISTS = {"train": "trainvalclasses.txt", "test": "testclasses.txt"}


@dataclass(frozen=True)
class RawImage:
    """One image of a raw layout.

    ``class_id`` is the official number (from 1), or None where the layout has no classes (COCO). ``box`` is
    (x, y, width, height) in pixels of the file. ``captions`` is a file with one caption per line, or the captions.
    """

    path: Path
    image_id: str
    class_id: int | None
    split: str
    box: tuple[float, float, float, float] | None
    captions: Path | tuple[str, ...]


@dataclass(frozen=True)
class RawIndex:
    """The images of a layout in their official order, names of the classes, and what was handled on the way."""

    images: list[RawImage]
    class_names: dict[int, str]
    standin: bool
    handled: dict[str, int]


def data_root(layout: str, root: Path) -> Path:
    """The folder that holds the dataset's folder: ``root``, or its parent when ``root`` is the dataset's folder itself.

    Raises ReproError for an unknown layout.
    """
    if layout not in FOLDERS:
        raise ReproError(f"unknown layout {layout!r}; allowed: {', '.join(FOLDERS)}")
    itself = root.name == FOLDERS[layout] and not (root / FOLDERS[layout]).is_dir()
    return root.parent if itself else root


def raw_files(layout: str, root: Path, year: int | None = None) -> list[str]:
    """Sorted paths, relative to ``data_root(layout, root)`` with forward slashes, of all files that matter.

    Raises ReproError when the layout is not there.
    """
    root = data_root(layout, root)
    if layout == "coco":
        files = _coco_files(root, year)
    else:
        files = _cub_files(root) if layout == "cub" else _oxford_files(root)
    mark = _mark(layout, root)
    if mark.is_file():
        files.append(mark.relative_to(root).as_posix())
    return sorted(set(files))


def read_index(layout: str, root: Path, year: int | None = None) -> RawIndex:
    """Images, captions, classes, splits and boxes. Raises ReproError naming the file and the entry that is wrong."""
    root = data_root(layout, root)
    handled: Counter[str] = Counter()
    names: dict[int, str] = {}
    if layout == "coco":
        images = _read_coco(root, year, handled)
    else:
        images, names = _read_cub(root) if layout == "cub" else _read_oxford(root)
    if not images:
        raise ReproError(f"{root}: the index of layout {layout} names no image")
    return RawIndex(images, names, _mark(layout, root).is_file(), dict(handled))


def _mark(layout: str, root: Path) -> Path:
    return root / FOLDERS[layout] / STANDIN_MARK


def _need(path: Path, what: str) -> Path:
    if not path.exists():
        raise ReproError(
            f"{path}: not found ({what}). Point data_root at the folder that holds it; `python -m t2i_repro fetch` "
            f"lists where the official archives come from, and README.md how they must lie."
        )
    return path


def _first_of(root: Path, folders: Iterable[str], holding: str, what: str) -> str:
    for folder in folders:
        if (root / folder / holding).exists():
            return folder
    looked = ", ".join(str(root / folder / holding) for folder in folders)
    raise ReproError(f"{root}: found no {what}; looked for {looked}")


def _walk(root: Path, folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Files below ``root/folder`` with one of the suffixes, hidden ones left out, relative to root."""
    found: list[str] = []
    pending = [folder]
    while pending:
        here = pending.pop()
        with os.scandir(root / here) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    pending.append(f"{here}/{entry.name}")
                elif entry.name.lower().endswith(suffixes):
                    found.append(f"{here}/{entry.name}")
    return found


def _split_files(layout: str, root: Path) -> dict[str, str]:
    folder = _first_of(root, SPLIT_FOLDERS[layout], SPLIT_LISTS["train"], "class lists of the split")
    files = {split: name if folder == "." else f"{folder}/{name}" for split, name in SPLIT_LISTS.items()}
    _need(root / files["test"], "class list of the test split")
    return files


def _class_splits(layout: str, root: Path) -> tuple[dict[str, str], str]:
    """Split of each class name, and the two lists' names for messages."""
    splits: dict[str, str] = {}
    files = _split_files(layout, root)
    for split, file in files.items():
        for line in _text(root / file).split("\n"):
            name = line.strip()
            if not name:
                continue
            if name in splits:
                raise ReproError(f"{root / file}: class {name} is listed twice; it must stand in one split, once")
            splits[name] = split
    return splits, " or ".join(str(root / file) for file in files.values())


def _text(path: Path) -> str:
    return decode(_need(path, "part of the official layout").read_bytes())[0].replace("\r\n", "\n")


def _rows(path: Path, fields: int) -> list[tuple[int, list[str]]]:
    """Rows ``id value...`` of a CUB index. Raises ReproError on a malformed or repeated row."""
    rows: list[tuple[int, list[str]]] = []
    seen: set[int] = set()
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        key, *values = line.split(None, fields - 1)
        if len(values) != fields - 1 or not key.isdigit():
            raise ReproError(f"{path}:{number}: expected an id and {fields - 1} value(s), found {line!r}")
        if int(key) in seen:
            raise ReproError(f"{path}:{number}: id {key} is listed twice; keep one line for each id")
        seen.add(int(key))
        rows.append((int(key), [value.strip() for value in values]))
    return rows


def _cub_files(root: Path) -> list[str]:
    base = "CUB_200_2011"
    indices = [f"{base}/{name}.txt" for name in ("images", "image_class_labels", "bounding_boxes", "classes")]
    _need(root / indices[0], "index of CUB-200-2011")
    _need(root / base / "images", "images of CUB-200-2011")
    captions = _first_of(root, CAPTION_FOLDERS["cub"], ".", "captions of Reed et al. (text_c10)")
    files = [*indices, *_split_files("cub", root).values()]
    return files + _walk(root, f"{base}/images", (".jpg", ".jpeg", ".png")) + _walk(root, captions, (".txt",))


def _read_cub(root: Path) -> tuple[list[RawImage], dict[int, str]]:
    base = root / "CUB_200_2011"
    names = {key: name for key, (name,) in _rows(base / "classes.txt", 2)}
    labels = {key: int(label) for key, (label,) in _rows(base / "image_class_labels.txt", 2)}
    boxes = {
        key: _box(base / "bounding_boxes.txt", key, values) for key, values in _rows(base / "bounding_boxes.txt", 5)
    }
    splits, lists = _class_splits("cub", root)
    captions = root / _first_of(root, CAPTION_FOLDERS["cub"], ".", "captions of Reed et al. (text_c10)")
    images: list[RawImage] = []
    seen: set[str] = set()
    for key, (file,) in _rows(base / "images.txt", 2):
        path = base / "images" / file
        if file in seen:
            raise ReproError(f"{base / 'images.txt'}: image {file} is listed twice (again as id {key})")
        seen.add(file)
        if key not in labels or labels[key] not in names:
            raise ReproError(f"{path}: image id {key} has no class in image_class_labels.txt and classes.txt")
        if key not in boxes:
            raise ReproError(f"{path}: image id {key} has no box in {base / 'bounding_boxes.txt'}")
        name = names[labels[key]]
        if name not in splits:
            raise ReproError(f"{path}: its class {name} is in neither {lists}; add it to one, or remove its images")
        images.append(
            RawImage(
                path=_need(path, f"listed in images.txt as id {key}"),
                image_id=str(Path(file).with_suffix("")),
                class_id=labels[key],
                split=splits[name],
                box=boxes[key],
                captions=(captions / file).with_suffix(".txt"),
            )
        )
    used = {image.class_id for image in images}
    return images, {key: name for key, name in names.items() if key in used}


def _box(path: Path, key: int, values: list[str]) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(value) for value in " ".join(values).split())
    except ValueError:
        raise ReproError(f"{path}: image id {key}: expected x y width height, found {' '.join(values)!r}") from None
    return x, y, width, height


def _oxford_files(root: Path) -> list[str]:
    _need(root / "oxford102" / "jpg", "images of Oxford-102")
    _need(root / "oxford102" / "imagelabels.mat", "labels of Oxford-102")
    captions = _first_of(root, CAPTION_FOLDERS["oxford"], ".", "captions of Reed et al. (text_c10)")
    files = ["oxford102/imagelabels.mat", *_split_files("oxford", root).values()]
    return files + _walk(root, "oxford102/jpg", (".jpg",)) + _walk(root, captions, (".txt",))


def _read_oxford(root: Path) -> tuple[list[RawImage], dict[int, str]]:
    from scipy.io import loadmat

    mat = root / "oxford102" / "imagelabels.mat"
    try:
        labels = loadmat(str(mat))["labels"].ravel()
    except Exception as error:  # scipy raises many kinds on a damaged file
        raise ReproError(f"{mat}: cannot be read as MATLAB file with `labels` ({error})") from error
    splits, lists = _class_splits("oxford", root)
    captions = _first_of(root, CAPTION_FOLDERS["oxford"], ".", "captions of Reed et al. (text_c10)")
    files = _walk(root, "oxford102/jpg", (".jpg",))
    pictures = {Path(file).stem: root / file for file in files if "/image_" in file}
    texts: dict[str, Path] = {}
    for file in sorted(_walk(root, captions, (".txt",))):
        stem, folder = Path(file).stem, Path(file).parent.name
        if not stem.startswith("image_") or not folder.startswith("class_"):
            continue
        if stem in texts:
            raise ReproError(f"{root / file}: image {stem} is listed twice; its captions are also in {texts[stem]}")
        texts[stem] = root / file
    for stem, path in texts.items():
        if stem not in pictures:
            raise ReproError(f"{path}: has captions, but oxford102/jpg/{stem}.jpg does not exist")
    images, names = [], {}
    for stem in sorted(pictures):
        number = stem.removeprefix("image_")
        if not number.isdigit() or not 1 <= int(number) <= len(labels):
            raise ReproError(f"{pictures[stem]}: {mat} has labels 1..{len(labels)}, none for this image")
        label = int(labels[int(number) - 1])
        name = f"class_{label:05d}"
        text = texts.get(stem, root / captions / name / f"{stem}.txt")
        if text.parent.name != name:
            raise ReproError(f"{text}: {mat.name} says {name} for this image")
        if name not in splits:
            raise ReproError(f"{pictures[stem]}: its class {name} is in neither {lists}; add it to one")
        names[label] = name
        images.append(RawImage(pictures[stem], stem, label, splits[name], None, text))
    return images, dict(sorted(names.items()))


def _coco_year(root: Path, year: int | None) -> int:
    years = (year,) if year else (2014, 2017)
    files = [root / "coco" / "annotations" / f"captions_train{candidate}.json" for candidate in years]
    for file, candidate in zip(files, years, strict=True):
        if file.is_file():
            return candidate
    found = ", ".join(sorted(path.name for path in (root / "coco" / "annotations").glob("captions_*.json"))) or "none"
    raise ReproError(
        f"{' or '.join(map(str, files))}: not found; captions there: {found}. Point data_root at the folder that holds "
        f"coco/, and choose the year with datasets.coco.year"
    )


def _coco_files(root: Path, year: int | None) -> list[str]:
    year = _coco_year(root, year)
    files: list[str] = []
    for split in ("train", "val"):
        annotations = f"coco/annotations/captions_{split}{year}.json"
        _need(root / annotations, "captions of COCO")
        _need(root / f"coco/{split}{year}", "images of COCO")
        files += [annotations, *_walk(root, f"coco/{split}{year}", (".jpg",))]
    return files


def _read_coco(root: Path, year: int | None, handled: Counter[str]) -> list[RawImage]:
    year = _coco_year(root, year)
    images: list[RawImage] = []
    seen: dict[int | str, Path] = {}
    for split, part in (("train", "train"), ("test", "val")):
        path = root / "coco" / "annotations" / f"captions_{part}{year}.json"
        raw = _need(path, "captions of COCO").read_bytes()
        damaged = decode(raw)[1]
        try:
            content = json.loads(raw.decode("utf-8-sig", errors="replace"))
            listed = [(int(entry["id"]), str(entry["file_name"])) for entry in content["images"]]
            captions: dict[int, list[tuple[int, str]]] = {key: [] for key, _ in listed}
            for entry in content["annotations"]:
                captions.setdefault(int(entry["image_id"]), []).append((int(entry["id"]), str(entry["caption"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ReproError(f"{path}: not a COCO captions file ({type(error).__name__}: {error})") from error
        names = set(dict(listed))
        if strangers := sorted(set(captions) - names):
            raise ReproError(f"{path}: captions for image id {strangers[0]}, which is not among its images")
        for key, name in sorted(listed):
            picture = root / "coco" / f"{part}{year}" / name
            for known in (key, name):
                if known in seen:
                    raise ReproError(f"{path}: image {name} (id {key}) is listed twice; first in {seen[known]}")
                seen[known] = path
            lines = tuple(caption.replace("\n", " ") for _, caption in sorted(captions[key]))
            if damaged:
                handled["captions not in UTF-8"] += sum("\ufffd" in line for line in lines)
            lines = tuple(line.replace("\ufffd", " ") for line in lines)
            _need(picture, f"listed in {path.name}")
            images.append(RawImage(picture, Path(name).stem, None, split, None, lines))
    return images
