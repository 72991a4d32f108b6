"""Building an artefact: inputs are checked, files are complete or absent, the record is written last."""

import subprocess
import sys
from pathlib import Path

import pytest

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import (
    STATE,
    AlreadyBuilt,
    atomic_write,
    building,
    read_record,
    set_aside_damaged,
    write_json,
)
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
    write_json(Path(first.record), {**first.to_json(), "digest": "0" * 10, "facts": {}, "files": {}})
    with (
        pytest.raises(ReproError, match=rf"needs raw with digest {first.digest}.*0000000000"),
        building(second, Path(second.folder)),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b'{"digest": "12', b"[]", b"null", b"\xff\xfe", b'{"files": {}}'])
def test_a_damaged_record_is_named_and_its_artefact_built_again(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an interrupted copy leaves it."""
    monkeypatch.chdir(tmp_path)
    first, second = two_nodes()
    with building(first, Path(first.folder)):
        pass
    Path(first.record).write_bytes(content)
    with pytest.raises(ReproError, match=r"record\.json: damaged record"), building(second, Path(second.folder)):
        pass
    with building(first, Path(first.folder)) as build:
        build.facts["again"] = True
    assert read_record(Path(first.folder))["facts"] == {"again": True}
    assert set_aside_damaged([Path(first.record), Path("none.json")]) == []


@pytest.mark.parametrize("content", ["shorter", None])
def test_an_input_whose_file_is_cut_or_gone_is_refused(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = two_nodes()
    file = Path(first.folder) / "sub/array.npy"
    with building(first, Path(first.folder)):
        file.parent.mkdir()
        file.write_text("twelve bytes")
    file.unlink()
    if content is not None:
        file.write_text(content)
    found = "missing" if content is None else "7 bytes"
    with (
        pytest.raises(ReproError, match=rf"sub/array\.npy: {found}, expected 12 bytes"),
        building(second, Path(second.folder)),
    ):
        pass


BUILDER = """
import sys
from pathlib import Path
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import AlreadyBuilt, building
node = Node("standin", "a", "smoke", {"x": 1})
try:
    with building(node, Path(node.folder)):
        print("building", flush=True)
        sys.stdin.readline()
except AlreadyBuilt:
    print("built by another", flush=True)
"""


def test_two_processes_never_build_one_artefact_together(tmp_path: Path) -> None:
    """A job whose Snakemake was killed goes on, and the next Snakemake starts the same job."""

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", BUILDER]
        return subprocess.Popen(command, cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    first = start()
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = start()
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=1)
    first.communicate("go on\n", timeout=30)
    assert second.communicate(timeout=30)[0] == "built by another\n"


def test_what_an_interrupted_build_left_to_resume_from_goes_with_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node, _ = two_nodes()
    state = Path(node.folder) / STATE / "checkpoint.pt"
    state.parent.mkdir(parents=True)
    state.write_text("step 7")
    with pytest.raises(RuntimeError), building(node, Path(node.folder)):
        raise RuntimeError
    assert state.exists()
    with building(node, Path(node.folder)):
        assert state.exists()
    assert not state.parent.exists()


@pytest.mark.parametrize("name", ["../../victim", "a\n", "a b", "", "/tmp/x", "A", "a--b"])
def test_a_name_that_is_no_name_makes_no_path(name: str) -> None:
    with pytest.raises(ReproError, match="expected lower-case letters"):
        Node("standin", name, "smoke", {})
    with pytest.raises(ReproError, match="expected lower-case letters"):
        Node("standin", "a", name, {})
    with pytest.raises(ReproError, match="kind: found"):
        Node("../x", "a", "smoke", {})


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
