"""Reader of prepared datasets: pixels, captions, tokens, classes and splits, memory-mapped.

Files of a prepared dataset (N images, C captions, W tokens in total):

===================== =========== =============================================================
``pixels.npy``        uint8 [P]   all images, concatenated, each [h, w, 3] in C order
``offsets.npy``       int64 [N]   start of each image in ``pixels.npy``
``shapes.npy``        int32 [N,2] height and width of each image
``class_ids.npy``     int64 [N]   official class numbers; 0..N-1 if the layout has no classes
``split.npy``         uint8 [N]   0 train, 1 test
``caption_start.npy`` int64 [N+1] captions of image i are caption_start[i] .. caption_start[i+1]-1
``tokens.npy``        int32 [W]   word indices (>= 1) of all captions, concatenated
``token_start.npy``   int64 [C+1] tokens of caption c
``text.npy``          uint8 [...] UTF-8 of all captions, concatenated
``text_start.npy``    int64 [C+1] bytes of caption c
``vocabulary.json``               the words; index 0 is ``<end>`` (padding)
``index.json``                    sizes, layout, image ids, class names, whether it is a stand-in
===================== =========== =============================================================
"""

import csv
import io
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from t2i_repro.core.choices import SPLITS
from t2i_repro.core.record import atomic_write
from t2i_repro.data.captions import tokenise
from t2i_repro.data.layout import layout_of
from t2i_repro.errors import ReproError

FORMAT = 1


class Prepared:
    """A prepared dataset. Opening it reads only indices; pixels and tokens are read on access.

    Raises ReproError when the folder is not a prepared dataset of this format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        try:
            index: dict[str, Any] = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            if index["format"] != FORMAT:
                raise ReproError(f"{self.folder}: prepared data of format {index['format']}, expected {FORMAT}")
            self.layout: str = index["layout"]
            self.image_size: int = index["image_size"]
            self.short_side: int = index["short_side"]
            self.raw_is_standin: bool = index["raw_is_standin"]
            self.image_ids: list[str] = index["image_ids"]
            self.class_names: dict[int, str] = {int(key): name for key, name in index["class_names"].items()}
            self.vocabulary: list[str] = json.loads((self.folder / "vocabulary.json").read_text(encoding="utf-8"))
            self.class_ids: npt.NDArray[np.int64] = np.load(self.folder / "class_ids.npy")
            self.shapes: npt.NDArray[np.int32] = np.load(self.folder / "shapes.npy")
            self._pixels: npt.NDArray[np.uint8] = np.load(self.folder / "pixels.npy", mmap_mode="r")
            self._offsets: npt.NDArray[np.int64] = np.load(self.folder / "offsets.npy")
            self._caption_start: npt.NDArray[np.int64] = np.load(self.folder / "caption_start.npy")
            self._tokens: npt.NDArray[np.int32] = np.load(self.folder / "tokens.npy", mmap_mode="r")
            self._token_start: npt.NDArray[np.int64] = np.load(self.folder / "token_start.npy")
            self._text: npt.NDArray[np.uint8] = np.load(self.folder / "text.npy", mmap_mode="r")
            self._text_start: npt.NDArray[np.int64] = np.load(self.folder / "text_start.npy")
            split = np.load(self.folder / "split.npy")
        except (OSError, ValueError, KeyError) as error:
            raise ReproError(f"{self.folder}: not a complete prepared dataset ({error}); build it again") from error
        self.splits: dict[str, npt.NDArray[np.int64]] = {
            name: np.flatnonzero(split == number).astype(np.int64) for number, name in enumerate(SPLITS)
        }

    @property
    def has_classes(self) -> bool:
        """Whether the dataset has classes; if not, each image has a class number of its own."""
        return layout_of(self.layout).has_classes

    def __len__(self) -> int:
        return len(self.image_ids)

    def pixels(self, image: int) -> npt.NDArray[np.uint8]:
        """RGB image [h, w, 3], 0..255: a read-only view of the memory-mapped file."""
        height, width = self.shapes[image].tolist()
        start = int(self._offsets[image])
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)

    def caption_ids(self, image: int) -> range:
        """Indices of the captions of an image; never empty."""
        return range(int(self._caption_start[image]), int(self._caption_start[image + 1]))

    @property
    def caption_start(self) -> npt.NDArray[np.int64]:
        """[N+1]: captions of image i are caption_start[i] .. caption_start[i+1]-1."""
        return self._caption_start

    @cached_property
    def caption_image(self) -> npt.NDArray[np.int64]:
        """[C]: the image each caption belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self._caption_start))

    @cached_property
    def caption_lengths(self) -> npt.NDArray[np.int64]:
        """[C]: number of words of each caption, at least 1."""
        return np.diff(self._token_start)

    def caption(self, caption: int) -> str:
        """The caption as published (bytes that are not UTF-8 are spaces)."""
        start, stop = self._text_start[caption : caption + 2]
        return self._text[start:stop].tobytes().decode("utf-8")

    def tokens(self, caption: int) -> npt.NDArray[np.int64]:
        """Word indices of a caption, each >= 1, at least one."""
        start, stop = self._token_start[caption : caption + 2]
        return self._tokens[start:stop].astype(np.int64)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.vocabulary) if index}

    def encode(self, text: str, skip_unknown: bool = False) -> npt.NDArray[np.int64]:
        """Word indices of a text, tokenised as the captions.

        Raises ReproError naming words that are not in the vocabulary (with ``skip_unknown`` they are dropped), and when
        no word is left.
        """
        words = tokenise(text)
        unknown = sorted({word for word in words if word not in self._indices})
        if unknown and not skip_unknown:
            raise ReproError(
                f"{self.folder / 'vocabulary.json'}: the captions never use {', '.join(unknown)}; rephrase {text!r}, "
                f"or ask to skip unknown words"
            )
        indices = [self._indices[word] for word in words if word in self._indices]
        if not indices:
            raise ReproError(f"no word of {text!r} is in {self.folder / 'vocabulary.json'}")
        return np.asarray(indices, dtype=np.int64)


def write_captions(path: Path, data: Prepared, captions: Iterable[int]) -> None:
    """Write the `captions.csv` of generated images: for each, in order, the caption it was made from, and the image of
    the dataset that this caption describes."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("index", "image_id", "caption_id", "caption"))
        for index, caption in enumerate(captions):
            image = data.image_ids[data.caption_image[caption]]
            writer.writerow((index, image, caption, data.caption(caption)))
        text.detach()
