"""The files of an artefact, and whether they are what its record says."""

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from t2i_repro.core.digest import file_sha256
from t2i_repro.errors import ReproError


def hash_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of every file of an artefact, by path; names that start with `.` are skipped."""
    return {
        name: {"size": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)}
        for name in artefact_files(folder)
    }


def artefact_files(folder: Path) -> list[str]:
    """Files below a folder, sorted; names that start with `.` are skipped."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [name.as_posix() for name in sorted(names) if not any(part.startswith(".") for part in name.parts)]


def is_inside(name: str) -> bool:
    """Whether a file's name, joined to a folder, stays below that folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name


@dataclass(frozen=True)
class Mismatch:
    """A file of an artefact that is not what the record says."""

    file: Path
    found: str
    expected: str


def mismatch(folder: Path, name: str, recorded: dict[str, Any], contents: bool = True) -> Mismatch | None:
    """Compare a file's size with the record and, with ``contents``, its SHA-256. None when it is the same file."""
    path = folder / name
    found = path.stat().st_size if path.is_file() else None
    if found != recorded["size"]:
        size = "missing" if found is None else f"{found} bytes"
        return Mismatch(path, size, f"{recorded['size']} bytes as in its record")
    if contents and (sha256 := file_sha256(path)) != recorded["sha256"]:
        return Mismatch(path, f"SHA-256 {sha256}", f"{recorded['sha256']} as in its record")
    return None


def check_files(folder: Path, record: dict[str, Any], largest: float = math.inf) -> None:
    """Raise ReproError when a file of an artefact is not what its record says. Of files of more than ``largest`` bytes
    only the size is compared."""
    for name, recorded in record.get("files", {}).items():
        wrong = mismatch(folder, name, recorded, contents=recorded["size"] <= largest)
        if wrong is not None:
            raise not_as_recorded(folder, wrong)


def not_as_recorded(folder: Path, wrong: Mismatch) -> ReproError:
    return ReproError(
        f"{wrong.file}: {wrong.found}, expected {wrong.expected}. Remove {folder} and run `snakemake` to rebuild it."
    )
