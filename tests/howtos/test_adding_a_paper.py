"""The walk of docs/adding-a-paper.md, with the paper that it adds."""

import shutil
from pathlib import Path

import pytest

from t2i_repro.audit.audit import Audit, audit
from t2i_repro.cli import main
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_registry

EXAMPLE = "tests/papers/deep-ssa.yaml"


@pytest.fixture
def extended(project: Path, tmp_path: Path) -> Path:
    """The project with one more paper."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    shutil.copy(project / EXAMPLE, tmp_path / "papers")
    return tmp_path


def audited(project: Path) -> Audit:
    registry = load_registry(project)
    return audit(registry.papers, registry.definitions, {})


def test_its_tables_are_planned_and_share_runs(extended: Path) -> None:
    planner = Planner(extended, {"papers": ["deep-ssa"], "scale": "smoke"})
    table1, table2 = (
        next(node for node in planner.nodes.values() if node.name == f"deep-ssa-table{number}") for number in (1, 2)
    )
    assert set(table1.inputs) == {f"{row}/{column}/0" for row in ("attngan", "deep-ssa") for column in ("is", "fid")}
    assert table1.spec["missing"] == {
        f"tiger-gan/{column}": "printed only: no system of ours rebuilds it" for column in ("is", "fid")
    }
    assert table1.inputs["deep-ssa/fid/0"] == table2.inputs["full/fid/0"]
    runs = {node.name for node in planner.nodes.values() if node.kind == "train"}
    assert runs == {"cub-attngan-s0", "cub-deep-ssa-s0", "cub-deep-ssa-no-damsm-s0"}
    (figure,) = (node for node in planner.nodes.values() if node.kind == "figure")
    assert [role for role in figure.inputs if role.startswith("run/")] == ["run/deep-ssa-no-damsm", "run/deep-ssa"]
    report = next(node for node in planner.nodes.values() if node.kind == "report")
    assert report.spec["registry"]["deep-ssa"]["claims"]["best"]["where"] == "Abstract"


def test_its_run_is_not_anothers(extended: Path) -> None:
    planner = Planner(extended, {"papers": ["deep-ssa", "ssa-gan"], "scale": "smoke"})
    runs = {node.name: node for node in planner.nodes.values() if node.kind == "train"}
    assert runs["cub-deep-ssa-s0"].digest != runs["cub-ssa-gan-s0"].digest
    assert runs["cub-deep-ssa-s0"].inputs == runs["cub-ssa-gan-s0"].inputs


def test_it_is_audited_the_day_it_is_added(extended: Path, project: Path) -> None:
    before, after = audited(project), audited(extended)
    words = {claim.id: claim.printed.word for claim in after.claims["deep-ssa"]}
    assert words == {"best": "holds", "fid-gain": "fails", "damsm-matters": "holds"}
    new = [one for one in after.contradictions if one not in before.contradictions]
    assert [(one.kind, one.paper) for one in new] == [("printed-twice", "deep-ssa"), ("claim-fails", "deep-ssa")]
    (attngan,) = (
        one for one in after.disagreements if (one.system, one.dataset, one.metric) == ("attngan", "cub", "fid")
    )
    assert [given.cell.value for given in attngan.prints] == [10.65, 11.20, 14.01, 23.98]


def test_a_change_of_a_claim_moves_the_report_alone(extended: Path) -> None:
    before = Planner(extended)
    path = extended / "papers/deep-ssa.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("= -5%", "= -3.6%"))
    after = Planner(extended)
    assert {node.kind for record, node in after.nodes.items() if record not in before.nodes} == {"report"}
    assert audited(extended).claims["deep-ssa"][1].printed.word == "holds"


def test_it_is_there_for_people(
    extended: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(extended)
    assert main(["tables", "deep-ssa", "1"]) == 0
    assert "TigerGAN" in capsys.readouterr().out
    assert main(["papers"]) == 0
    assert "4 of 6 cells can be rebuilt, 0 are Sec. 4, Table 1" in " ".join(capsys.readouterr().out.split())
