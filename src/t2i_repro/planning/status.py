"""`t2i-repro status`: where a build stands, from any terminal.

    built         the record is there
    running       a process of this machine builds it (it holds the folder's lock), or SLURM runs its job
    queued        SLURM has its job
    failed        its verb failed; the message and the end of its log are shown
    interrupted   it was stopped and left a state to go on from
    ready         its inputs are there
    waiting       its inputs are not

Apart from these: what was built by other code than that of this folder, and artefacts that this plan does not ask for.
Exit status: 0 all is built, 10 something failed, 11 something runs or is queued, 12 neither, but not all is built.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from t2i_repro.core.artefact import Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.failure import NOTE
from t2i_repro.core.record import STATE, code_version
from t2i_repro.core.text import visible
from t2i_repro.planning.artefacts import Folder, folders, is_locked, last_lines, log_of, read_json, tail
from t2i_repro.planning.cost import Costs
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.units import format_duration

STATES = ("built", "running", "queued", "failed", "interrupted", "ready", "waiting")
ALL_BUILT, FAILED, RUNNING, INCOMPLETE = 0, 10, 11, 12
SHOWN = 12  # entries of a list


@dataclass(frozen=True)
class Standing:
    """One node: its state, and what there is to say about it."""

    node: Node
    state: str
    about: str = ""
    lines: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", metavar="S", help="a scale of params.yaml; short for --set scale=S")
    parser.add_argument("--all", action="store_true", help="list every artefact with its state")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    overrides = parse_settings(args.set)
    if args.scale is not None:
        overrides["scale"] = args.scale
    planner = Planner(Path("."), overrides, estimate=True)
    standings = all_standings(planner)
    others, orphans = built_by_other_code(standings), orphaned(planner)
    if args.json:
        print(json.dumps(as_json(standings, others, orphans), indent=1))
    else:
        write(planner, standings, others, orphans, args.all, visible(sys.stdout))
    sys.stdout.flush()
    sys.exit(exit_status(standings))


def all_standings(planner: Planner) -> list[Standing]:
    """Every node of a plan, in the order of the flow."""
    costs, jobs = Costs(planner), slurm_jobs()
    built = {node.record for node in planner.nodes.values() if is_built(planner, node)}
    return [standing(planner, node, costs, jobs, built) for node in planner.nodes.values()]


def is_built(planner: Planner, node: Node) -> bool:
    content = read_json(planner.project / node.record)
    return isinstance(content, dict) and content.get("digest") == node.digest


def standing(planner: Planner, node: Node, costs: Costs, jobs: dict[str, str], built: set[str]) -> Standing:
    folder, log = planner.project / node.folder, planner.project / log_of(node)
    if node.record in built:
        return Standing(node, "built")
    job = next((state for comment, state in jobs.items() if node.digest in comment), None)
    if is_locked(folder) or job == "RUNNING":
        return Standing(node, "running", progress(folder, costs.work(node).steps))
    if job is not None:
        return Standing(node, "queued", f"SLURM: {job.lower()}")
    note = read_json(folder / NOTE)
    if isinstance(note, dict):
        return Standing(node, "failed", str(note.get("message", "")), tuple(last_lines(log)))
    if (folder / STATE).is_dir():
        return Standing(node, "interrupted", progress(folder, costs.work(node).steps, running=False))
    lines = last_lines(log)
    if any(line.startswith(("Traceback", f"t2i-repro {node.verb}:")) for line in last_lines(log, 100)):
        return Standing(node, "failed", lines[-1], tuple(lines))
    ready = {source.record for source in planner.inputs_of(node).values()} <= built
    return Standing(node, "ready" if ready else "waiting")


def progress(folder: Path, steps: int, running: bool = True) -> str:
    """`step 1,200 of 8,000, 2.0 h to go`, as far as the files of a training tell."""
    done = last_step(folder / "losses.csv")
    if done is None:
        return ""
    of = f" of {steps:,} ({done / steps:.0%})" if steps else ""
    rate = seconds_per_step(folder, done) if running and steps > done else None
    return f"step {done:,}{of}" + (f", {format_duration(rate * (steps - done))} to go" if rate else "")


def last_step(losses: Path) -> int | None:
    """The step of the last whole row of losses.csv, whose first column it is."""
    whole, _, _ = tail(losses).rpartition("\n")
    first = whole.rpartition("\n")[2].split(",")[0]
    return int(first) if first.isdigit() else None


def seconds_per_step(folder: Path, done: int) -> float | None:
    """From the times at which previews were written (`grids/step-NNNNNN.png`), else since the process began."""
    grids = sorted((folder / "grids").glob("step-*.png"))[-2:]
    if len(grids) == 2:
        first, second = (int(path.stem.removeprefix("step-")) for path in grids)
        apart = grids[1].stat().st_mtime - grids[0].stat().st_mtime
        if apart > 0:
            return apart / (second - first)
    lock, losses = folder / STATE / "lock", folder / "losses.csv"
    if not lock.exists():
        return None
    return max(0.0, losses.stat().st_mtime - lock.stat().st_mtime) / done


def slurm_jobs() -> dict[str, str]:
    """State of this user's jobs by comment, which has the wildcards of the rule; none without SLURM."""
    if shutil.which("squeue") is None:
        return {}
    command = ["squeue", "--me", "--noheader", "--format=%T|%k"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = (line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
    return {comment: state for state, comment in pairs}


def built_by_other_code(standings: list[Standing]) -> dict[str, str]:
    """By folder, what was built by code that differs from this folder's: the commit, `+` for changes on top of it."""
    found = {}
    for one in standings:
        if one.state == "built":
            code = (read_json(Path(one.node.record)) or {}).get("code") or {}
            if code.get("commit") is None or code.get("dirty") or differs(code["commit"]):
                found[one.node.folder] = (code.get("commit") or "unknown")[:10] + ("+" if code.get("dirty") else "")
    return found


@cache
def differs(commit: str) -> bool:
    """Whether the package is other code now than at a commit. Without git, or without that commit: True."""
    if code_version()["commit"] == commit and not code_version()["dirty"]:
        return False
    package = Path(__file__).parents[1]
    command = ["git", "diff", "--quiet", commit, "--", "."]
    try:
        return subprocess.run(command, cwd=package, capture_output=True, timeout=20, check=False).returncode != 0
    except (OSError, subprocess.SubprocessError):
        return True


def orphaned(planner: Planner) -> list[Folder]:
    """Artefacts of this plan's scale, and downloads, that it does not ask for."""
    planned = {node.folder for node in planner.nodes.values()}
    scales = {planner.params["scale"], "all"}
    results = planner.project / "results"
    return [
        folder
        for folder in folders(results)
        if folder.path.relative_to(results).parts[0] in scales
        and folder.path.relative_to(planner.project).as_posix() not in planned
        and (folder.path / "record.json").exists()
    ]


def exit_status(standings: list[Standing]) -> int:
    states = {one.state for one in standings}
    if states <= {"built"}:
        return ALL_BUILT
    return FAILED if "failed" in states else RUNNING if states & {"running", "queued"} else INCOMPLETE


def as_json(standings: list[Standing], others: dict[str, str], orphans: list[Folder]) -> dict[str, Any]:
    entries = [
        {"state": one.state, "kind": one.node.kind, "folder": one.node.folder, "about": one.about, "log": [*one.lines]}
        for one in standings
    ]
    return {"artefacts": entries, "other_code": others, "orphaned": [folder.path.as_posix() for folder in orphans]}


def write(
    planner: Planner,
    standings: list[Standing],
    others: dict[str, str],
    orphans: list[Folder],
    every: bool,
    file: TextIO,
) -> None:
    counts = Counter(one.state for one in standings)
    print(f"{len(standings)} artefacts at scale {planner.params['scale']}", file=file)
    if planner.absent:
        print(f"data not here, so that what is built of it is not recognised: {', '.join(planner.absent)}", file=file)
    for state in STATES:
        if counts[state]:
            print(f"  {state:12} {counts[state]:5}", file=file)
    for one in standings:
        if every or one.state in ("running", "queued", "failed", "interrupted"):
            print(f"{one.state:12} {one.node.verb:12} {one.node.folder}  {one.about}".rstrip(), file=file)
            for line in one.lines:
                print(f"    {line}", file=file)
    note(f"{len(others)} built by other code (kept: only a new revision rebuilds)", sorted(others.items()), file)
    note(f"{len(orphans)} orphaned: this plan does not ask for them (t2i-repro clean)", orphans, file)


def note(title: str, items: list[Any], file: TextIO) -> None:
    """A list cut off after `SHOWN` entries; nothing if it is empty."""
    if not items:
        return
    print(title, file=file)
    for item in items[:SHOWN]:
        text = item.path.as_posix() if isinstance(item, Folder) else f"{item[1]:12} {item[0]}"
        print(f"    {text}", file=file)
    if len(items) > SHOWN:
        print(f"    and {len(items) - SHOWN} more (--json has all)", file=file)
