"""Fixtures for every test."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

# Idle OpenMP threads that spin would triple the CPU time on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with golden numbers of the authors' networks and real images (tests/README.md). Skips where absent."""
    folder = Path(os.environ.get("T2I_REPRO_SHARED", PROJECT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no golden data at {folder}; set T2I_REPRO_SHARED")
    return folder


PAGES = Path("/proc/self/smaps_rollup")
WATCH = f"""
import re, threading
def anonymous():
    return int(re.search(r"Anonymous:\\s+(\\d+)", open("{PAGES}").read())[1]) / 1024
def watch():
    while not ended.wait(0.02):
        found.append(anonymous())
found, ended = [], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
try:
    exec(PROGRAM)
finally:
    found.append(anonymous())
    ended.set()
watcher.join()
print(max(found))
"""


@pytest.fixture
def peak_memory() -> Callable[..., float]:
    """``peak_memory(program, *arguments)``: highest anonymous memory in MiB of a Python process of its own.

    Anonymous pages are those a process has written itself. Resident memory would count pages of mapped files too, which
    are the kernel's to drop; and `VmHWM` is off by megabytes per CPU, for the kernel adds its counters up lazily.
    """
    if not PAGES.exists():
        pytest.skip(f"needs {PAGES}")

    def measured(program: str, *arguments: str) -> float:
        # One arena: which thread's arena an allocation lands in is chance.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        given = [sys.executable, "-c", f"PROGRAM = {program!r}\n{WATCH}", *arguments]
        done = subprocess.run(given, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return float(done.stdout.split()[-1])

    return measured
