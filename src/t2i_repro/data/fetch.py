"""Verb `fetch`: download official archives and weights, verified by checksum; offline, say how to get them by hand."""

import argparse
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import Build
from t2i_repro.data.download import UnreachableError, download
from t2i_repro.errors import ReproError

TABLE = Path(__file__).with_name("assets.yaml")


@cache
def assets() -> dict[str, dict[str, Any]]:
    """The table of downloads: name -> {url, file, sha256 or None, size or None, unpack or None, licence, note}."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return table


def asset(name: str) -> dict[str, Any]:
    """One entry of the table. Raises ReproError for an unknown name, listing the known ones."""
    if name not in assets():
        raise ReproError(f"no download is called {name!r}; known: {', '.join(assets())}")
    return assets()[name]


def run(node: Node, out: Path, build: Build) -> None:
    """Build an `asset` node: download its file to ``out``, without unpacking it."""
    entry = asset(node.name)
    fetch(node.name, out / Path(entry["file"]).name, node.spec.get("sha256"))
    build.facts.update({"url": entry["url"], "licence": entry["licence"]})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m t2i_repro fetch``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to download; none: list what there is")
    parser.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="data_root to put it in (default: here)")
    parser.add_argument("--sha256", metavar="HEX", help="checksum to expect instead of the one in the table")
    parser.add_argument("--keep", action="store_true", help="keep archives after unpacking")


def main(args: argparse.Namespace) -> None:
    """Download and unpack. Raises ReproError as `fetch` and `unpack` do."""
    if not args.names:
        for name, entry in assets().items():
            size = f"{entry['size'] / 1e6:10,.1f} MB" if entry["size"] else "         ?   "
            print(f"{name:24}{size}  {entry['note']}")
        return
    if args.sha256 and len(args.names) > 1:
        raise ReproError(f"--sha256 is the checksum of one file; {len(args.names)} were asked for")
    for name in args.names:
        entry = asset(name)
        path = args.to / entry["file"]
        fetch(name, path, args.sha256 or entry["sha256"])
        if entry["unpack"] is not None:
            folder = args.to / entry["unpack"]
            print(f"unpacking {path} into {folder}")
            unpack(path, folder)
            if not args.keep:
                path.unlink()


def fetch(name: str, path: Path, sha256: str | None) -> None:
    """Download the entry ``name`` to ``path``, unless the file is there with this SHA-256.

    Raises ReproError, saying how to get it by hand, without a checksum or a connection, or when ``path`` is another
    file.
    """
    entry = asset(name)
    by_hand = (
        f"By hand: get {entry['url']} (licence: {entry['licence']}), save it as {path.absolute()}"
        f"{f' (SHA-256 {sha256})' if sha256 else ''}, and run this again"
    )
    if sha256 is None:
        raise ReproError(
            f"{name}: no verified checksum of {entry['file']} is known ({entry['note']}). {by_hand} with --sha256 HEX "
            f"(`sha256sum {path.name}` shows it) if you trust the file"
        )
    if path.is_file():
        found = file_sha256(path)
        if found == sha256:
            return
        raise ReproError(f"{path}: SHA-256 is {found}, expected {sha256}. Remove it and run this again")
    if entry.get("manual"):
        raise ReproError(f"{name}: {entry['url']} only opens in a browser. {by_hand}")
    try:
        download(entry["url"], path, sha256)
    except UnreachableError as error:
        raise ReproError(
            f"{name}: cannot reach {entry['url']} ({error}). What has arrived is kept for the next time. {by_hand}"
        ) from error


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or (compressed) tar into ``folder``.

    Raises ReproError when it is damaged, or when a member would be written outside ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as source:
                for member in source.namelist():
                    if not (folder / member).resolve().is_relative_to(folder.resolve()):
                        raise ReproError(f"{archive}: member {member!r} would be written outside {folder}; refused")
                source.extractall(folder)
        else:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise ReproError(f"{archive}: {error}; refused") from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise ReproError(f"{archive}: damaged or not an archive ({error}); remove it and fetch it again") from error
