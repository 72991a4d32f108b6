"""Arrays written and read a few rows at a time, so that none of them is ever whole in memory."""

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


class FloatRows:
    """A float32 array [count, d] that is written from its first row to its last; d is that of the first block."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self.file, self.count, self.written = file, count, 0

    def write(self, block: npt.NDArray[Any]) -> None:
        """Rows [n, d]."""
        if not self.written:
            header = {"descr": "<f4", "fortran_order": False, "shape": (self.count, block.shape[1])}
            np.lib.format.write_array_header_1_0(self.file, header)
        self.file.write(block.astype("<f4").tobytes())
        self.written += len(block)


@contextmanager
def float_rows(path: Path, count: int) -> Iterator[FloatRows]:
    """A .npy file of float32 rows; whole or absent. Raises ReproError where there were not ``count`` of them."""
    with atomic_write(path) as file:
        rows = FloatRows(file, count)
        yield rows
        if rows.written != count:
            raise ReproError(f"{path}: {rows.written} rows were written; expected {count}")


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
    """Raises ValueError where the file is no array of numbers, in the usual order of rows."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if fortran or dtype.hasobject:
        raise ValueError("Fortran order or Python objects; save np.ascontiguousarray(images)")
    return StoredRows(file, shape, dtype, file.tell())
