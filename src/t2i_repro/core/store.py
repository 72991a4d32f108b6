"""Verb `store`: copy artefacts to paths that do not change, for DVC; and `restore`, the way back (docs/dvc.md)."""

import argparse
import os
import shutil
from pathlib import Path

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.record import Build, hash_files, parse_record
from t2i_repro.errors import ReproError


def run(node: Node, out: Path, build: Build) -> None:
    """Place every input in `out/<role>/`, where role is `<kind>-<name>` without the digest, and remove what an older
    plan left there.

    A new folder replaces the old one by a rename, so an interrupted store holds complete artefacts only.
    """
    for stale in out.iterdir():
        if stale.is_dir() and stale.name not in node.inputs:
            shutil.rmtree(stale)
    for role in node.inputs:
        place(build.input(role), out / role)
    build.facts["artefacts"] = len(node.inputs)


def place(source: Path, target: Path) -> None:
    """Copy an artefact to `target`, replacing what is there."""
    fresh = target.parent / f".{target.name}.partial"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh, copy_function=link, ignore=shutil.ignore_patterns(".*"))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(fresh, target)


def link(source: str, target: str) -> None:
    """A hard link where the file system supports it (COCO's arrays take tens of gigabytes), else a copy. Files of
    artefacts are replaced, never modified, so neither name can change the other's content.

    Records are copied: Snakemake checks their permissions, and DVC may make what it stores read-only.
    """
    if Path(source).name == "record.json":
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stores", nargs="*", type=Path, help="folders to restore from; default: results/*/store/*")


def main(args: argparse.Namespace) -> None:
    """Restore: copy artefacts from a store, where `dvc pull` put them, to where Snakemake expects them."""
    for store in args.stores or sorted(Path("results").glob("*/store/*")):
        for record in sorted(store.glob("*/record.json")):
            print(restored(record))


def restored(record: Path) -> str:
    """Restore one artefact; returns a line that says what was done.

    Raises ReproError when its files are not those of its record.
    """
    content = parse_record(record)
    inputs = {role: Input(**source) for role, source in content["inputs"].items()}
    node = Node(**{key: content[key] for key in ("kind", "name", "scale", "spec")}, inputs=inputs)
    if node.digest != content["digest"]:
        return f"left     {record.parent}: made by another version of t2i-repro, whose plan asks for other artefacts"
    if Path(node.record).exists():
        return f"present  {node.folder}"
    found = {name: file for name, file in hash_files(record.parent).items() if name != "record.json"}
    if found != content["files"]:
        wrong = sorted(name for name in {*found, *content["files"]} if found.get(name) != content["files"].get(name))
        raise ReproError(
            f"{record.parent}: not what its record says: {', '.join(wrong)}. Run `dvc checkout` and try again."
        )
    Path(node.folder).parent.mkdir(parents=True, exist_ok=True)
    place(record.parent, Path(node.folder))
    return f"restored {node.folder}"
