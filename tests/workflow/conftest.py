"""Projects to try the workflow on: copies whose verbs are fakes (project_copy.py)."""

from pathlib import Path

import pytest
from project_copy import Copy, Done, make_copy


@pytest.fixture
def fresh(project: Path, tmp_path: Path) -> Copy:
    """A project in which nothing was built."""
    return make_copy(project, tmp_path)


@pytest.fixture(scope="session")
def built_once(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A project in which `snakemake` built everything. Not to be changed: take `built`."""
    copy = make_copy(project, tmp_path_factory.mktemp("built"))
    copy.fast()
    return copy


@pytest.fixture
def built(built_once: Copy, tmp_path: Path) -> Copy:
    """A project in which `snakemake` built everything."""
    return built_once.again(tmp_path / "built")


@pytest.fixture(scope="session")
def reproduced_once(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, Done]:
    """A project in which `dvc repro` built everything, and what it said. Not to be changed: take `reproduced`."""
    copy = make_copy(project, tmp_path_factory.mktemp("reproduced"))
    done = copy.run("dvc", "repro")
    copy.run("git", "add", ".")
    copy.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "all")
    return copy, done


@pytest.fixture
def reproduced(reproduced_once: tuple[Copy, Done], tmp_path: Path) -> Copy:
    """A project in which `dvc repro` built everything; committed, dvc.lock too."""
    return reproduced_once[0].again(tmp_path / "reproduced")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder run Snakemake or DVC on a copy of the project: none of them is quick."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)
