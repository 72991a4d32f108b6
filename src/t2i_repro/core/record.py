"""Building an artefact: check its inputs, run the verb, write `record.json` last."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.files import Mismatch, check_files, hash_files, is_inside, not_as_recorded
from t2i_repro.errors import ReproError, StorageFull

STATE = ".state"  # folder of an artefact from which an interrupted build resumes; the record ends it
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
LARGE = 2**30  # bytes that a job may read before it starts: about a second
RECORDED_LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "pandas", "pillow", "snakemake", "dvc")


@dataclass
class Build:
    """What a verb builds from, and the `facts` that it adds to the record."""

    node: Node
    facts: dict[str, Any] = field(default_factory=dict)

    def input(self, role: str) -> Path:
        """Folder of the input with this role."""
        return Path(self.node.inputs[role].path)


class AlreadyBuilt(Exception):
    """The artefact exists and is complete."""


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Turn a full disk, an exhausted quota or a file size limit into StorageFull, and a refusal of the file system into
    a ReproError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # torch.save hides what its file raised
        if isinstance(cause, OSError) and is_full(cause):
            reason = os.strerror(cause.errno) if cause.errno else str(cause)
            raise StorageFull(
                f"{cause.filename or path}: cannot be written: {reason}. An earlier version of it is intact; "
                f"make room and run it again."
            ) from error
        if isinstance(cause, OSError) and cause.errno in REFUSED:
            raise ReproError(
                f"{cause.filename or path}: {os.strerror(cause.errno)}. Make it accessible, or choose another place."
            ) from error
        raise


def is_full(error: OSError) -> bool:
    """Whether there was no room. NumPy says so without an error number."""
    return error.errno in FULL or (error.errno is None and "requested and" in str(error))


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that is either complete or absent: temporary name, fsync, rename. Raises StorageFull."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with storage(path), temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, keys in their order."""
    with atomic_write(path) as file:
        file.write(as_json(value))


def as_json(value: Any) -> bytes:
    """A JSON file's content. Raises ValueError on NaN or infinity."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a complete artefact (of a leaf: the newest). Raises ReproError if it is absent or damaged."""
    found = sorted(folder.glob("record*.json"))
    if not found:
        raise ReproError(f"{folder}: no record.json: this artefact was never completed. Run `snakemake` to build it.")
    return parse_record(found[-1])


def parse_record(path: Path) -> dict[str, Any]:
    """A record file's content. Raises ReproError when it is damaged (cut short, say, by an interrupted copy), or names
    a file outside the artefact's folder."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        record["digest"]
        outside = [name for name in record.get("files", {}) if not is_inside(name)]
        if outside:
            raise ValueError(f"it names a file outside its folder: {outside[0]!r}")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        problem = "it has no digest" if isinstance(error, KeyError) else str(error)
        raise ReproError(f"{path}: damaged record ({problem}); remove it and run `snakemake` to rebuild it") from error
    return record


def recorded_node(record: dict[str, Any], path: Path) -> Node:
    """The node that a record describes; its digest is computed anew. Raises ReproError when there is none in it."""
    try:
        inputs = {role: Input(**source) for role, source in record["inputs"].items()}
        more = {key: record[key] for key in ("locations", "runtime") if key in record}
        for file in record["files"].values():
            file["size"], file["sha256"]
        return Node(**{key: record[key] for key in ("kind", "name", "scale", "spec")}, inputs=inputs, **more)
    except (KeyError, TypeError, AttributeError) as error:
        raise ReproError(f"{path}: damaged record (describes no artefact: {error!r}); remove it") from error
    except ReproError as error:
        raise ReproError(f"{path}: {error}") from error


def damaged(records: Iterable[Path]) -> list[Path]:
    """Those of the records that are there and damaged."""
    found = []
    for path in records:
        try:
            if path.exists():
                parse_record(path)
        except ReproError:
            found.append(path)
    return found


def set_aside_damaged(records: Iterable[Path]) -> list[Path]:
    """Rename damaged records, so that their artefacts are built again. Returns those that were."""
    found = damaged(records)
    for path in found:
        try:
            os.replace(path, path.with_name(f".{path.name}.damaged"))
        except OSError as error:
            raise ReproError(f"{path}: damaged, and cannot be set aside ({error}); remove it") from error
    return found


def set_back_clocks(records: Iterable[Path]) -> None:
    """Give records from the future (a clock was set back, or they come from another machine) the time of now: Snakemake
    fails a job whose inputs are newer than its output. The time says nothing about a record."""
    now = time.time()
    for path in records:
        with suppress(OSError):  # it is not there, or is somebody else's
            if path.stat().st_mtime > now:
                os.utime(path)


def check_inputs(node: Node) -> None:
    """Raise ReproError, naming the input, when an input is missing, is not the planned one, or has other bytes than its
    record says. Of large files only sizes are compared, which `t2i-repro verify` compares in full; likewise of a leaf's
    inputs: the report reads little of them, and `store` compares what it copies."""
    for role, source in node.inputs.items():
        record = read_record(Path(source.path))
        check_files(Path(source.path), record, largest=-1 if node.is_leaf else LARGE)
        if record["digest"] != source.digest:
            raise ReproError(
                f"{source.path}: {node.kind} {node.name} needs {role} with digest {source.digest}, but its record has "
                f"{record['digest']}. Remove that folder and run `snakemake` to rebuild it."
            )


def read_recorded(folder: Path, name: str) -> bytes:
    """A small file of an artefact. Raises ReproError unless its bytes are those of the record: a number that was edited
    or damaged later must not be shown."""
    record, path = read_record(folder), folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReproError(f"{path}: cannot be read ({error}); remove {folder} and run `snakemake`") from error
    expected = record.get("files", {}).get(name, {}).get("sha256")
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        planned = "none" if expected is None else f"{expected} as in its record"
        raise not_as_recorded(folder, Mismatch(path, f"SHA-256 {found}", planned))
    return content


def break_links(folder: Path) -> None:
    """Replace files that are links, or read-only, by copies. What an interrupted build left may share its bytes with
    DVC's cache, and a training that resumes appends to its logs."""
    for path in list(folder.rglob("*")):
        if path.is_symlink() and not path.exists():
            path.unlink()  # a write through it would create its target
        elif path.is_file() and (path.is_symlink() or path.stat().st_nlink > 1 or not os.access(path, os.W_OK)):
            with path.open("rb") as source, atomic_write(path) as target:
                shutil.copyfileobj(source, target)


def check_out(node: Node, out: Path) -> None:
    """Raise ReproError when building would remove files that are not ours: a leaf replaces all that is in its folder,
    which ``--out`` may have put anywhere."""
    if not node.is_leaf or out.resolve() == Path(node.folder).resolve() or not out.is_dir():
        return
    if any(not path.name.startswith(".") for path in out.iterdir()) and not list(out.glob("record-*.json")):
        raise ReproError(f"{out}: has files and no record of ours, and would be replaced; choose an empty folder")


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Wait until no other process builds in ``out``: a job whose Snakemake was killed goes on, and the next Snakemake
    may start the same job. The kernel releases the lock of a process that ends, however it ends."""
    folder = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.getLogger(__name__).info("%s: another process builds it; waiting for that one to end", out)
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(folder)


@contextmanager
def building(node: Node, out: Path) -> Iterator[Build]:
    """Run the body as the work of a verb, then write the record.

    Raises AlreadyBuilt when `out` is complete, ReproError on missing or wrong inputs.
    """
    record_file = out / Path(node.record).name
    set_aside_damaged([record_file])
    check_not_built(record_file, node)
    check_out(node, out)
    check_inputs(node)
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        check_not_built(record_file, node)  # by the process that was waited for
        # First: a leaf whose build is interrupted must not keep the record of its former content.
        for stale in (*out.glob("record*.json"), *out.glob(".*.partial")):  # .partial: of a process that was killed
            if stale.is_file():
                stale.unlink()
        break_links(out)
        code = code_version()  # as it is now, whatever changes while this runs
        build, started = Build(node), time.monotonic()
        yield build
        write_json(
            record_file,
            {
                **node.to_json(),
                "facts": build.facts,
                "files": hash_files(out),
                "code": code,
                "libraries": libraries(),
                "hardware": hardware(),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "wall_seconds": round(time.monotonic() - started, 2),
                "peak_memory_mb": round(peak_memory_mb()),
            },
        )
        shutil.rmtree(out / STATE, ignore_errors=True)


def check_not_built(record_file: Path, node: Node) -> None:
    """Raise AlreadyBuilt when the record is there."""
    if record_file.is_file() and parse_record(record_file)["digest"] == node.digest:
        raise AlreadyBuilt


@cache
def code_version() -> dict[str, Any]:
    """Git commit of the project, and whether the package differs from it (new files included); None without git."""
    package = Path(__file__).parents[1]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=package, capture_output=True, encoding="utf-8", timeout=20, check=True
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    status = git("status", "--porcelain", "--", ".")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that compute the numbers."""
    found = {"python": platform.python_version()}
    for name in RECORDED_LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Machine, CPUs available to this process and, if torch is loaded, its threads and GPU."""
    found: dict[str, Any] = {"machine": platform.machine(), "cpus": usable_cpus()}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        if torch.cuda.is_initialized():
            found["gpu"] = torch.cuda.get_device_name()
    return found


def usable_cpus() -> int:
    """CPUs this process may run on (a SLURM job or a container has fewer than the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_mb() -> float:
    """Highest resident memory of this process, in MiB."""
    try:
        # ru_maxrss starts from the peak of the parent process.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        unit = 1024 if sys.platform != "darwin" else 1024 * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
