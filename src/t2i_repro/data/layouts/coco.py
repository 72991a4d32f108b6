"""COCO captions of 2014 or 2017: no classes; the validation split is the test split."""

import json
from collections import Counter
from pathlib import Path

from t2i_repro.data.captions import decode
from t2i_repro.data.layout import Layout, RawImage, RawIndex, Release, StandinSize, need, walk
from t2i_repro.data.procedural.coco import write_coco
from t2i_repro.errors import ReproError

PARTS = {"train": "train", "test": "val"}

RELEASE = Release(
    images={"train": 82_783, "test": 40_504},
    classes=None,
    captions_per_image=5,  # some images have 6 or 7: the first 5 are used
    names=None,  # no official list of names is at hand
    source="MSMT-GAN, Sec. 4 (82,783 and 40,504 images, 5 captions each); SSA-GAN and HDGAN print 80k and 40k",
)


class Coco(Layout):
    name = "coco"
    folder = "coco"
    has_classes = False
    years = (2014, 2017)

    def files(self, base: Path, year: int | None) -> list[str]:
        year = self.year_of(base, year)
        files: list[str] = []
        for part in PARTS.values():
            annotations = f"annotations/captions_{part}{year}.json"
            need(base / annotations, "captions of COCO")
            need(base / f"{part}{year}", "images of COCO")
            files += [annotations, *walk(base, f"{part}{year}", (".jpg",))]
        return files

    def read(self, base: Path, year: int | None) -> RawIndex:
        year = self.year_of(base, year)
        images: list[RawImage] = []
        handled: Counter[str] = Counter()
        seen: dict[int | str, Path] = {}
        for split, part in PARTS.items():
            path = base / "annotations" / f"captions_{part}{year}.json"
            listed, captions, damaged = read_annotations(path)
            for key, name in sorted(listed):
                for known in (key, name):
                    if known in seen:
                        raise ReproError(f"{path}: image {name} (id {key}) is listed twice; first in {seen[known]}")
                    seen[known] = path
                lines = tuple(caption.replace("\n", " ") for _, caption in sorted(captions[key]))
                if damaged:
                    handled["captions not in UTF-8"] += sum("\ufffd" in line for line in lines)
                lines = tuple(line.replace("\ufffd", " ") for line in lines)
                picture = need(base / f"{part}{year}" / name, f"listed in {path.name}")
                images.append(RawImage(picture, Path(name).stem, None, split, None, lines))
        return RawIndex(images, handled=dict(handled))

    def release(self, year: int | None) -> Release | None:
        return RELEASE if year == 2014 else None

    def draw_standin(self, base: Path, size: StandinSize, year: int | None) -> None:
        write_coco(base, size, year or self.years[0])

    def year_of(self, base: Path, year: int | None) -> int:
        """The year of the dataset's files: ``year``, or the first that is there. Raises ReproError without any."""
        years = (year,) if year else self.years
        files = [base / "annotations" / f"captions_train{candidate}.json" for candidate in years]
        for file, candidate in zip(files, years, strict=True):
            if file.is_file():
                return candidate
        found = ", ".join(sorted(path.name for path in (base / "annotations").glob("captions_*.json"))) or "none"
        raise ReproError(
            f"{' or '.join(map(str, files))}: not found; captions there: {found}. Point data_root at the folder that "
            f"holds {self.folder}/, and choose the year with `year` of the dataset in params.yaml"
        )


def read_annotations(path: Path) -> tuple[list[tuple[int, str]], dict[int, list[tuple[int, str]]], int]:
    """The images (id, file name), the captions (id, text) of each image by its id, and how many lines of the file were
    not valid UTF-8."""
    raw = need(path, "captions of COCO").read_bytes()
    try:
        content = json.loads(raw.decode("utf-8-sig", errors="replace"))
        listed = [(int(entry["id"]), str(entry["file_name"])) for entry in content["images"]]
        captions: dict[int, list[tuple[int, str]]] = {key: [] for key, _ in listed}
        for entry in content["annotations"]:
            captions.setdefault(int(entry["image_id"]), []).append((int(entry["id"]), str(entry["caption"])))
    except (ValueError, KeyError, TypeError) as error:
        raise ReproError(f"{path}: not a COCO captions file ({type(error).__name__}: {error})") from error
    if unknown := sorted(set(captions) - set(dict(listed))):
        raise ReproError(f"{path}: captions for image id {unknown[0]}, which is not among its images")
    return listed, captions, decode(raw)[1]


COCO = Coco()
