"""What lies in results/: folders of artefacts, their records, and whether a process builds one now."""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import KINDS, Node
from t2i_repro.core.digest import DIGEST_LENGTH
from t2i_repro.core.record import parse_record
from t2i_repro.errors import ReproError

LEAVES = ("report", "store")  # sections whose folders have no digest in their name
SECTIONS = sorted({kind.section for kind in KINDS.values()} - set(LEAVES))
LOGS = {"fetch-asset": "fetch"}  # folders of logs that are not named as the verb is


@dataclass(frozen=True)
class Folder:
    """A folder of results/ that an artefact has, or had, or is being built in."""

    path: Path

    @property
    def digest(self) -> str:
        return self.path.name[-DIGEST_LENGTH:]

    def record(self) -> dict[str, Any] | None:
        """Its record, if it is whole and of an artefact in a folder of this name."""
        try:
            found = parse_record(self.path / "record.json")
            return found if self.path.name == f"{found['name']}-{found['digest']}" else None
        except (ReproError, KeyError, TypeError):
            return None


def folders(results: Path) -> Iterator[Folder]:
    """Every folder of an artefact whose name ends in a digest, of every scale. Links are left out."""
    for scale in sorted(results.glob("*")):
        for section in SECTIONS:
            for path in sorted((scale / section).glob("*")):
                stem, _, end = path.name.rpartition("-")
                of_ours = stem and len(end) == DIGEST_LENGTH and set(end) <= set("0123456789abcdef")
                if of_ours and path.is_dir() and not any(p.is_symlink() for p in (path, path.parent, scale)):
                    yield Folder(path)


def is_locked(folder: Path) -> bool:
    """Whether a process of this machine builds in a folder: `alone` (core/record.py) holds a lock on it meanwhile."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(opened)
    return False


def log_of(node: Node) -> Path:
    """The log of the job that builds a node (workflow/rules)."""
    name = node.digest if node.kind == "report" else f"{node.name}-{node.digest}"
    verb = node.kind if node.kind in ("table", "figure") else LOGS.get(node.verb, node.verb)
    return Path(f"results/{node.scale}/logs/{verb}/{name}.log")


def tail(path: Path) -> str:
    """The last 20 kB of a text file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def last_lines(path: Path, count: int = 5) -> list[str]:
    """The last lines of a text file; of lines that a progress bar overwrote, what is seen at last."""
    return [line.rsplit("\r", 1)[-1] for line in tail(path).rstrip().splitlines()[-count:]]


def read_json(path: Path) -> Any:
    """Content of a JSON file; None if it is absent or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def disk_usage(path: Path) -> int:
    """Bytes that removing a file or folder gives back: files with another name elsewhere (hard links) give none."""
    files = [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]
    return sum(state.st_size for state in (file.lstat() for file in files) if state.st_nlink == 1)
