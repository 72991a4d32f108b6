"""The manifest digest: what a folder of raw files contains, wherever it lies."""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import atomic_write
from t2i_repro.data.layouts import data_root, raw_files
from t2i_repro.errors import ReproError

# A file written within this time of its hashing is not cached: a second write could leave size and time unchanged.
_SETTLED_NS = 2_000_000_000
_THREADS = 4  # hashing and reading both release the interpreter lock

_State = list[int | str]  # size, mtime_ns, sha256


def combine(hashes: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the sorted pairs (relative path with forward slashes, SHA-256 of the content)."""
    whole = hashlib.sha256()
    for path, content in sorted(hashes):
        whole.update(f"{path}\0{content}\n".encode())
    return whole.hexdigest()


def manifest_digest(layout: str, root: Path, year: int | None, cache: Path) -> tuple[str, int]:
    """Digest of all raw files of a layout (location does not enter) and their number.

    ``cache`` is a JSON file (made if absent) that remembers the hash of each file by path, size and time of
    modification, so that planning again costs one ``stat`` per file. Raises ReproError when the layout is not there.
    """
    base = f"{data_root(layout, Path(os.path.abspath(root)))}/"  # strings: pathlib would take most of a cached planning
    files = raw_files(layout, Path(base), year)
    found = _hashes(base, files, cache, layout)
    return combine(found.items()), len(files)


def content_digest(path: Path, cache: Path | None = None, suffixes: tuple[str, ...] = ()) -> str:
    """SHA-256 of a file; of a folder, that of all files below it whose names end in ``suffixes``, as `combine` has it.

    ``cache`` as above; without one everything is read. Raises ReproError where there is no such file.
    """
    if path.is_file():
        base, files = f"{os.path.abspath(path.parent)}/", [path.name]
        return _hashes(base, files, cache, path.name)[path.name]
    files = sorted(
        found.relative_to(path).as_posix()
        for found in path.rglob("*")
        if found.is_file() and found.suffix.lower() in suffixes
    )
    if not files:
        raise ReproError(f"{path}: found no file that ends in {', '.join(suffixes)}")
    return combine(_hashes(f"{os.path.abspath(path)}/", files, cache, path.name).items())


def _hashes(base: str, files: list[str], cache: Path | None, title: str) -> dict[str, str]:
    """SHA-256 of each of ``files``, which lie below ``base``."""
    known = {} if cache is None else _read_cache(cache)
    states = {file: os.stat(base + file) for file in files}
    missing = [
        file
        for file, state in states.items()
        if known.get(base + file, [None, None])[:2] != [state.st_size, state.st_mtime_ns]
    ]
    fresh: dict[str, str] = {}
    if missing:
        with ThreadPoolExecutor(_THREADS) as pool:
            contents = pool.map(lambda file: _hash(Path(base + file)), missing)
            progress = tqdm(contents, f"hashing {title}", len(missing), disable=None, delay=1, unit="file")
            fresh = dict(zip(missing, progress, strict=True))
        for file, content in fresh.items():
            state = states[file]
            if time.time_ns() - state.st_mtime_ns > _SETTLED_NS:
                known[base + file] = [state.st_size, state.st_mtime_ns, content]
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(cache) as output:
                output.write(json.dumps(known).encode())
    return {file: fresh[file] if file in fresh else str(known[base + file][2]) for file in files}


def _hash(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ReproError(f"{path}: cannot be read ({error.strerror})") from error


def _read_cache(cache: Path) -> dict[str, _State]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
