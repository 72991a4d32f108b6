"""`Layout`, the base class of the raw layouts in `layouts/`, the index that reading one returns, and helpers.

A layout reads indices and captions, never pixels. The planner imports layouts, so importing one loads neither torch
nor SciPy.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from t2i_repro.core.declarations import declared
from t2i_repro.data.captions import decode
from t2i_repro.errors import ReproError

STANDIN_MARK = "STANDIN.txt"  # a file of our stand-ins, so that no copy of them can pass for the real data


@dataclass(frozen=True)
class RawImage:
    """One image of a raw dataset.

    ``class_id`` is the official number (from 1), or None where the layout has no classes. ``box`` is
    (x, y, width, height) in pixels of the file, or None. ``captions`` is a file with one caption per line, or the
    captions themselves.
    """

    path: Path
    image_id: str
    class_id: int | None
    split: str
    box: tuple[float, float, float, float] | None
    captions: Path | tuple[str, ...]


@dataclass(frozen=True)
class RawIndex:
    """The images of a raw dataset in their official order, the names of its classes, and how often each problem with
    the input was handled."""

    images: list[RawImage]
    class_names: dict[int, str] = field(default_factory=dict)
    handled: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StandinSize:
    """How many pictures a stand-in has, and how large they are."""

    train_classes: int
    test_classes: int
    images_per_class: int
    captions_per_image: int
    side: int  # of the shorter side, in pixels
    seed: int

    @property
    def classes(self) -> int:
        return self.train_classes + self.test_classes


@dataclass(frozen=True)
class Release:
    """What an official release holds, so that a part of it, or another one, is recognised. ``source`` says where each
    number comes from. ``images`` and ``classes`` are by split; ``classes`` is None for a layout without classes.

    ``names``: SHA-256 of the official names, as `names_digest` (data/released.py) computes it; None: no list of them is
    at hand, and only the counts can be checked.
    """

    images: dict[str, int]
    classes: dict[str, int] | None
    captions_per_image: int
    source: str
    names: str | None = None


class Layout(ABC):
    """How the files of a dataset are arranged. ``base`` is the dataset's own folder in every method.

    ``folder`` is that folder's official name. ``years`` are the values that `year` may have in params.yaml, if any;
    ``has_boxes`` says whether images have bounding boxes to crop to, ``has_classes`` whether they have classes.
    """

    name: str
    folder: str
    has_classes: bool = True
    has_boxes: bool = False
    years: tuple[int, ...] = ()

    @abstractmethod
    def files(self, base: Path, year: int | None) -> list[str]:
        """All files that determine the data, relative to ``base`` with forward slashes, in any order.

        Raises ReproError when the dataset is not there.
        """

    @abstractmethod
    def read(self, base: Path, year: int | None) -> RawIndex:
        """Images, captions, classes, splits, boxes. Raises ReproError naming the file and the entry that is wrong."""

    def release(self, year: int | None) -> Release | None:
        """The official release that the papers use; None: not known (another year, a dataset of the user's own)."""
        return None

    def train_images(self, year: int | None) -> int | None:
        """Images of the official training split, for plans without data; None: not known."""
        release = self.release(year)
        return None if release is None else release.images["train"]

    def draw_standin(self, base: Path, size: StandinSize, year: int | None) -> None:
        """Write a procedural stand-in that `read` accepts: a function of ``size`` alone, test classes after those of
        the training split. Raises ReproError where the layout has none."""
        raise ReproError(f"layout {self.name!r} has no stand-in; set data_root to a folder with {self.folder}/")


@cache
def layouts() -> dict[str, Layout]:
    """Every layout by its name."""
    return declared("t2i_repro.data.layouts", Layout)


def layout_of(name: str) -> Layout:
    """The layout of this name. Raises ReproError naming those that exist."""
    if name not in layouts():
        raise ReproError(f"unknown layout {name!r}; allowed: {', '.join(layouts())}")
    return layouts()[name]


def check_params(params: dict[str, Any], source: str) -> None:
    """Check `datasets` of params.yaml against the layouts. Raises ReproError naming the key, the value found and what
    is allowed."""
    for name, entry in params["datasets"].items():
        key = f"{source}: datasets.{name}"
        if entry["layout"] not in layouts():
            allowed = ", ".join(map(repr, layouts()))
            raise ReproError(f"{key}.layout: found {entry['layout']!r}; allowed: {allowed}")
        layout = layouts()[entry["layout"]]
        years = (None, *layout.years)
        if entry.get("year") not in years:
            allowed = ", ".join("null" if year is None else str(year) for year in years)
            raise ReproError(f"{key}.year: found {entry['year']!r}; allowed for layout {layout.name}: {allowed}")
        if entry.get("boxes") and not layout.has_boxes:
            raise ReproError(f"{key}.boxes: found true; layout {layout.name} has no boxes, so allowed: false")


def raw_files(layout: Layout, base: Path, year: int | None = None) -> dict[str, str]:
    """Paths of all files that determine the data, by names that do not depend on the folder of the dataset: the path
    relative to `data_root`, with the layout's official folder.

    Raises ReproError when the dataset is not there.
    """
    files = {*layout.files(base, year), *([STANDIN_MARK] if is_standin(base) else [])}
    # Strings: on COCO, pathlib would take most of the time of a plan whose hashes are cached.
    return {os.path.normpath(f"{layout.folder}/{file}"): os.path.normpath(f"{base}/{file}") for file in sorted(files)}


def read_index(layout: Layout, base: Path, year: int | None = None) -> RawIndex:
    """`Layout.read`, and a ReproError where there is no image."""
    index = layout.read(base, year)
    if not index.images:
        raise ReproError(f"{base}: the index of layout {layout.name} names no image")
    return index


def is_standin(base: Path) -> bool:
    """Whether a raw dataset is one of our stand-ins or a copy of one."""
    return (base / STANDIN_MARK).is_file()


def need(path: Path, what: str) -> Path:
    """``path``, which is ``what``. Raises ReproError saying where to get it if it does not exist."""
    if not path.exists():
        raise ReproError(
            f"{path}: not found ({what}). Point data_root at the folder that holds it; `python -m t2i_repro fetch` "
            f"lists where the official archives come from, and docs/data.md shows how to lay them out."
        )
    return path


def first_of(base: Path, folders: Iterable[str], file: str, what: str) -> str:
    """The first of ``folders`` (relative to ``base``) that holds ``file``; "." for the folder itself."""
    candidates = list(folders)
    for folder in candidates:
        if Path(join(base, folder), file).exists():
            return folder
    searched = ", ".join(os.path.normpath(f"{base}/{folder}/{file}") for folder in candidates)
    raise ReproError(f"{base}: found no {what}; looked for {searched}")


def join(base: Path, folder: str) -> Path:
    """``base / folder`` with ".." resolved in the text: next to ``base`` also where that is a symbolic link."""
    return Path(os.path.normpath(f"{base}/{folder}"))


def walk(base: Path, folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Files below ``base/folder`` with one of the suffixes, hidden ones left out, relative to ``base``."""
    found: list[str] = []
    pending = [folder]
    while pending:
        here = pending.pop()
        with os.scandir(join(base, here)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    pending.append(f"{here}/{entry.name}")
                elif entry.name.lower().endswith(suffixes):
                    found.append(f"{here}/{entry.name}")
    return found


def read_text(path: Path) -> str:
    """Text of an index file. Raises ReproError where it is missing."""
    return decode(need(path, "part of the official layout").read_bytes())[0].replace("\r\n", "\n")
