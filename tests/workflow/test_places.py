"""Where a project may lie, and from where Snakemake may be called."""

from pathlib import Path

import pytest
from project_copy import Copy, finished, make_copy

pytestmark = pytest.mark.slow


def test_a_folder_may_have_any_name(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path / "O'Neill's new \"work\" $HOME & co")
    assert finished(copy.snakemake("ssa-gan-fig5"))["figure"] == 1


@pytest.mark.parametrize("name", ["a:b", "{new}"])
def test_a_folder_that_python_or_snakemake_would_misread_is_refused(project: Path, tmp_path: Path, name: str) -> None:
    copy = make_copy(project, tmp_path / name)
    done = copy.snakemake("-n", check=False)
    assert done.returncode == 1
    assert f"{name}/project/src: not a folder of a clone, or with : or braces" in done.stdout + done.stderr


def test_a_folder_with_parameters_and_papers_of_its_own_uses_the_code_of_a_clone(fresh: Copy, tmp_path: Path) -> None:
    study = Copy(tmp_path / "study", fresh.home)
    study.folder.mkdir()
    done = study.snakemake("-s", str(fresh.folder / "Snakefile"), "-n", check=False)
    assert done.returncode == 1
    assert "params.yaml" in done.stdout + done.stderr
    for part in ("params.yaml", "papers"):
        (fresh.folder / part).rename(study.folder / part)
    environment = {"PYTHONPATH": ""}
    done = study.snakemake("-s", str(fresh.folder / "Snakefile"), "ssa-gan-fig5", **environment)
    assert finished(done)["figure"] == 1
    assert list((study.folder / "results/smoke/figures").glob("ssa-gan-fig5-*"))
    assert not (fresh.folder / "results").exists()


def test_another_folder_may_be_the_working_directory(fresh: Copy, tmp_path: Path) -> None:
    elsewhere = Copy(tmp_path, fresh.home)
    snakefile = str(fresh.folder / "Snakefile")
    elsewhere.snakemake("-s", snakefile, "-d", str(fresh.folder), "ssa-gan-fig5")
    assert list((fresh.folder / "results/smoke/figures").glob("ssa-gan-fig5-*"))


def test_a_module_is_used_from_a_clone(fresh: Copy, tmp_path: Path) -> None:
    """Another workflow may take its rules."""
    (fresh.folder / "mine").write_text(
        'module t2i:\n    snakefile: "Snakefile"\n\n\nuse rule * from t2i as t2i_*\n'
        "\n\nrule mine:\n    default_target: True\n    input: rules.t2i_data.input\n"
    )
    assert finished(fresh.snakemake("-s", "mine"))


@pytest.mark.parametrize("linked", ["results", "results/smoke", "results/smoke/store"])
def test_results_that_dvc_would_refuse_are_refused_before_anything_runs(
    fresh: Copy, tmp_path: Path, linked: str
) -> None:
    (tmp_path / "scratch").mkdir()
    (fresh.folder / linked).parent.mkdir(parents=True, exist_ok=True)
    (fresh.folder / linked).symlink_to(tmp_path / "scratch")
    done = fresh.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert f"{linked} is a symbolic link" in done.stdout + done.stderr
    assert not fresh.journal()
