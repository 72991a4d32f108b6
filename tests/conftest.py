"""Fixtures for every test."""

import os
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
