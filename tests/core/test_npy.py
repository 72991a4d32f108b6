"""Arrays written and read a few rows at a time."""

import re
from pathlib import Path

import numpy as np
import pytest

from t2i_repro.core.npy import npy_writer, stored_rows
from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import Moments
from t2i_repro.metrics.sources import open_source


def test_written_rows_are_an_array(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((7, 3))
    with npy_writer(tmp_path / "a.npy", 7) as file:
        for part in (rows[:4], rows[4:]):
            file.write(part)
        assert not (tmp_path / "a.npy").exists()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows.astype(np.float32))


def test_missing_rows_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="4 rows were written; expected 7"), npy_writer(tmp_path / "a.npy", 7) as file:
        file.write(np.zeros((4, 3)))
    assert not list(tmp_path.iterdir())


def test_dtype_and_shape_of_rows_are_free(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    with npy_writer(tmp_path / "a.npy", 5, np.uint8) as file:
        file.write(images[:3])
        file.write(images[3:].transpose(0, 2, 1, 3))
    expected = np.concatenate([images[:3], images[3:].transpose(0, 2, 1, 3)])
    np.save(tmp_path / "b.npy", expected)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("parts", [[], [5, 3], [1000] * 3])
def test_count_may_be_left_open(tmp_path: Path, parts: list[int]) -> None:
    """The header has room for a count that is known last."""
    with npy_writer(tmp_path / "a.npy", None, np.uint8) as file:
        for part in parts:
            file.write(np.full(part, part % 256, np.uint8))
    expected = np.concatenate([np.zeros(0, np.uint8), *(np.full(part, part % 256, np.uint8) for part in parts)])
    np.save(tmp_path / "b.npy", expected)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    rows = [np.zeros((4, 3)), np.zeros((3, 4))]
    with (
        pytest.raises(ReproError, match=r"rows of shape \(4,\); expected \(3,\)"),
        npy_writer(tmp_path / "a", 7) as file,
    ):
        list(map(file.write, rows))
    assert not list(tmp_path.iterdir())


def test_stored_rows_are_read_one_by_one(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    np.save(tmp_path / "a.npy", array)
    with (tmp_path / "a.npy").open("rb") as file:
        rows = stored_rows(file)
        assert rows.shape == array.shape
        for row in (3, 0, 2):
            np.testing.assert_array_equal(rows.read(row), array[row])


def test_other_orders_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(np.zeros((4, 5, 5, 3), dtype=np.uint8)))
    with pytest.raises(ReproError, match=r"save np\.ascontiguousarray"):
        open_source(tmp_path / "a.npy")
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(ReproError, match=r"empty\.npz: cannot be read"):
        open_source(tmp_path / "empty.npz")


def test_archives_packed_and_not(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", images)
    np.savez_compressed(tmp_path / "packed.npz", images)
    for name in ("plain", "packed"):
        np.testing.assert_array_equal(open_source(tmp_path / f"{name}.npz").read(0, 3, None), images)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc/self/smaps")
def test_mapped_files_do_not_stay_in_memory(tmp_path: Path) -> None:
    """Pages of 40 MB that were read are let go; changes to a private copy are kept."""
    rows = np.random.default_rng(0).standard_normal((20_000, 512), dtype=np.float32)
    np.save(tmp_path / "features.npy", rows)

    def resident() -> int:
        """Kilobytes."""
        parts = Path("/proc/self/smaps").read_text().split("features.npy")[1:]
        return sum(int(re.findall(r"Rss:\s+(\d+)", part)[0]) for part in parts)

    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    expected = Moments.of(rows)
    assert np.array_equal(Moments.of(mapped).scatter, expected.scatter)
    assert resident() < rows.nbytes / 1024 / 2
    assert np.array_equal(mapped[7], rows[7])
    changed = np.load(tmp_path / "features.npy", mmap_mode="c")
    changed[3] = 5
    Moments.of(changed)
    assert (changed[3] == 5).all()
