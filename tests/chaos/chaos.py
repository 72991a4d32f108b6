"""Disturb runs of the workflow in every way that machines do; in the end there must be the bytes of a quiet run.

    make chaos DISTURBANCES=200 SEED=1       # or MINUTES=30

Verbs are fakes (chaos_flow.py), or with --real the real ones at a tiny scale. Before each disturbance a part of the
results is removed, so that there is work; after it the command is given again until all is built. Prints how many
artefacts are wrong (other bytes) or lost (not built), and which hands it took: `snakemake --unlock` where Snakemake
asks for it, and removing the damaged artefacts that `t2i-repro verify` would name. A run that needs another hand fails.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "helpers"), str(HERE.parents[1] / "src")]

from project_copy import Copy, make_copy  # noqa: E402
from small_graph import shrink  # noqa: E402

from t2i_repro.core.artefact import Node  # noqa: E402
from t2i_repro.core.files import check_files  # noqa: E402
from t2i_repro.core.record import parse_record  # noqa: E402
from t2i_repro.errors import ReproError  # noqa: E402

SNAKEMAKE = ("snakemake", "--cores", "3", "--resources", "gpu=8", "--set-threads", "train=1", "pretrain=1", "--")
WITHOUT_ROOTS_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
TRIES = 8
Process = subprocess.Popen[bytes]


class Chaos:
    """A project that is disturbed. ``counts``: what it took to repair it; ``wrong``: what no repair should need."""

    def __init__(self, copy: Copy, expected: dict[str, dict[str, str]], seed: int, log: Path) -> None:
        self.copy, self.expected, self.draw = copy, expected, random.Random(seed)
        self.log_file, self.output = log, log.with_suffix(".output")
        self.plan = {node.record: node for node in copy.plan().values()}
        self.counts: Counter[str] = Counter()
        self.wrong: set[str] = set()

    def log(self, text: str) -> None:
        with self.log_file.open("a") as file:
            file.write(text + "\n")

    def start(self, command: tuple[str, ...], limit: int | None = None) -> Process:
        """Start a command in a session of its own; ``limit``: size in bytes that a file may have."""

        def before() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        self.output.unlink(missing_ok=True)
        with self.output.open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=self.copy.folder,
                env=self.copy.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=before,
            )

    def processes(self, wanted: Callable[[str], bool] = lambda command: True) -> list[int]:
        """Processes that work in the project and whose command line is ``wanted``."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.copy.folder):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command and wanted(command):
                        found.append(int(entry.name))
        return found

    def verbs(self) -> list[int]:
        return self.processes(lambda command: "-m t2i_repro" in command and "--spec" in command)

    def wait_for_orphans(self) -> None:
        """Jobs of a Snakemake that was killed go on."""
        deadline = time.monotonic() + 120
        while self.processes():
            if time.monotonic() > deadline:
                raise AssertionError(f"processes that do not end: {self.processes()}")
            time.sleep(0.05)

    def set_back(self) -> None:
        """Remove some artefacts and all that was built from them."""
        gone = {self.draw.choice(sorted(self.plan)) for _ in range(self.draw.randint(1, 2))}
        grown = True
        while grown:
            folders = {self.plan[record].folder for record in gone}
            more = {
                record
                for record, node in self.plan.items()
                if record not in gone and any(source.path in folders for source in node.inputs.values())
            }
            gone |= more
            grown = bool(more)
        for record in gone:
            shutil.rmtree(self.copy.folder / self.plan[record].folder, ignore_errors=True)

    def damaged(self) -> list[Node]:
        """Artefacts whose record or bytes are not what they were: those that `t2i-repro verify` would name."""
        found = []
        for record, node in self.plan.items():
            path = self.copy.folder / record
            try:
                if path.exists():
                    content = parse_record(path)
                    check_files(path.parent, content)
                    self.check(record, content)
            except ReproError as error:
                self.log(f"  {record}: {error}")
                found.append(node)
        return found

    def check(self, record: str, content: dict[str, Any]) -> None:
        """Note an artefact that is intact, but not the one of a quiet run."""
        if hashes(content) != self.expected[record]:
            self.wrong.add(record)

    def finish(self, command: tuple[str, ...]) -> None:
        """Give the command again until it succeeds and all that is there is intact."""
        for _ in range(TRIES):
            self.counts["restarts"] += 1
            status = self.start(command).wait(timeout=900)
            said = self.output.read_text(errors="replace")
            self.wait_for_orphans()
            if "LockException" in said or "cannot be locked" in said:
                self.copy.run("snakemake", "--unlock")
                self.counts["unlock"] += 1
                continue
            damaged = self.damaged()
            for node in damaged:
                shutil.rmtree(self.copy.folder / node.folder)
                self.counts["removed"] += 1
            if status == 0 and not damaged:
                return
            self.log(f"  status {status}; removed: {', '.join(node.name for node in damaged) or 'nothing'}")
        raise AssertionError(f"{' '.join(command)}: not finished after {TRIES} tries:\n{said[-4000:]}")

    def disturb(self, number: int) -> None:
        self.set_back()
        command = self.draw.choices([SNAKEMAKE, (*SNAKEMAKE, "ssa-gan-table2"), ("dvc", "repro")], [8, 2, 1])[0]
        kind = self.draw.choice(KINDS)
        self.log(f"{number}: {kind.__name__}, {' '.join(command[:1] + command[10:])}")
        kind(self, command)
        self.counts[kind.__name__] += 1
        self.finish(command if command[0] == "dvc" else SNAKEMAKE)

    def moment(self, process: Process) -> bool:
        """Wait until a verb runs, and a little longer. False where the command ended before."""
        at = time.monotonic() + self.draw.expovariate(0.7)
        while process.poll() is None:
            if time.monotonic() > at and self.verbs():
                time.sleep(self.draw.uniform(0, 0.4))
                return True
            time.sleep(0.02)
        return False

    def kill(self, pids: list[int], number: int = signal.SIGKILL) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def some_files(self, pattern: str = "*/*/*", hidden: bool = False) -> list[Path]:
        """A few files of artefacts."""
        files = [
            path
            for path in sorted((self.copy.folder / "results").glob(f"*/{pattern}"))
            if path.is_file() and path.name.startswith(".") == hidden and "specs" not in path.parts
        ]
        return self.draw.sample(files, min(len(files), self.draw.randint(1, 3)))


def a_job_is_killed(chaos: Chaos, command: tuple[str, ...]) -> None:
    process = chaos.start(command)
    if chaos.moment(process) and (verbs := chaos.verbs()):
        chaos.kill([chaos.draw.choice(verbs)], chaos.draw.choice([signal.SIGKILL, signal.SIGTERM]))
    process.wait()


def the_front_end_is_killed(chaos: Chaos, command: tuple[str, ...]) -> None:
    """Jobs go on without it."""
    process = chaos.start(command)
    if chaos.moment(process):
        chaos.kill(chaos.processes(lambda text: "t2i_repro" not in text and ("snakemake" in text or "dvc" in text)))
    process.wait()


def the_front_end_is_asked_to_stop(chaos: Chaos, command: tuple[str, ...]) -> None:
    """As Ctrl-C or a closed terminal does: every process gets the signal."""
    process = chaos.start(command)
    if chaos.moment(process):
        os.killpg(process.pid, chaos.draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
    process.wait()


def the_machine_stops(chaos: Chaos, command: tuple[str, ...]) -> None:
    process = chaos.start(command)
    if chaos.moment(process):
        chaos.kill(chaos.processes())
    process.wait()


def a_training_is_killed_and_its_state_damaged(chaos: Chaos, command: tuple[str, ...]) -> None:
    the_machine_stops(chaos, command)
    for path in chaos.some_files("*/*/.state/*"):
        cut(path, chaos.draw)


def the_disk_is_full(chaos: Chaos, command: tuple[str, ...]) -> None:
    """A limit for the size of files: writing beyond it fails in the same way."""
    chaos.start(command, limit=chaos.draw.choice([2_000, 12_000, 40_000])).wait()


def two_commands_at_once(chaos: Chaos, command: tuple[str, ...]) -> None:
    first = chaos.start(command)
    chaos.moment(first)
    if chaos.draw.random() < 0.5:
        shutil.rmtree(chaos.copy.folder / ".snakemake/locks", ignore_errors=True)
    second = chaos.start(chaos.draw.choice([SNAKEMAKE, (*SNAKEMAKE[:-1], "--nolock"), ("dvc", "repro")]))
    second.wait()
    first.wait()


def a_verb_is_run_by_hand(chaos: Chaos, command: tuple[str, ...]) -> None:
    process = chaos.start(command)
    chaos.moment(process)
    node = chaos.plan[chaos.draw.choice(sorted(chaos.plan))]
    chaos.start((sys.executable, "-m", "t2i_repro", node.verb, "--spec", node.spec_file)).wait()
    process.wait()


def a_folder_is_read_only(chaos: Chaos, command: tuple[str, ...]) -> None:
    folders = [path for path in sorted((chaos.copy.folder / "results/tiny").glob("*")) if path.is_dir()]
    folder = chaos.draw.choice(folders)
    folder.chmod(0o555)
    prefix = WITHOUT_ROOTS_RIGHTS if os.getuid() == 0 and shutil.which("setpriv") else ()
    try:
        chaos.start((*prefix, *command)).wait()
    finally:
        folder.chmod(0o755)


def files_are_cut(chaos: Chaos, command: tuple[str, ...]) -> None:
    for path in chaos.some_files():
        cut(path, chaos.draw)


def files_are_flipped(chaos: Chaos, command: tuple[str, ...]) -> None:
    """One bit, which changes neither size nor time."""
    for path in chaos.some_files():
        content, times = bytearray(path.read_bytes()), path.stat()
        if content:
            content[chaos.draw.randrange(len(content))] ^= 1 << chaos.draw.randrange(8)
            path.chmod(0o644)
            path.write_bytes(content)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def files_are_deleted(chaos: Chaos, command: tuple[str, ...]) -> None:
    for path in chaos.some_files():
        path.unlink()


def the_clock_is_wrong(chaos: Chaos, command: tuple[str, ...]) -> None:
    files = [path for path in (chaos.copy.folder / "results").rglob("*") if path.is_file()]
    files += [chaos.copy.folder / "params.yaml", *(chaos.copy.folder / "papers").iterdir()]
    for path in files:
        there = time.time() + chaos.draw.uniform(-3e8, 3e8)
        os.utime(path, (there, there))


def what_the_front_ends_remember_is_lost(chaos: Chaos, command: tuple[str, ...]) -> None:
    for name in (".snakemake", ".dvc/tmp", "dvc.lock"):
        path = chaos.copy.folder / name
        if chaos.draw.random() < 0.7 and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path: Path, draw: random.Random) -> None:
    size = path.stat().st_size
    path.chmod(0o644)
    os.truncate(path, draw.randrange(size) if size else 0)


KINDS = (
    a_job_is_killed,
    the_front_end_is_killed,
    the_front_end_is_asked_to_stop,
    the_machine_stops,
    a_training_is_killed_and_its_state_damaged,
    the_disk_is_full,
    two_commands_at_once,
    a_verb_is_run_by_hand,
    a_folder_is_read_only,
    files_are_cut,
    files_are_flipped,
    files_are_deleted,
    the_clock_is_wrong,
    what_the_front_ends_remember_is_lost,
)


def project_of(folder: Path, real: bool) -> Copy:
    copy = make_copy(HERE.parents[1], folder, fakes=not real)
    shrink(copy)
    if not real:
        shutil.copy2(HERE / "chaos_flow.py", copy.folder / "src/t2i_repro/fake_flow.py")
    return copy


def build_all(copy: Copy) -> None:
    copy.run(*SNAKEMAKE, "all", *(node.record for node in copy.plan().values()))


def contents(copy: Copy) -> dict[str, dict[str, str]]:
    """SHA-256 of the files of every artefact that is there, by its record."""
    found = {}
    for node in copy.plan().values():
        path = copy.folder / node.record
        if path.exists():
            found[node.record] = hashes(json.loads(path.read_text()))
    return found


def hashes(record: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of an artefact's files but those that tell the time: TensorBoard's, the page, records in a store."""
    times = ("tensorboard/", "record.json") if record["kind"] != "report" else ("",)
    files = record["files"].items()
    return {name: file["sha256"] for name, file in files if not any(part in name for part in times)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disturbances", type=int, default=sys.maxsize)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no disturbance after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("results/chaos.log"))
    parser.add_argument("--real", action="store_true", help="real verbs at a tiny scale")
    args = parser.parse_args()
    args.log.parent.mkdir(parents=True, exist_ok=True)
    args.log.write_text(f"seed {args.seed}\n")
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        quiet, copy = (project_of(Path(name, part), args.real) for part in ("quiet", "disturbed"))
        build_all(quiet)
        expected = contents(quiet)
        chaos = Chaos(copy, expected, args.seed, args.log.resolve())
        chaos.finish(SNAKEMAKE)
        end, done = time.monotonic() + 60 * args.minutes, 0
        while done < args.disturbances and time.monotonic() < end:
            done += 1
            chaos.disturb(done)
        build_all(copy)
        chaos.wait_for_orphans()
        broken, found = chaos.damaged(), contents(copy)
        lost = expected.keys() - found.keys()
        chaos.wrong |= {node.record for node in broken}
        chaos.wrong |= {record for record in found if found[record] != expected[record]}
    counts = {kind.__name__.replace("_", " "): chaos.counts[kind.__name__] for kind in KINDS}
    summary = [
        f"{done} disturbances, {chaos.counts['restarts']} restarts, {len(chaos.wrong)} wrong, {len(lost)} lost "
        f"of {len(expected)} artefacts",
        f"hands: {chaos.counts['unlock']} x snakemake --unlock, {chaos.counts['removed']} damaged artefacts removed",
        ", ".join(f"{name}: {count}" for name, count in counts.items() if count),
        f"seed {args.seed}, log {args.log}",
        *(f"wrong: {record}" for record in sorted(chaos.wrong)),
        *(f"lost: {record}" for record in sorted(lost)),
    ]
    chaos.log("\n".join(summary))
    print("\n".join(summary))
    return 1 if chaos.wrong or lost else 0


if __name__ == "__main__":
    sys.exit(main())
