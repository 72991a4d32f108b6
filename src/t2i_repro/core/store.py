"""Verb `store`: copy artefacts to paths that do not change, for DVC; and `restore`, the way back (docs/dvc.md)."""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.files import check_files, is_inside, mismatch
from t2i_repro.core.record import Build, parse_record, read_record, recorded_node, storage
from t2i_repro.errors import ReproError

RECORD = "record.json"


def run(node: Node, out: Path, build: Build) -> None:
    """Place every input in `out/<role>/`, where role is `<kind>-<name>` without the digest, and remove what an older
    plan left there.

    A new folder replaces the old one by a rename, so an interrupted store holds complete artefacts only. Raises
    ReproError when a file is not what its record says: what DVC pushes is what was built.
    """
    check_roles(node)
    for stale in out.iterdir():
        if stale.name not in node.inputs and is_ours(stale):
            shutil.rmtree(stale)
    for role in node.inputs:
        source = build.input(role)
        place(source, out / role, read_record(source))
    build.facts["artefacts"] = len(node.inputs)


def check_roles(node: Node) -> None:
    """Roles become folders, and a spec file may come from anywhere. Raises ReproError on one that is no plain name."""
    for role in node.inputs:
        if "/" in role or role.startswith(".") or not is_inside(role):
            raise ReproError(
                f"{node.spec_file}: input {role!r}; expected <kind>-<name>; `t2i-repro plan --write-specs`"
            )


def is_ours(folder: Path) -> bool:
    """Whether a folder is an artefact, or what a killed `place` left: nothing else may be removed."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / RECORD).is_file() or (folder.name.startswith(".") and folder.name.endswith(".partial"))


def place(source: Path, target: Path, record: dict[str, Any]) -> None:
    """Copy the files that ``record`` names, and the record, to `target`, which replaces an artefact that is there.

    Raises ReproError when a file is not what the record says, or when ``target`` is something else than an artefact.
    """
    if os.path.lexists(target) and not is_ours(target):
        raise ReproError(
            f"{target}: is there without a record: an interrupted build, or files that are not ours. It is not "
            f"replaced; move it away or remove it."
        )
    fresh, old = (target.parent / f".{target.name}.{word}.partial" for word in ("new", "old"))
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    with storage(target):
        fresh.mkdir(parents=True)
        for name in record["files"]:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            link(source / name, fresh / name)
        check_files(fresh, record)
        shutil.copyfile(source / RECORD, fresh / RECORD)
    if target.is_dir():
        os.replace(target, old)
    os.replace(fresh, target)
    shutil.rmtree(old, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """A hard link where the file system supports it (COCO's arrays take tens of gigabytes), else a copy.

    Neither name can change the other's content: before a verb builds in a folder, its files cease to be links
    (`break_links`). Symbolic links, as DVC makes on request, are followed and copied. A record is never a link: DVC may
    make what it stores read-only, and Snakemake refuses outputs that it cannot write.
    """
    if not source.exists():
        raise ReproError(f"{source}: missing, though its record names it")
    if not source.is_symlink():
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copyfile(source, target)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stores", nargs="*", type=Path, help="folders to restore from; default: results/*/store/*")


def main(args: argparse.Namespace) -> None:
    """Restore: copy artefacts from a store, where `dvc pull` put them, to where Snakemake expects them. Those that
    cannot be restored are named at the end; they keep no other one back."""
    failed = []
    for store in args.stores or sorted(Path("results").glob("*/store/*")):
        for record in sorted(store.glob(f"*/{RECORD}")):
            try:
                print(restored(record))
            except ReproError as error:
                failed.append(str(error))
    if failed:
        raise ReproError("\n".join(failed))


def restored(record: Path) -> str:
    """Restore one artefact; returns a line that says what was done.

    Raises ReproError when its files are not those of its record, or when its place is outside of results/.
    """
    content = parse_record(record)
    node = recorded_node(content, record)
    if node.digest != content["digest"]:
        return f"left     {record.parent}: made by another version of t2i-repro, whose plan asks for other artefacts"
    if node.is_leaf:
        raise ReproError(f"{record}: a store of a {node.kind}; expected artefacts that a store may hold")
    if Path(node.record).exists():
        return f"present  {node.folder}"
    check_place(Path(node.folder), record)
    wrong = [name for name, file in content["files"].items() if mismatch(record.parent, name, file)]
    if wrong:
        raise ReproError(
            f"{record.parent}: not what its record says: {', '.join(wrong)}. Run `dvc checkout` and try again."
        )
    Path(node.folder).parent.mkdir(parents=True, exist_ok=True)
    place(record.parent, Path(node.folder), content)
    return f"restored {node.folder}"


def check_place(folder: Path, record: Path) -> None:
    """Raise ReproError when a folder of results/ leads elsewhere through a symbolic link."""
    results = Path("results").resolve()
    if not folder.resolve().is_relative_to(results):
        raise ReproError(f"{record}: would be restored to {folder.resolve()}, which is outside of {results}")
