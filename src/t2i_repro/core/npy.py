"""Arrays written and read a few rows at a time: memory stays constant however large the file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from t2i_repro.core.record import atomic_write
from t2i_repro.errors import ReproError


class NpyWriter:
    """Appends rows to an open .npy file of ``dtype``. The first block determines the shape of a row."""

    def __init__(self, file: IO[bytes], count: int | None, dtype: npt.DTypeLike) -> None:
        self.file, self.count, self.dtype = file, count, np.dtype(dtype)
        self.written = 0
        self.row_shape: tuple[int, ...] | None = None

    def write(self, rows: npt.NDArray[Any]) -> None:
        """Append ``rows`` [n, ...], converted to the file's dtype. Raises ReproError when rows differ in shape."""
        if self.row_shape is None:
            self.row_shape = rows.shape[1:]
            self._write_header(self.count or 0)
        if rows.shape[1:] != self.row_shape:
            raise ReproError(f"{self.file.name}: rows of shape {rows.shape[1:]}; expected {self.row_shape}")
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.written += len(rows)

    def finish(self) -> None:
        """Write the header again when the number of rows was not known, or when there was no row to start it with."""
        if self.count is None or self.row_shape is None:
            self.file.seek(0)
            self._write_header(self.written)

    def _write_header(self, count: int) -> None:
        """NumPy leaves room for more digits of ``count``: the header's length does not depend on it."""
        shape = (count, *(self.row_shape or ()))
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(self.file, {"descr": descr, "fortran_order": False, "shape": shape})


@contextmanager
def npy_writer(path: Path, count: int | None, dtype: npt.DTypeLike = "<f4") -> Iterator[NpyWriter]:
    """A .npy file of ``count`` rows (None: as many as are written), complete or absent.

    Raises ReproError when another number of rows was written, StorageFull when the disk is full.
    """
    with atomic_write(path) as file:
        writer = NpyWriter(file, count, dtype)
        yield writer
        if count not in (None, writer.written):
            raise ReproError(f"{path}: {writer.written} rows were written; expected {count}")
        writer.finish()


@dataclass(frozen=True)
class StoredRows:
    """An array [N, ...] of an open .npy file; `read` takes one row from the file. It is not mapped: pages of mapped
    files count as memory until the system wants them back."""

    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    def read(self, row: int) -> npt.NDArray[Any]:
        """From any thread."""
        size = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        content = os.pread(self.file.fileno(), size, self.start + row * size)
        return np.frombuffer(content, self.dtype).reshape(self.shape[1:])


def stored_rows(file: IO[bytes]) -> StoredRows:
    """Open the rows of a .npy file. Raises ValueError unless it holds numbers in C order."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if fortran or dtype.hasobject:
        raise ValueError("Fortran order or Python objects; save np.ascontiguousarray(images)")
    return StoredRows(file, shape, dtype, file.tell())
