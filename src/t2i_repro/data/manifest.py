"""The manifest digest: what a folder of raw files contains, independent of where the folder is."""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import atomic_write
from t2i_repro.data.layout import Layout, raw_files
from t2i_repro.errors import ReproError

# A file written within this time of its hashing is not cached: a second write could leave size and time unchanged.
_SETTLED_NS = 2_000_000_000
_THREADS = 4  # hashing and reading both release the interpreter lock

_State = list[int | str]  # size, mtime_ns, sha256


def combine(hashes: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the sorted pairs (relative path with forward slashes, SHA-256 of the content)."""
    digest = hashlib.sha256()
    for path, content in sorted(hashes):
        digest.update(f"{path}\0{content}\n".encode())
    return digest.hexdigest()


def manifest_digest(layout: Layout, base: Path, year: int | None, cache: Path) -> tuple[str, int]:
    """Digest of the names and content of all raw files of the dataset in ``base``, and their number. The path of
    ``base`` does not enter.

    ``cache`` is a JSON file (made if absent) that remembers the hash of each file by path, size and time of
    modification, so that planning again costs one ``stat`` per file. Raises ReproError when the dataset is not there.
    """
    files = raw_files(layout, Path(os.path.abspath(base)), year)
    return combine(_hashes(files, cache, layout.name).items()), len(files)


def content_digest(path: Path, cache: Path | None = None, suffixes: tuple[str, ...] = ()) -> str:
    """SHA-256 of a file; of a folder, that of all files below it whose names end in ``suffixes``, as `combine` has it.

    ``cache``: as above; None reads every file. Raises ReproError where there is no such file.
    """
    base = os.path.abspath(path)
    if path.is_file():
        return _hashes({path.name: base}, cache, path.name)[path.name]
    files = sorted(
        found.relative_to(path).as_posix()
        for found in path.rglob("*")
        if found.is_file() and found.suffix.lower() in suffixes
    )
    if not files:
        raise ReproError(f"{path}: found no file that ends in {', '.join(suffixes)}")
    return combine(_hashes({file: f"{base}/{file}" for file in files}, cache, path.name).items())


def _hashes(files: dict[str, str], cache: Path | None, title: str) -> dict[str, str]:
    """SHA-256 of files, by the names in ``files``, whose values are absolute paths."""
    known = {} if cache is None else _read_cache(cache)
    states = {path: os.stat(path) for path in files.values()}
    missing = [
        path
        for path, state in states.items()
        if known.get(path, [None, None])[:2] != [state.st_size, state.st_mtime_ns]
    ]
    fresh: dict[str, str] = {}
    if missing:
        with ThreadPoolExecutor(_THREADS) as pool:
            contents = pool.map(lambda path: _hash(Path(path)), missing)
            progress = tqdm(contents, f"hashing {title}", len(missing), disable=None, delay=1, unit="file")
            fresh = dict(zip(missing, progress, strict=True))
        for path, content in fresh.items():
            state = states[path]
            if time.time_ns() - state.st_mtime_ns > _SETTLED_NS:
                known[path] = [state.st_size, state.st_mtime_ns, content]
        if cache is not None:
            with suppress(OSError, ReproError):  # a folder that may only be read: the files are hashed again next time
                cache.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(cache) as output:
                    output.write(json.dumps(known).encode())
    return {name: fresh[path] if path in fresh else str(known[path][2]) for name, path in files.items()}


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
