"""`t2i-repro verify`: prove that a target, and everything that it was built from, is what the records say.

Compares the SHA-256 of every file with its record, digests with the plan, raw data with the manifest that the plan
knows, rendered tables with the scores, and computes a share of the metrics again. Changes nothing.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tqdm import tqdm

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.files import Mismatch, artefact_files, mismatch
from t2i_repro.core.record import Build, parse_record, recorded_node
from t2i_repro.core.text import visible
from t2i_repro.data.layout import layouts
from t2i_repro.data.manifest import content_digest, manifest_digest
from t2i_repro.errors import ReproError
from t2i_repro.metrics import score
from t2i_repro.metrics.score_file import read_metric
from t2i_repro.metrics.sources import LOSSLESS, LOSSY
from t2i_repro.planning.plan import Planner
from t2i_repro.rendering.rendered import read_table
from t2i_repro.rendering.tables import table_content, table_files

SHOWN = 20  # findings printed
SHARE = 0.1
TOLERANCE = 1e-6  # relative: linear algebra differs between machines in the last digits
THREADS = 4  # hashing and reading release the interpreter lock
REBUILD = "remove {folder} and run `snakemake` to rebuild it"


@dataclass(frozen=True)
class Finding:
    """Something that is not what it should be."""

    file: str
    found: str
    expected: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.file}\n    found     {self.found}\n    expected  {self.expected}\n    way out   {self.way_out}"


@dataclass
class Proof:
    """What was proved (a line and how much of it), what is wrong, and what could not be checked and why."""

    proved: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def add(self, what: str, count: int = 1) -> None:
        self.proved[what] = self.proved.get(what, 0) + count

    def find(self, file: Path | str, found: str, expected: str, folder: Path | str) -> None:
        self.findings.append(Finding(str(file), found, expected, REBUILD.format(folder=folder)))


@dataclass(frozen=True)
class Built:
    """An artefact that is there, and its record."""

    node: Node
    folder: Path
    record: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", help="a table, figure or paper (ssa-gan-table2), report, data, encoders, checkpoints; or a folder"
    )
    parser.add_argument(
        "--share", type=float, default=SHARE, help=f"share of the metrics to compute again, 0 to 1 (default {SHARE})"
    )
    parser.add_argument(
        "--only", action="store_true", help="the files of the target alone, without those it was built from"
    )
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    """Print what was proved. Raises ReproError when anything is not what it should be."""
    if not 0 <= args.share <= 1:
        raise ReproError(f"--share: found {args.share}; expected a number from 0 to 1")
    proof = Proof()
    planner = plan(args, proof)
    built = collect(starts(args.target, planner), planner, args.only, proof)
    check_contents(built, proof)
    for artefact in built:
        CHECKS.get(artefact.node.kind, lambda *_: None)(artefact, proof)
    if not args.only:
        check_metrics([one for one in built if one.node.kind == "score"], args.share, proof)
    report(args.target, proof)


def plan(args: argparse.Namespace, proof: Proof) -> Planner | None:
    """The plan; None, with the reason, where a folder is asked for and nothing can be planned."""
    try:
        return Planner(Path("."), parse_settings(args.set))
    except ReproError as error:
        if args.set or not Path(args.target).is_dir():
            raise
        proof.unchecked.append(f"the plan: digests are compared with the records only ({error})")
        return None


def starts(target: str, planner: Planner | None) -> list[Input]:
    """The artefacts that a target names. Raises ReproError when there are none."""
    if Path(target).is_dir():
        records = sorted(Path(target).glob("record*.json"))
        if not records:
            raise ReproError(f"{target}: no record; expected the folder of a finished artefact")
        record = parse_record(records[-1])
        node = recorded_node(record, records[-1])
        return [Input(path=target, digest=record["digest"], kind=node.kind)]
    assert planner is not None  # a name was refused without a plan
    named = {**planner.targets, "page": planner.targets["report"]}
    shown = [node for node in planner.nodes.values() if node.kind in ("table", "figure")]
    named |= {node.name: node for node in shown}
    if target in planner.params["papers"]:
        return [node.as_input() for node in shown if node.spec["paper"] == target]
    if target not in named:
        near = get_close_matches(target, [*named, *planner.params["papers"]]) or ["report", *planner.params["papers"]]
        raise ReproError(f"{target}: nothing has this name, and there is no such folder; nearest: {', '.join(near)}")
    return [named[target].as_input()]


def collect(targets: list[Input], planner: Planner | None, only: bool, proof: Proof) -> list[Built]:
    """The targets and what they were built from, each once. Records, digests and the lists of files are checked."""
    found: dict[str, Built | None] = {}
    pending = list(targets)
    while pending:
        source = pending.pop(0)
        if source.path in found:
            continue
        planned = planner.by_digest.get(source.digest) if planner else None
        built = found[source.path] = open_artefact(source, planned, source in targets, proof)
        node = built.node if built else planned
        if node is not None and not only:
            pending += node.inputs.values()
    return [built for built in found.values() if built is not None]


def open_artefact(source: Input, planned: Node | None, is_target: bool, proof: Proof) -> Built | None:
    """Read the record of an artefact. None when it is absent, damaged or another one."""
    folder = Path(source.path)
    leaf = source.kind in ("report", "store")
    path = folder / (f"record-{source.digest}.json" if leaf else "record.json")
    if not path.is_file():
        others = sorted(other.name for other in folder.glob("record*.json"))
        if is_target:
            proof.find(path, ", ".join(others) or "missing", "the record of the planned artefact", folder)
        else:
            proof.unchecked.append(f"{folder}: not there (removed since, or not pulled); only its digest is known")
        return None
    try:
        record = parse_record(path)
        node = recorded_node(record, path)
    except ReproError as error:
        proof.find(path, str(error), "a whole record", folder)
        return None
    if record["digest"] != source.digest:
        proof.find(path, f"digest {record['digest']}", source.digest, folder)
        return None
    if record.get("revision") != node.revision:
        now = f"{node.revision}: what the kind {node.kind} means has changed since"
        proof.find(path, f"revision {record.get('revision')}", now, folder)
        return None
    if node.digest != record["digest"]:
        proof.find(path, f"content with digest {node.digest}", f"{record['digest']}, as it says itself", folder)
        return None
    for name in sorted({*artefact_files(folder)} - {*record["files"], path.name}):
        proof.find(folder / name, "a file that the record does not name", "only recorded files", folder)
    proof.add("artefacts: digest as in the plan" if planned else "artefacts: digest as their record and consumers say")
    # What the plan knows besides the digest (how a cell differs from the shipped one) may not come from the record.
    return Built(replace(node, runtime=planned.runtime) if planned else node, folder, record)


def check_contents(built: Iterable[Built], proof: Proof) -> None:
    """Compare the bytes of every file with its record."""
    files = [(one, name, file) for one in built for name, file in one.record["files"].items()]

    def compare(item: tuple[Built, str, dict[str, Any]]) -> tuple[Built, int, Mismatch | None]:
        one, name, file = item
        return one, file["size"], mismatch(one.folder, name, file)

    total = sum(file["size"] for _, _, file in files)
    bar = tqdm(total=total, desc="SHA-256", unit="B", unit_scale=True, disable=None)
    with ThreadPoolExecutor(THREADS) as pool, bar:
        for one, size, wrong in pool.map(compare, files):
            bar.update(size)
            if wrong is not None:
                proof.find(wrong.file, wrong.found, wrong.expected, one.folder)
            else:
                proof.add("files: SHA-256 as in their records")
                proof.add("bytes in them", size)


def check_prepared(built: Built, proof: Proof) -> None:
    """Hash the raw files anew and compare them with the manifest that the data were prepared from."""
    manifest, root = built.node.spec.get("manifest"), built.node.locations.get("raw_root")
    if manifest is None:
        return  # stand-ins are artefacts of their own
    if root is None or not Path(root).is_dir():
        proof.unchecked.append(f"{built.folder}: its raw data: not at {root}")
        return
    spec = built.node.spec
    with tempfile.TemporaryDirectory() as scratch:  # no cache: every file is read
        cache = Path(scratch) / "raw.json"
        try:
            found, count = manifest_digest(layouts()[spec["layout"]], Path(root), spec.get("year"), cache)
        except ReproError as error:
            proof.unchecked.append(f"{built.folder}: its raw data: {error}")
            return
    if found != manifest:
        way_out = "restore the raw files, or run `snakemake` to rebuild what depends on them"
        proof.findings.append(Finding(str(root), f"raw files with manifest {found}", manifest, way_out))
    else:
        proof.add("raw files: manifest as prepared", count)


def check_asset(built: Built, proof: Proof) -> None:
    """Compare downloaded weights with the checksum of the plan."""
    expected = built.node.spec["sha256"]
    if expected not in [file["sha256"] for file in built.record["files"].values()]:
        proof.find(built.folder, "no file with the planned checksum", expected, built.folder)
    else:
        proof.add("downloads: checksum as planned")


def check_import(built: Built, proof: Proof) -> None:
    """Compare what others made, where it is still there, with what was imported."""
    path, spec = Path(built.node.locations.get("path", "")), built.node.spec
    expected = spec.get("content", spec.get("checkpoint"))
    source = path if built.node.kind == "import-samples" else path / "record.json"
    if not built.node.locations.get("path") or not source.exists():
        proof.unchecked.append(f"{built.folder}: what it was imported from: not at {source}")
        return
    found = content_digest(source, suffixes=LOSSLESS + LOSSY)
    if found != expected:
        proof.find(source, f"SHA-256 {found}", f"{expected}, as imported", built.folder)
    else:
        proof.add("imports: source as imported")


def check_table(built: Built, proof: Proof) -> None:
    """Render a table anew from its scores and compare the files."""
    absent = [source.path for source in built.node.inputs.values() if not Path(source.path, "record.json").is_file()]
    if absent:
        proof.unchecked.append(f"{built.folder}: not rendered again: {len(absent)} of its scores are not there")
        return
    try:
        files = table_files(table_content(built.node))
    except ReproError as error:
        proof.find(built.folder, f"cannot be rendered: {error}", "a table of its scores", built.folder)
        return
    different = [name for name, content in files.items() if not same_bytes(built.folder / name, content)]
    if different:
        proof.find(built.folder, f"other content in {', '.join(different)}", "what its scores render to", built.folder)
    else:
        proof.add("tables: rendered again, same bytes")


def same_bytes(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def check_report(built: Built, proof: Proof) -> None:
    """Compare the downloads of a site with the tables that they are copies of, by their records."""
    proof.unchecked.append(
        f"{built.folder}: text of the page: the files are those of the record, but not written again"
    )
    for source in built.node.inputs.values():
        if source.kind != "table":
            continue
        try:
            table = read_table(source)
        except ReproError as error:
            proof.unchecked.append(f"{built.folder}: copies of {source.path}: {error}")
            continue
        for name, path in table.files().items():
            found = built.record["files"].get(f"files/{name}", {}).get("sha256", "missing")
            expected = table.record["files"][path.name]["sha256"]
            if found != expected:
                proof.find(built.folder / "files" / name, found, f"{expected}, as the table has it", built.folder)
            else:
                proof.add("files of the page: copies of their tables")


def check_store(built: Built, proof: Proof) -> None:
    """Compare a store's files with the records of the artefacts that it holds."""
    for role, source in built.node.inputs.items():
        path = built.folder / role / "record.json"
        try:
            record = parse_record(path)
        except ReproError as error:
            proof.find(path, str(error), "a whole record", built.folder)
            continue
        held = {name: file for name, file in built.record["files"].items() if name.startswith(f"{role}/")}
        expected = {f"{role}/{name}": file for name, file in record["files"].items()}
        held.pop(f"{role}/record.json", None)
        if record["digest"] != source.digest or held != expected:
            proof.find(
                path, f"{record['digest']} with {len(held)} files", f"{source.digest} with its own", built.folder
            )
        else:
            proof.add("stored artefacts: files as in their own records")


CHECKS: dict[str, Callable[[Built, Proof], None]] = {
    "prepare": check_prepared,
    "asset": check_asset,
    "import-samples": check_import,
    "import-run": check_import,
    "table": check_table,
    "report": check_report,
    "store": check_store,
}


def check_metrics(scores: list[Built], share: float, proof: Proof) -> None:
    """Compute a share of the metrics again from their inputs; which ones follows from their digests alone."""
    chosen = sorted(scores, key=lambda one: one.node.digest)[: math.ceil(share * len(scores))]
    for one in tqdm(chosen, "metrics", unit="metric", disable=None):
        absent = [source.path for source in one.node.inputs.values() if not Path(source.path, "record.json").is_file()]
        if absent:
            proof.unchecked.append(f"{one.folder}: not computed again: {', '.join(absent)} is not there")
            continue
        try:
            expected = read_metric(one.folder)
            with tempfile.TemporaryDirectory() as scratch:
                score.run(one.node, Path(scratch), Build(one.node))
                found = json.loads((Path(scratch) / "metric.json").read_text(encoding="utf-8"))
        except ReproError as error:
            proof.find(one.folder, f"cannot be computed: {error}", "the same metric", one.folder)
            continue
        different = [key for key in {**expected, **found} if not same(found.get(key), expected.get(key))]
        if different:
            values = [", ".join(f"{key} {value.get(key)}" for key in different) for value in (found, expected)]
            proof.find(one.folder / "metric.json", f"{values[1]}", f"{values[0]}, computed again", one.folder)
        else:
            proof.add("metrics: computed again, same values")
    if len(chosen) < len(scores):
        proof.unchecked.append(f"{len(scores) - len(chosen)} of {len(scores)} metrics: not computed again (--share)")


def same(found: Any, expected: Any) -> bool:
    """Whether two JSON values are equal, numbers within TOLERANCE."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=1e-12)
    return bool(found == expected)


def report(target: str, proof: Proof) -> None:
    """Print the proof. Raises ReproError when there are findings."""
    output = visible(sys.stdout)  # names may come from records of others
    print(f"{target}: proved", file=output)
    for what, count in proof.proved.items():
        print(f"  {count:>15,} {what}", file=output)
    if proof.unchecked:
        print("not checked", file=output)
        for line in proof.unchecked[:SHOWN]:
            print(f"  {line}", file=output)
        if len(proof.unchecked) > SHOWN:
            print(f"  and {len(proof.unchecked) - SHOWN} more", file=output)
    if proof.findings:
        print("wrong", file=output)
        for finding in proof.findings[:SHOWN]:
            print(f"  {finding}", file=output)
        if len(proof.findings) > SHOWN:
            print(f"  and {len(proof.findings) - SHOWN} more", file=output)
        raise ReproError(f"{target}: {len(proof.findings)} findings: it is not what its records say")
