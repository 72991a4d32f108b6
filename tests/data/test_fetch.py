"""Downloads, against a server that breaks off, lies, refuses or is not there."""

import argparse
import hashlib
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.data import fetch
from t2i_repro.data.download import download
from t2i_repro.errors import ReproError

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT. `cuts`: how many bytes of each coming answer to send before hanging up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.ranges: list[str | None] = []
        self.resumes = True
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.statuses:
            return self.send_error(self.server.statuses.pop(0))
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and self.server.resumes else 0
        if wanted and self.server.resumes:
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        self.wfile.write(body[: self.server.cuts.pop(0)] if self.server.cuts else body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def listed(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The table of downloads, holding one file on the server; retries without waiting."""
    entry = {"url": server.url, "file": "file.bin", "sha256": SHA256, "size": len(CONTENT), "unpack": None}
    table = {"thing": {**entry, "licence": "MIT", "note": "a test"}}
    monkeypatch.setattr(fetch, "assets", lambda: table)
    monkeypatch.setattr(fetch, "download", partial(download, pause=0))
    return table["thing"]


def test_success_and_nothing_left_over(server: Server, tmp_path: Path) -> None:
    download(server.url, tmp_path / "new" / "file.bin", SHA256)
    assert (tmp_path / "new" / "file.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.bin"]
    assert server.ranges == [None]


def test_broken_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.cuts = [100_000, 50_000]
    download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_where_the_first_was_broken_off(server: Server, tmp_path: Path, listed: Any) -> None:
    server.cuts = [5000] + [0] * 5
    with pytest.raises(ReproError, match=r"cannot reach .*connection closed after 5000 of 1024000 bytes.*is kept"):
        fetch.fetch("thing", tmp_path / "file.bin", SHA256)
    assert not (tmp_path / "file.bin").exists()
    assert (tmp_path / "file.bin.partial").stat().st_size == 5000
    fetch.fetch("thing", tmp_path / "file.bin", SHA256)
    assert server.ranges[-1] == "bytes=5000-"
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_line_that_breaks_often_but_gets_on_is_not_given_up(server: Server, tmp_path: Path) -> None:
    server.cuts = [20_000] * 30
    download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.ranges) == 31


def test_a_server_that_cannot_resume_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.resumes = [100_000], False
    download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_killed_between_the_last_byte_and_the_renaming(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.partial").write_bytes(CONTENT)
    download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_file_is_begun_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.partial").write_bytes(CONTENT + b"more")
    download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_the_bytes_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ReproError, match=f"SHA-256 of the 1024000 bytes received is {SHA256}, expected {'0' * 64}"):
        download(server.url, tmp_path / "file.bin", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_not_found_is_said_at_once(server: Server, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(ReproError, match=r"file\.bin: the server answers 404"):
        download(server.url, tmp_path / "file.bin", SHA256)
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    download(server.url, tmp_path / "file.bin", SHA256, pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_offline_says_where_to_put_the_file_and_its_checksum(tmp_path: Path, listed: Any) -> None:
    listed["url"] = "http://127.0.0.1:9/file.bin"
    with pytest.raises(ReproError) as caught:
        fetch.fetch("thing", tmp_path / "file.bin", SHA256)
    message = str(caught.value)
    assert "refused" in message
    assert str(tmp_path / "file.bin") in message
    assert SHA256 in message
    assert listed["url"] in message


def test_a_file_put_there_by_hand_is_checked_and_used(server: Server, tmp_path: Path, listed: Any) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    fetch.fetch("thing", tmp_path / "file.bin", SHA256)
    (tmp_path / "file.bin").write_bytes(CONTENT[1:])
    with pytest.raises(ReproError, match=r"SHA-256 is .* expected .*Remove it"):
        fetch.fetch("thing", tmp_path / "file.bin", SHA256)
    assert server.ranges == []


def test_no_checksum_no_download(server: Server, tmp_path: Path, listed: Any) -> None:
    listed["sha256"] = None
    with pytest.raises(ReproError, match=r"no verified checksum .* --sha256 HEX"):
        run(tmp_path)
    assert server.ranges == []
    run(tmp_path, "--sha256", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def run(to: Path, *options: str) -> None:
    parser = argparse.ArgumentParser()
    fetch.add_arguments(parser)
    fetch.main(parser.parse_args(["thing", "--to", str(to), *options]))


def test_an_asset_node_is_the_file_and_nothing_else(server: Server, tmp_path: Path, listed: Any) -> None:
    node = Node("asset", "thing", "all", {"sha256": SHA256})
    build = Build(node)
    fetch.run(node, tmp_path, build)
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]
    assert build.facts["licence"] == "MIT"


def test_archives_are_unpacked_and_removed(server: Server, tmp_path: Path, listed: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("jpg/a.jpg")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    (tmp_path / "file.bin").write_bytes(buffer.getvalue())
    listed.update(unpack="oxford102", sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    run(tmp_path)
    assert (tmp_path / "oxford102" / "jpg" / "a.jpg").read_bytes() == b"abc"
    assert not (tmp_path / "file.bin").exists()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_cannot_write_outside(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "evil"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr("../escaped.txt", "x")
    else:
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo("../escaped.txt"), io.BytesIO())
    with pytest.raises(ReproError, match=r"evil: .*refused"):
        fetch.unpack(path, tmp_path / "into")
    assert not (tmp_path / "escaped.txt").exists()


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"<html>")
    with pytest.raises(ReproError, match=r"a\.tgz: damaged or not an archive"):
        fetch.unpack(tmp_path / "a.tgz", tmp_path / "into")


def test_the_table_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    for name, entry in fetch.assets().items():
        assert set(entry) - {"manual"} == {"url", "file", "sha256", "size", "unpack", "licence", "note"}, name
        assert entry["sha256"] is None or re.fullmatch("[0-9a-f]{64}", entry["sha256"]), name
        assert (entry["sha256"] is None) == ("checksum not verified here" in entry["note"]), name
        assert not Path(entry["file"]).is_absolute()
        prefix = re.search(r"-([0-9a-f]{8})\.pth$", entry["file"])
        assert prefix is None or entry["sha256"].startswith(prefix[1]), name
    with pytest.raises(ReproError, match="no download is called 'cub'; known: cub-images"):
        fetch.asset("cub")
    fetch.main(argparse.Namespace(names=[], to=Path(), sha256=None, keep=False))
    assert "coco-train-2014" in capsys.readouterr().out
