"""Whether prepared data are the whole official release of their dataset (`Release`, data/layout.py)."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t2i_repro.core.record import read_record
from t2i_repro.data.layout import Release, layout_of
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError

# Captions without a word are dropped when data are prepared, and official files hold a few: share that may be missing.
MISSING_CAPTIONS = 0.001
COUNTED = "data recognised by their counts: no list of the official names is at hand"

Source = Mapping[str, Any]
"""Raw files that were prepared: their `year`, and the digests of the prepared data by `folders`."""


def names_digest(data: Prepared) -> str:
    """SHA-256 over the sorted lines ``split name``, one for each image."""
    lines = sorted(f"{split} {data.image_ids[image]}\n" for split, images in data.splits.items() for image in images)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def release_of(data: Prepared, year: int | None) -> Release | None:
    """The official release that prepared data should be; None: not known."""
    return layout_of(data.layout).release(year)


def differences(data: Prepared, year: int | None) -> list[str]:
    """How prepared data differ from the official release: counts of images, classes and captions, and names where
    they are known. Empty: it is whole."""
    release = release_of(data, year)
    if release is None:
        which = data.layout if year is None else f"{data.layout} of {year}"
        return [f"data: the official release of {which} is not in the table of data/layouts"]
    found = [
        f"data: {len(data.splits[split]):,} {split} images, not the {count:,} of the official release"
        for split, count in release.images.items()
        if len(data.splits[split]) != count
    ]
    for split, count in (release.classes or {}).items():
        classes = len(set(data.class_ids[data.splits[split]].tolist()))
        if classes != count:
            found.append(f"data: {classes} {split} classes, not the {count} of the official release")
    captions, wanted = len(data.caption_lengths), len(data) * release.captions_per_image
    if not wanted * (1 - MISSING_CAPTIONS) <= captions <= wanted:
        found.append(
            f"data: {captions:,} captions of {len(data):,} images; the official release has "
            f"{release.captions_per_image} of each"
        )
    if not found and release.names is not None and names_digest(data) != release.names:
        found.append("data: other images than those of the official release, by their names")
    return found


def check(sources: Sequence[Source]) -> tuple[list[str], list[str]]:
    """Compare data with their official releases: differences, and caveats on what could not be compared."""
    found: list[str] = []
    caveats: list[str] = []
    for source in sources:
        data = first_of(source["folders"])
        if data is None:
            found.append(f"data: {', '.join(source['folders'])}: not there, so nothing can be counted")
            continue
        found += differences(data, source["year"])
        release = release_of(data, source["year"])
        if release is not None and release.names is None:
            caveats.append(COUNTED)
    return list(dict.fromkeys(found)), list(dict.fromkeys(caveats))


def first_of(folders: Mapping[str, str]) -> Prepared | None:
    """The first of these prepared data that is there; all are made from the same files."""
    for folder, digest in folders.items():
        try:
            if read_record(Path(folder))["digest"] == digest:
                return Prepared(Path(folder))
        except ReproError:
            continue
    return None
