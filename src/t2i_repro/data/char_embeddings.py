"""The published char-CNN-RNN embeddings (StackGAN's pickles), and the choice of an embedding for an image.

A published folder (``birds/train``, ``flowers/test``, ...) holds ``char-CNN-RNN-embeddings.pickle``, a list with one
[captions, 1024] array per image, ``filenames.pickle`` and ``class_info.pickle``. Reading them never runs code from a
pickle: only lists, strings, numbers and arrays of numbers are accepted.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from t2i_repro.core.choices import CHOICES, Choice, check_choice
from t2i_repro.errors import ReproError

EMBEDDINGS, FILENAMES, CLASSES = "char-CNN-RNN-embeddings.pickle", "filenames.pickle", "class_info.pickle"
MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
NUMBERS = "biuf"

Vectors = npt.NDArray[np.float32]


class _Kind:
    """The dtype of an array in a pickle. Replaces numpy.dtype, whose state could be forged."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or code[:1] not in NUMBERS:
            raise pickle.UnpicklingError(f"array of {code!r}")
        self.kind = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, structure = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise pickle.UnpicklingError(f"array of kind {state!r}")
        self.kind = self.kind.newbyteorder(order)


class _Array:
    """An array in a pickle; ``values`` is set with its state."""

    values: npt.NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Kind):
            raise pickle.UnpicklingError(f"array of {kind!r}")
        data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        self.values = np.frombuffer(data, kind.kind).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _Array:
        raise pickle.UnpicklingError(f"array of class {kind!r}")
    return _Array()


def _scalar(kind: _Kind, raw: bytes | str) -> Any:
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, kind.kind)[0]


def _encode(text: str, codec: str = "latin1", *_: object) -> bytes:
    """Python 3 writes bytes as text in old protocols; no other codec is accepted."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {codec!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {("_codecs", "encode"): _encode}
for _module in MODULES:
    ALLOWED |= {(_module, "_reconstruct"): _reconstruct, (_module, "ndarray"): _Array}
    ALLOWED |= {(_module, "dtype"): _Kind, (_module, "scalar"): _scalar}


def _plain(value: Any) -> Any:
    """The unpickled value with NumPy arrays, and lists for tuples."""
    if isinstance(value, _Array):
        if value.values is None:
            raise pickle.UnpicklingError("array without content")
        return value.values
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, str | bytes | int | float | np.generic) or value is None:
        return value
    raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")


class NumbersOnly(pickle.Unpickler):
    """Unpickler that refuses every global except those of numeric arrays."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_numbers(path: Path) -> Any:
    """A pickle of lists (tuples become lists), strings, numbers and arrays of numbers, written by Python 2 or 3.

    Raises ReproError when the file is missing or damaged or needs anything else; no code of it has run.
    """
    try:
        return _plain(NumbersOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load())
    except OSError as error:
        raise ReproError(f"{path}: {error.strerror or error}; download the published embeddings") from error
    except Exception as error:  # a damaged stream may fail anywhere in numpy's or pickle's reader
        raise ReproError(
            f"{path}: not a pickle of plain arrays ({error}); download it again, from its source"
        ) from error


@dataclass(frozen=True)
class CharEmbeddings:
    """Embeddings of every caption of every image: ``vectors[i]`` float32 [captions, dim] of ``filenames[i]``."""

    filenames: list[str]
    vectors: list[Vectors]
    class_ids: npt.NDArray[np.int64]

    @property
    def dim(self) -> int:
        return int(self.vectors[0].shape[1])

    def of_images(self, image_ids: Sequence[str]) -> list[Vectors]:
        """In the order of ``image_ids`` (names, with or without folder and extension).

        Raises ReproError naming images that have none.
        """
        known: dict[str, Vectors] = {}
        for name, vectors in zip(self.filenames, self.vectors, strict=True):
            known[_stem(name)] = vectors
            known.setdefault(PurePosixPath(_stem(name)).name, vectors)
        found = [known.get(_stem(name), known.get(PurePosixPath(_stem(name)).name)) for name in image_ids]
        missing = [name for name, vectors in zip(image_ids, found, strict=True) if vectors is None]
        if missing:
            raise ReproError(
                f"no published embedding of {len(missing)} of {len(image_ids)} images, the first {missing[0]}; "
                f"check that the embeddings belong to this dataset and split"
            )
        return [vectors for vectors in found if vectors is not None]


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix in (".jpg", ".jpeg", ".png") else name


def read_char_embeddings(folder: Path) -> CharEmbeddings:
    """Read the published folder of one split. Raises ReproError naming the file and what is wrong with it."""
    raw, names, classes = (read_numbers(folder / file) for file in (EMBEDDINGS, FILENAMES, CLASSES))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ReproError(f"{folder / FILENAMES}: found no list of names")
    if not isinstance(raw, list | np.ndarray) or not isinstance(classes, list | np.ndarray):
        raise ReproError(f"{folder}: found no list of arrays in {EMBEDDINGS} or none of class numbers in {CLASSES}")
    if len(raw) != len(names) or len(classes) != len(names):
        raise ReproError(
            f"{folder}: {len(raw)} embeddings, {len(names)} file names, {len(classes)} classes; expected equal numbers"
        )
    vectors: list[Vectors] = []
    for name, entry in zip(names, raw, strict=True):
        array = np.asarray(entry)
        if array.ndim != 2 or not len(array) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ReproError(
                f"{folder / EMBEDDINGS}: {name}: found {array.dtype} {array.shape}, expected finite [captions, dim]"
            )
        vectors.append(array.astype(np.float32))
    if len({array.shape[1] for array in vectors}) > 1:
        raise ReproError(f"{folder / EMBEDDINGS}: embeddings of different lengths")
    return CharEmbeddings(names, vectors, np.asarray(classes, dtype=np.int64))


def choose(vectors: Vectors, choice: Choice, draw: np.random.Generator) -> Vectors:
    """The embedding [dim] of an image, from those of its captions [captions, dim].

    ``mean-of-4``: the mean of four captions drawn without replacement, or of all if there are fewer (training of
    StackGAN and HDGAN). ``first``: as in their tests. ``random``: one caption, as the papers describe.
    """
    check_choice("captions", choice, CHOICES)
    if choice == "first":
        return vectors[0]
    count = min(4 if choice == "mean-of-4" else 1, len(vectors))
    mean: Vectors = vectors[draw.permutation(len(vectors))[:count]].mean(axis=0)
    return mean
