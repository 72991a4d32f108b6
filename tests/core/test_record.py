"""Building an artefact: inputs are checked, files are complete or absent, the record is written last."""

import subprocess
import sys
from pathlib import Path

import pytest

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import AlreadyBuilt, atomic_write, building, read_record, write_json
from t2i_repro.errors import ReproError


def two_nodes() -> tuple[Node, Node]:
    first = Node("standin", "a", "smoke", {"x": 1})
    return first, Node("prepare", "b", "smoke", {}, {"raw": first.as_input()})


def test_an_artefact_is_complete_when_its_record_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = two_nodes()
    with pytest.raises(ReproError, match="never completed"), building(second, Path(second.folder)):
        pass
    with pytest.raises(RuntimeError), building(first, Path(first.folder)):
        raise RuntimeError
    assert not Path(first.record).exists()
    with building(first, Path(first.folder)) as build:
        (Path(first.folder) / "file.txt").write_text("content")
        (Path(first.folder) / ".hidden").write_text("state")
        build.facts["count"] = 3
    record = read_record(Path(first.folder))
    assert set(record["files"]) == {"file.txt"}
    assert record["files"]["file.txt"]["size"] == 7
    assert record["facts"] == {"count": 3}
    assert {"code", "libraries", "hardware", "wall_seconds", "peak_memory_mb", "spec", "inputs", "scale"} <= set(record)
    with pytest.raises(AlreadyBuilt), building(first, Path(first.folder)):
        pass
    with building(second, Path(second.folder)) as build:
        assert build.input("raw") == Path(first.folder)


def test_an_input_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = two_nodes()
    Path(first.folder).mkdir(parents=True)
    write_json(Path(first.record), {**first.to_json(), "digest": "0" * 10})
    with (
        pytest.raises(ReproError, match=rf"needs raw with digest {first.digest}.*0000000000"),
        building(second, Path(second.folder)),
    ):
        pass


def test_a_leaf_carries_its_digest_in_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = (Node("report", "report", "smoke", {"n": n}) for n in (1, 2))
    for node in (old, new, old):
        with building(node, Path(node.folder)):
            pass
        assert [path.as_posix() for path in Path(node.folder).glob("record*")] == [node.record]


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


CHILD = "from t2i_repro.core.record import peak_memory_mb; held = b'1' * int({held} * 2**20); print(peak_memory_mb())"
PARENT = f"""
import subprocess, sys
held = bytearray(b"1") * (600 * 2**20)
child = {CHILD.format(held=0)!r}
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout)
"""


def printed(program: str) -> float:
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="ru_maxrss is all there is elsewhere")
def test_the_peak_is_not_taken_over_from_who_started_the_process() -> None:
    assert printed(PARENT) < 300


def test_the_peak_sees_what_is_held() -> None:
    assert printed(CHILD.format(held=400)) > 300


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    node = Node("standin", "a", "smoke", {})
    (tmp_path / ".pixels.npy.123.partial").write_text("half")
    (tmp_path / ".kept").mkdir()
    with building(node, tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".kept"]
