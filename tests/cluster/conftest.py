"""A SLURM to run on, and the projects of tests/workflow to run there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm import NoSlurmError, slurm


@pytest.fixture(scope="session")
def slurm_commands() -> Iterator[Path]:
    """Folder with the commands of a SLURM that runs on this machine. Skips where it cannot."""
    try:
        with slurm() as commands:
            yield commands
    except NoSlurmError as error:
        pytest.skip(f"no SLURM: {error}")
