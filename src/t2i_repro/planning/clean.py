"""`t2i-repro clean`: list what can be removed and built again, with its size and what it took; `--yes` removes it.

    leftovers   files of processes that were killed while they wrote, damaged records, states of finished trainings
    orphans     artefacts, finished or not, that this plan does not ask for
    states      states of unfinished trainings of this plan, which then begin anew
    samples     samples of this plan from which all is made that it asks for; made again, they have the same bytes
    features    likewise

Nothing is removed that has no record or spec of ours, that a running job builds or reads, or that DVC versions
(`store/`, `report/`); and nothing while Snakemake runs in this folder.
"""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from t2i_repro.core.artefact import Node, read_node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.record import STATE
from t2i_repro.core.text import visible
from t2i_repro.errors import ReproError
from t2i_repro.planning.artefacts import Folder, disk_usage, folders, is_locked
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.status import is_built, slurm_jobs
from t2i_repro.planning.units import format_duration, format_size

CLASSES = ("leftovers", "orphans", "states", "samples", "features")


@dataclass(frozen=True)
class Removable:
    """``path``: a file, a state or an artefact's folder. ``seconds``: what building it took; 0 where nothing is lost,
    None where no record says."""

    kind: str
    path: Path
    folder: Path
    seconds: float | None = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class, parser.description = argparse.RawDescriptionHelpFormatter, __doc__
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(CLASSES)}; default: list all of them")
    parser.add_argument("--yes", action="store_true", help="remove what is named, instead of listing it")
    parser.add_argument("--scale", metavar="S", help="a scale of params.yaml; short for --set scale=S")
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    project, file = Path("."), visible(sys.stdout)
    for name in args.what:
        if name not in CLASSES:
            raise ReproError(f"found {name!r}; allowed: {', '.join(CLASSES)}")
    if args.yes and not args.what:
        raise ReproError(f"--yes: name what to remove: {', '.join(CLASSES)}. Without --yes all of it is listed.")
    overrides = parse_settings(args.set)
    if args.scale is not None:
        overrides["scale"] = args.scale
    # Without its data a plan has other digests: all that was built of them would look orphaned.
    planner = Planner(project, overrides)
    found = [one for one in removable(planner) if one.kind in (args.what or CLASSES)]
    if args.yes:
        check_idle(project)
    for one in found:
        cost = "" if one.seconds == 0 else f"  took {format_duration(one.seconds)}" if one.seconds else "  unfinished"
        usage = format_size(disk_usage(one.path))
        state = ("removed" if remove(project, one) else "in use, kept") if args.yes else one.kind
        print(f"{state:12} {usage:>9}  {one.path}{cost}", file=file)
    if not args.yes:
        totals(found, file)


def totals(found: list[Removable], file: TextIO) -> None:
    for kind in CLASSES:
        of_kind = [one for one in found if one.kind == kind]
        if of_kind:
            usage = format_size(sum(disk_usage(one.path) for one in of_kind))
            lost = format_duration(sum(one.seconds or 0 for one in of_kind))
            print(f"{kind}: {len(of_kind)}, {usage}; {lost} to build again", file=file)
    print("Nothing was removed: t2i-repro clean WHAT --yes does it." if found else "Nothing to remove.", file=file)


def removable(planner: Planner) -> Iterator[Removable]:
    """All that can be removed now, sorted by path within each kind."""
    planned = {node.folder: node for node in planner.nodes.values()}
    consumed = consumed_kinds(planner)
    kept = in_use(planner.project)
    results = planner.project / "results"
    scales = {planner.params["scale"], "all"}
    for folder in folders(results):
        path, name = folder.path, folder.path.relative_to(planner.project).as_posix()
        if name in kept:
            continue
        record = folder.record()
        node = planned.get(name)
        yield from leftovers(folder, finished=record is not None)
        if node is None and path.relative_to(results).parts[0] in scales:
            if record is not None:
                yield Removable("orphans", path, path, record.get("wall_seconds"))
            elif spec_of(results, folder) is not None and not (path / "record.json").exists():
                yield Removable("orphans", path, path, None)
        elif node is not None and record is None and (path / STATE).is_dir():
            yield Removable("states", path / STATE, path, None)
        elif node is not None and record is not None and node.record in consumed:
            yield Removable(consumed[node.record], path, path, record.get("wall_seconds"))


def leftovers(folder: Folder, finished: bool) -> Iterator[Removable]:
    for path in sorted((*folder.path.rglob(".*.partial"), *folder.path.glob(".record*.damaged"))):
        yield Removable("leftovers", path, folder.path)
    if finished and (folder.path / STATE).is_dir():
        yield Removable("leftovers", folder.path / STATE, folder.path)


def consumed_kinds(planner: Planner) -> dict[str, str]:
    """Samples and features, by record, of which all is built that is made from them: `samples` or `features`."""
    users: dict[str, list[Node]] = {}
    for node in planner.nodes.values():
        for source in planner.inputs_of(node).values():
            users.setdefault(source.record, []).append(node)
    kinds = {"sample": "samples", "embed": "features"}
    return {
        node.record: kinds[node.kind]
        for node in planner.nodes.values()
        if node.kind in kinds and all(is_built(planner, user) for user in users.get(node.record, []))
    }


def spec_of(results: Path, folder: Folder) -> Node | None:
    """The node that a folder is the place of, from the spec file of its digest; None without one."""
    scale = folder.path.relative_to(results).parts[0]
    for path in (results / scale / "specs").glob(f"*-{folder.digest}.json"):
        try:
            node = read_node(path)
        except ReproError:
            continue
        if Path(node.folder).name == folder.path.name:
            return node
    return None


def in_use(project: Path) -> set[str]:
    """Folders that running jobs build or read, of this machine (locks) or in SLURM's queue (comments of jobs).

    Raises ReproError if it cannot be told what a running job reads.
    """
    results, comments = project / "results", " ".join(slurm_jobs())
    found: set[str] = set()
    for folder in folders(results):
        if not (is_locked(folder.path) or (comments and folder.digest in comments)):
            continue
        node = spec_of(results, folder)
        if node is None:
            raise ReproError(
                f"{folder.path}: a process works there, and no file in specs/ says what it reads, so nothing can "
                f"safely be removed; wait for it to end"
            )
        found |= {folder.path.relative_to(project).as_posix(), *(link.path for link in node.inputs.values())}
    return found


def check_idle(project: Path) -> None:
    """Raise ReproError if Snakemake works in this folder: jobs that it will start need what its plan asks for."""
    locks = project / ".snakemake/locks"
    if locks.is_dir() and any(locks.iterdir()):
        raise ReproError(
            f"{locks}: Snakemake runs here, or was killed; wait for its end, or run `snakemake --unlock`, then repeat"
        )


def remove(project: Path, one: Removable) -> bool:
    """Remove it unless a process works in its folder by now. The record goes first: half an artefact is not built."""
    if not one.path.resolve().is_relative_to((project / "results").resolve()):
        raise ReproError(f"{one.path}: leads out of results/; nothing was removed")
    folder = os.open(one.folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
        if one.path.is_file():
            one.path.unlink()
            return True
        (one.path / "record.json").unlink(missing_ok=True)
        shutil.rmtree(one.path)
        return True
    finally:
        os.close(folder)
