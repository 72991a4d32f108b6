"""The captions and class-disjoint splits of Reed et al. (2016), which come with CUB and Oxford-102.

They are in the dataset's folder, or next to it as Reed's archives unpack (``cvpr2016_cub``, ``cvpr2016_flowers``).
"""

from collections.abc import Sequence
from pathlib import Path

from t2i_repro.data.layout import first_of, join, need, read_text
from t2i_repro.errors import ReproError

SPLIT_LISTS = {"train": "trainvalclasses.txt", "test": "testclasses.txt"}


def caption_folder(base: Path, candidates: Sequence[str]) -> str:
    """The folder of the caption files, relative to ``base``."""
    return first_of(base, candidates, ".", "captions of Reed et al. (text_c10)")


def split_files(base: Path, candidates: Sequence[str]) -> dict[str, str]:
    """The list of classes of each split, relative to ``base``."""
    folder = first_of(base, candidates, SPLIT_LISTS["train"], "class lists of the split")
    files = {split: f"{folder}/{name}" for split, name in SPLIT_LISTS.items()}
    need(join(base, files["test"]), "class list of the test split")
    return files


def class_splits(base: Path, candidates: Sequence[str]) -> tuple[dict[str, str], str]:
    """The split of each class by its name, and the paths of the two lists for messages."""
    splits: dict[str, str] = {}
    files = {split: join(base, file) for split, file in split_files(base, candidates).items()}
    for split, file in files.items():
        for line in read_text(file).split("\n"):
            name = line.strip()
            if not name:
                continue
            if name in splits:
                raise ReproError(f"{file}: class {name} is listed twice; keep it in one split, once")
            splits[name] = split
    return splits, " or ".join(map(str, files.values()))
