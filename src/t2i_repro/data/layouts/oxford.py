"""Oxford-102 Flowers with the captions of Reed et al."""

from pathlib import Path
from typing import Any

from t2i_repro.data.layout import Layout, RawImage, RawIndex, Release, StandinSize, join, need, walk
from t2i_repro.data.reed import caption_folder, class_splits, split_files
from t2i_repro.errors import ReproError

CAPTIONS = ("text_c10", "../cvpr2016_flowers/text_c10", "../text_c10")
SPLITS = ("class_split", ".", "../cvpr2016_flowers", "..")

RELEASE = Release(
    images={"train": 7_034, "test": 1_155},
    classes={"train": 82, "test": 20},
    captions_per_image=10,
    names=None,  # no official list of names is at hand
    source=(
        "ICSD-GAN, Table 3 (8,189 images, 82 and 20 classes, 10 captions each); the split's 7,034 and 1,155 are the "
        "usual counts: no paper here prints them, and HDGAN's 26 samples per test caption fit 1,155"
    ),
)


class Oxford(Layout):
    name = "oxford"
    folder = "oxford102"

    def files(self, base: Path, year: int | None) -> list[str]:
        need(base / "jpg", "images of Oxford-102")
        need(base / "imagelabels.mat", "labels of Oxford-102")
        captions = caption_folder(base, CAPTIONS)
        files = ["imagelabels.mat", *split_files(base, SPLITS).values()]
        return files + walk(base, "jpg", (".jpg",)) + walk(base, captions, (".txt",))

    def read(self, base: Path, year: int | None) -> RawIndex:
        mat = base / "imagelabels.mat"
        labels = read_labels(mat)
        splits, lists = class_splits(base, SPLITS)
        captions = caption_folder(base, CAPTIONS)
        pictures = {Path(file).stem: base / file for file in walk(base, "jpg", (".jpg",)) if "/image_" in file}
        texts = caption_files(base, captions)
        for stem, path in texts.items():
            if stem not in pictures:
                raise ReproError(f"{path}: has captions, but {self.folder}/jpg/{stem}.jpg does not exist")
        images, names = [], {}
        for stem in sorted(pictures):
            number = stem.removeprefix("image_")
            if not number.isdigit() or not 1 <= int(number) <= len(labels):
                raise ReproError(f"{pictures[stem]}: {mat} has labels 1..{len(labels)}, none for this image")
            label = int(labels[int(number) - 1])
            name = f"class_{label:05d}"
            text = texts.get(stem, join(base, f"{captions}/{name}/{stem}.txt"))
            if text.parent.name != name:
                raise ReproError(f"{text}: {mat.name} says {name} for this image")
            if name not in splits:
                raise ReproError(f"{pictures[stem]}: its class {name} is in neither {lists}; add it to one")
            names[label] = name
            images.append(RawImage(pictures[stem], stem, label, splits[name], None, text))
        return RawIndex(images, dict(sorted(names.items())))

    def release(self, year: int | None) -> Release:
        return RELEASE

    def draw_standin(self, base: Path, size: StandinSize, year: int | None) -> None:
        from t2i_repro.data.procedural.oxford import write_oxford  # keeps NumPy and Pillow out of planning

        write_oxford(base, size)


def read_labels(mat: Path) -> Any:
    """The class (from 1) of each image, in order of the images' numbers."""
    from scipy.io import loadmat  # keeps SciPy out of planning

    try:
        return loadmat(str(mat))["labels"].ravel()
    except Exception as error:  # scipy raises many kinds on a damaged file
        raise ReproError(f"{mat}: cannot be read as MATLAB file with `labels` ({error})") from error


def caption_files(base: Path, folder: str) -> dict[str, Path]:
    """``class_XXXXX/image_XXXXX.txt`` below ``base/folder``, by the image's name."""
    texts: dict[str, Path] = {}
    for file in sorted(walk(base, folder, (".txt",))):
        path = join(base, file)
        if not path.stem.startswith("image_") or not path.parent.name.startswith("class_"):
            continue
        if path.stem in texts:
            raise ReproError(f"{path}: image {path.stem} is listed twice; its captions are also in {texts[path.stem]}")
        texts[path.stem] = path
    return texts


OXFORD = Oxford()
