"""workflow/envs: the versions of the lock file, everything that the code imports, and honoured by --use-conda."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from project_copy import Copy

from t2i_repro.core.artefact import KINDS
from t2i_repro.rendering.figures import KINDS as FIGURES

NAMES = {"PIL": "pillow", "yaml": "pyyaml", "torch_fidelity": "torch-fidelity", "open_clip": "open-clip-torch"}
# A dependency of jsonschema.
NOT_PINNED = {"referencing"}


def pins(file: Path) -> dict[str, str]:
    dependencies = yaml.safe_load(file.read_text())["dependencies"]
    (listed,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return dict(entry.split("==") for entry in listed)


@pytest.mark.parametrize("name", ["base", "torch"])
def test_pins_are_those_of_the_lock_file(project: Path, name: str) -> None:
    # Of two versions in the lock file, the first is for the environments' Python 3.11.
    locked: dict[str, str] = {}
    for package, version in re.findall(
        r"^([a-z0-9.-]+)==([^ ;\\]+)", (project / "requirements.lock").read_text(), re.M
    ):
        locked.setdefault(package, version)
    environment = project / f"workflow/envs/{name}.yaml"
    assert "python=3.11" in yaml.safe_load(environment.read_text())["dependencies"]
    assert {package: locked.get(package) for package in pins(environment)} == pins(environment)


def imported(module: str, source: Path, seen: set[str]) -> set[str]:
    """Third-party packages that a module of the package imports, directly or through its own modules."""
    path = source.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if module in seen or not path.exists():
        return set()
    seen.add(module)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith("t2i_repro"):
                found |= imported(name, source, seen)
            elif name.partition(".")[0] not in sys.stdlib_module_names:
                found.add(name.partition(".")[0])
    return found


def rules(project: Path) -> list[tuple[str, str, str]]:
    """(rule, environment, verb) of every rule that runs a verb."""
    pattern = r"^rule (\w+):.*?envs/(\w+)\.yaml.*?t2i_repro ([a-z-]+) --spec"
    texts = [path.read_text() for path in sorted((project / "workflow/rules").glob("*.smk"))]
    return [found for text in texts for found in re.findall(pattern, text, re.M | re.S)]


def test_an_environment_has_what_its_verbs_import(project: Path) -> None:
    found = rules(project)
    assert {verb for _, _, verb in found} == {kind.verb for kind in KINDS.values()}
    for rule, environment, verb in found:
        # Rules that share a verb are called after the kind that they build.
        kinds = [KINDS[rule]] if rule in KINDS else [kind for kind in KINDS.values() if kind.verb == verb]
        modules = {"t2i_repro.cli", *(kind.module for kind in kinds)}
        if rule == "figure":
            modules |= {reference.partition(":")[0] for reference in FIGURES.values()}
        needed = set().union(*(imported(module, project / "src", set()) for module in modules))
        names = {NAMES.get(name, name) for name in needed} - NOT_PINNED
        assert names <= set(pins(project / f"workflow/envs/{environment}.yaml")), f"rule {rule}"


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """A folder with the test double of conda. Its file `calls` lists what it was asked."""
    home = tmp_path / "conda"
    (home / "bin").mkdir(parents=True)
    double = Path(__file__).parents[1] / "helpers/conda_double.py"
    (home / "bin/conda").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{double}" "{home}" "$@"\n')
    (home / "bin/conda").chmod(0o755)
    (home / "bin/activate").write_text('export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n')
    return home


def test_use_conda_creates_each_environment_once_and_runs_the_jobs_in_it(fresh: Copy, conda: Path) -> None:
    path = fresh.path(conda / "bin")
    fresh.snakemake("--use-conda", "data", PATH=path)
    fresh.snakemake("--use-conda", "encoders", PATH=path)
    created = [call for call in (conda / "calls").read_text().splitlines() if call.startswith("env create")]
    assert len(created) == 2
    prefixes = {line["verb"]: line["prefix"] for line in fresh.journal()}
    assert prefixes["prepare"] == prefixes["standin"] != prefixes["pretrain"]
    assert {str(Path(prefix).parent) for prefix in prefixes.values()} == {str(fresh.folder / ".snakemake/conda")}


def test_use_conda_or_another_environment_file_rebuilds_nothing(built: Copy, conda: Path) -> None:
    before = built.journal()
    path = built.path(conda / "bin")
    built.snakemake("--use-conda", PATH=path)
    environment = built.folder / "workflow/envs/torch.yaml"
    environment.write_text(environment.read_text() + "# a remark\n")
    built.snakemake("--use-conda", PATH=path)
    built.snakemake()
    assert built.journal() == before


def test_the_container_has_the_versions_of_the_lock_file(project: Path) -> None:
    recipe = (project / "workflow/container.def").read_text()
    python = yaml.safe_load((project / "workflow/envs/base.yaml").read_text())["dependencies"][0].removeprefix(
        "python="
    )
    assert f"From: python:{python}" in recipe
    assert "requirements.lock /opt/requirements.lock" in recipe
    assert "--require-hashes --requirement /opt/requirements.lock" in recipe


def test_jobs_run_in_the_container(fresh: Copy, tmp_path: Path) -> None:
    """With a stand-in for Apptainer, which notes the image and runs the command without it."""
    double = tmp_path / "bin/apptainer"
    double.parent.mkdir()
    double.write_text(
        """#!/bin/sh
case "$1" in --version) echo "apptainer version 1.3.0"; exit;; esac
while [ "${1%.sif}" = "$1" ]; do shift; done
echo "$1" >> "$(dirname "$0")/images"; shift; exec "$@"
"""
    )
    double.chmod(0o755)
    (fresh.folder / "t2i-repro.sif").touch()
    fresh.snakemake("--sdm", "apptainer", "--", "data", PATH=fresh.path(double.parent))
    images = (double.parent / "images").read_text().split()
    assert set(images) == {"t2i-repro.sif"}  # in the working directory
    assert len(images) == len(fresh.journal()) + 1  # the store notes nothing
