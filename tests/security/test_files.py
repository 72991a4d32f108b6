"""Files that others made are data: they run nothing, and cannot fill memory or disk (docs/security.md)."""

import io
import os
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from t2i_repro.core.schema import read_yaml
from t2i_repro.data.pictures import decode_image
from t2i_repro.errors import ReproError
from t2i_repro.metrics import sources
from t2i_repro.metrics.sources import open_source
from t2i_repro.models.state import load_torch


class Call:
    """Pickles to a call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.arguments


def test_weights_run_nothing(tmp_path: Path) -> None:
    path, trace = tmp_path / "generator.pt", tmp_path / "trace"
    torch.save({"weight": Call(os.mkdir, str(trace))}, path)
    with pytest.raises(ReproError, match=r"generator\.pt: cannot be read as a torch file"):
        load_torch(path)
    assert not trace.exists()


def test_arrays_run_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    array = np.array([Call(os.mkdir, str(trace))], dtype=object)
    np.save(tmp_path / "samples.npy", array, allow_pickle=True)
    np.savez(tmp_path / "samples.npz", array, allow_pickle=True)
    for name in ("samples.npy", "samples.npz"):
        with pytest.raises(ReproError, match="samples"):
            open_source(tmp_path / name)
    assert not trace.exists()


def test_yaml_builds_no_objects(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "params.yaml").write_text(f"x: !!python/object/apply:os.mkdir ['{trace}']\n")
    with pytest.raises(ReproError, match=r"params\.yaml: cannot be read as YAML"):
        read_yaml(tmp_path / "params.yaml")
    assert not trace.exists()


def test_nothing_reads_pickles_or_yaml_in_another_way(project: Path) -> None:
    """One line of code with a default of the libraries would undo the tests above."""
    code = {path: path.read_text(encoding="utf-8") for path in (project / "src").rglob("*.py")}
    for path, text in code.items():
        for call in re.findall(r"torch\.load\([^\n]*", text):
            assert "weights_only=True" in call, path
        for forbidden in ("allow_pickle=True", "yaml.load(", "yaml.unsafe_load", "pickle.load", "shell=True", "eval("):
            assert not re.search(rf"(?<![\w.]){re.escape(forbidden)}", text), f"{path}: {forbidden}"


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes whose header announces ``side`` x ``side`` pixels."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    raw = content.getvalue()
    header = b"IHDR" + struct.pack(">II", side, side) + raw[24:29]
    return raw[:12] + header + struct.pack(">I", zlib.crc32(header)) + raw[33:]


def test_pictures_with_huge_headers_are_refused(tmp_path: Path) -> None:
    raw = bomb(60_000)
    with pytest.raises(ReproError, match=r"x\.png: not an image, or damaged"):
        decode_image(raw, "x.png")
    (tmp_path / "x.png").write_bytes(raw)
    with pytest.raises(ReproError, match=r"x\.png cannot be decoded"):
        open_source(tmp_path).open(0)


def test_archives_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "samples.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(1 << 20))
    monkeypatch.setattr(sources, "LARGEST", 1 << 16)
    with pytest.raises(ReproError, match=r"0\.png unpacks to 1,048,576 bytes; expected at most 65,536"):
        open_source(tmp_path / "samples.zip")
    np.savez_compressed(tmp_path / "samples.npz", np.zeros((2, 64, 64, 3), np.uint8))
    full: Any = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ReproError, match=r"unpacks to 24,704 bytes; .* has 1,000 free"):
        open_source(tmp_path / "samples.npz")


def test_archives_that_lie_about_their_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(1 << 20))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<I", 1 << 20), struct.pack("<I", 100)))
    with pytest.raises(ReproError, match=r"0\.png cannot be unpacked"):
        open_source(path).open(0)
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ReproError, match=r"text\.zip: cannot be read"):
        open_source(tmp_path / "text.zip")


def test_members_outside_of_an_archive_are_only_names(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    with zipfile.ZipFile(tmp_path / "samples.zip", "w") as archive:
        archive.writestr("../../escaped.png", picture.getvalue())
    assert open_source(tmp_path / "samples.zip").open(0).shape == (8, 8, 3)
    assert not list(tmp_path.parent.glob("escaped.png"))


def test_every_test_that_the_security_page_names_exists(project: Path) -> None:
    page = (project / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 10
    for file, test in named:
        assert f"def {test}(" in (project / file).read_text(encoding="utf-8"), f"{file}::{test}"
