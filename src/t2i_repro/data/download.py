"""Download one file over HTTP: resumed after interruptions, verified, then moved into place."""

import hashlib
import os
import re
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from t2i_repro.errors import ReproError, StorageFull

_BLOCK = 1 << 20
_TIMEOUT = 30  # seconds without a byte
_USER_AGENT = "t2i-repro"


class UnreachableError(Exception):
    """The server could not be reached, or the connection broke, in every attempt."""


def download(url: str, path: Path, sha256: str, retries: int = 4, pause: float = 1.0) -> None:
    """Fetch ``url`` to ``path``.

    Received bytes are kept in ``path`` + ``.partial`` and continued (HTTP Range) after a broken connection, in this
    call (up to ``retries`` times without a new byte, after ``pause``, 2 ``pause``, ... seconds) or in a later one.
    pooch would start again, which is too slow for 19 GB.

    Raises UnreachableError; ReproError when the server refuses or the checksum is wrong (the bytes are then removed).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    failures, most = 0, _size(partial)
    while True:
        try:
            _continue(url, partial, path.name)
            break
        except HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise ReproError(f"{url}: the server answers {error.code} {error.reason}") from error
            failure: Exception = error
        except (URLError, OSError, HTTPException) as error:
            failure = error
        failures = 0 if _size(partial) > most else failures + 1
        most = max(most, _size(partial))
        if failures > retries:
            raise UnreachableError(str(getattr(failure, "reason", failure))) from failure
        time.sleep(pause * 2 ** max(0, failures - 1))
    found = _sha256(partial, path.name)
    if found != sha256:
        size = partial.stat().st_size
        partial.unlink()
        raise ReproError(
            f"{url}: SHA-256 of the {size} bytes received is {found}, expected {sha256}. They were removed; if the "
            f"file was republished and you trust it, give its checksum with --sha256"
        )
    os.replace(partial, path)


def _continue(url: str, partial: Path, name: str) -> None:
    """Fetch what is missing of ``partial``. Raises OSError or HTTPException when the connection breaks."""
    have = _size(partial)
    headers = {"User-Agent": _USER_AGENT} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:  # complete, or not a part of this file: the checksum decides
            total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
            if total and int(total[1]) == have:
                return
            partial.unlink()
            raise ConnectionError(f"the server has no byte {have} of {name}; starting again") from error
        raise
    with response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            partial.unlink()
            raise ConnectionError(f"the server resumed {name} at another byte than asked for; starting again")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total_size = have + int(length) if length else None
        progress = tqdm(
            desc=name, initial=have, total=total_size, unit="B", unit_scale=True, unit_divisor=1024, disable=None
        )
        with progress, partial.open("ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK):
                try:
                    file.write(block)
                except OSError as error:
                    raise StorageFull(f"{partial}: cannot write ({error.strerror}); what arrived is kept") from error
                progress.update(len(block))
    if total_size is not None and partial.stat().st_size < total_size:
        raise ConnectionError(f"connection closed after {partial.stat().st_size} of {total_size} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path, name: str) -> str:
    digest = hashlib.sha256()
    size = path.stat().st_size
    progress = tqdm(desc=f"checking {name}", total=size, unit="B", unit_scale=True, disable=None, delay=1)
    with progress, path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress.update(len(block))
    return digest.hexdigest()
