"""The Snakefile and its rules: what they promise, what they say when something is wrong."""

import json
import re
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from project_copy import Copy, finished, rules_of

from t2i_repro.cli import FLOW
from t2i_repro.core.artefact import read_node
from t2i_repro.core.record import building
from t2i_repro.errors import ReproError

PAPERS = [f"papers/{path.name}" for path in sorted((Path(__file__).parents[2] / "papers").glob("*.yaml"))]


def counted(stdout: str) -> dict[str, int]:
    """Jobs by rule in the summary of a dry run."""
    rows = re.findall(r"^(\w+) +(\d+)$", stdout, re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


def test_a_dry_run_with_nothing_present_plans_everything(fresh: Copy) -> None:
    done = fresh.snakemake("-n", "--quiet", "rules")
    assert counted(done.stdout) == rules_of(fresh.plan().values())
    assert not (fresh.folder / "results/journal.jsonl").exists()


def test_a_paper_a_table_and_a_figure_can_be_asked_for_by_name(fresh: Copy) -> None:
    done = fresh.snakemake("ssa-gan-table2", "ssa-gan-fig5", "-n", "--quiet", "rules")
    assert {rule: count for rule, count in counted(done.stdout).items() if rule in ("table", "figure", "report")} == {
        "table": 1,
        "figure": 1,
    }
    expected = rules_of(fresh.plan().values())
    done = fresh.snakemake("ssa-gan", "-n", "--quiet", "rules")
    assert {rule: count for rule, count in counted(done.stdout).items() if rule in ("table", "figure", "report")} == {
        rule: expected[rule] for rule in ("table", "figure")
    }


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("scale=huge", ["scale", "'huge'", "smoke", "paper"]),
        ("sampel={images: 3}", ["sampel", "unknown key", "allowed", "sample"]),
        ("papers=[no-such-paper]", ["papers", "'no-such-paper'", "ssa-gan"]),
        ("sample={images: many}", ["sample.images", "'many'", "integer"]),
        ("damsm={lr: 1e-4}", ["damsm.lr", "1.0e-4"]),
        ("scale=paper", ["data_root", "fetch"]),
    ],
)
def test_a_mistake_on_the_command_line_is_named(fresh: Copy, config: str, told: list[str]) -> None:
    done = fresh.snakemake("-n", "--config", config, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert [text for text in told if text not in said] == []
    assert "Traceback" not in said


def test_nested_values_on_the_command_line_reach_the_plan(fresh: Copy) -> None:
    done = fresh.snakemake("-n", "--quiet", "rules", "--config", "seeds=[0, 1]", "damsm={lr: 1.0e-3}")
    expected = rules_of(fresh.plan(seeds=[0, 1], damsm={"lr": 1.0e-3}).values())
    assert counted(done.stdout) == expected
    assert expected["train"] == 2 * rules_of(fresh.plan().values())["train"]
    written = [json.loads(path.read_text())["spec"] for path in (fresh.folder / "results").rglob("damsm-*.json")]
    assert [spec["lr"] for spec in written] == [1.0e-3]


@pytest.mark.parametrize("file", ["params.yaml", *PAPERS])
def test_snakemake_and_dvc_read_the_same_values(project: Path, file: str) -> None:
    """YAML 1.1 and 1.2: `1e-4`, `off` and `012` are not the same in both."""
    assert yaml.safe_load((project / file).read_text()) == load_yaml(project / file)


def rules(project: Path) -> dict[str, str]:
    texts = [path.read_text() for path in sorted((project / "workflow/rules").glob("*.smk"))]
    return dict(found for text in texts for found in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.M))


def test_every_job_has_a_log_a_benchmark_threads_resources_and_an_environment(project: Path) -> None:
    jobs = {name: body for name, body in rules(project).items() if "shell:" in body}
    assert set(re.findall(r"t2i_repro ([a-z-]+) --spec", "".join(jobs.values()))) == set(FLOW)
    for name, body in jobs.items():
        missing = [part for part in ("log:", "benchmark:", "threads:", "resources:", "conda:") if part not in body]
        assert not missing, name
        assert "mem_mb=" in body, name
        assert "runtime=" in body, name
        assert "> {log} 2>&1" in body, name


def test_the_snakefile_is_short(project: Path) -> None:
    assert len((project / "Snakefile").read_text().splitlines()) < 60


def test_the_report_holds_tables_figures_and_samples(built: Copy) -> None:
    """Offline, with captions that name the scale which the configuration chose."""
    built.snakemake("--report", "report.html")
    page = (built.folder / "report.html").read_text()
    assert {"Tables", "Figures", "Samples"} <= set(re.findall(r'"(Tables|Figures|Samples)"', page))
    for text in (
        "ssa-gan-table2",
        "ssa-gan-fig5",
        "cub-ssa-gan-s0",
        "stand-in data",
        "smoke scale",
        "first of 120 images",
    ):
        assert text in page, text


def test_an_input_that_is_not_what_the_plan_says_is_refused(built: Copy) -> None:
    sample = next(node for node in built.plan().values() if node.kind == "sample")
    record = built.folder / sample.inputs["run"].path / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"digest": "0123456789"}))
    (built.folder / sample.record).unlink()
    done = built.run("python", "-m", "t2i_repro", "sample", "--spec", sample.spec_file, check=False, PYTHONPATH="src")
    assert done.returncode == 2
    for text in (sample.inputs["run"].path, sample.inputs["run"].digest, "0123456789", "snakemake"):
        assert text in done.stderr
    assert not (built.folder / sample.record).exists()


def test_a_leaf_cut_short_does_not_keep_its_old_record(built: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else, with the old parameters back, half of a newer page would pass for the old one."""
    monkeypatch.chdir(built.folder)
    report = next(node for node in built.plan().values() if node.kind == "report")
    older = Path(report.folder) / "record-0123456789.json"
    Path(report.record).rename(older)

    def cut_short() -> None:
        with building(report, Path(report.folder)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert not older.exists()
    assert finished(built.snakemake()) == {"report": 1}


def test_a_spec_file_edited_by_hand_is_refused(built: Copy) -> None:
    node = next(node for node in built.plan().values() if node.kind == "score")
    built.edit(node.spec_file, f'"images": {node.spec["images"]}', '"images": 7')
    with pytest.raises(ReproError, match="edited"):
        read_node(built.folder / node.spec_file)


def test_what_the_user_gives_reaches_the_plan_and_its_jobs(fresh: Copy) -> None:
    """Also where it equals params.yaml, whose value the scale overrides; a file gives way to the command line."""
    (fresh.folder / "mine.yaml").write_text("sample: {images: 30000, seed: 3}\nclassifier: {epochs: 2}\n")
    given = ("--configfile", "mine.yaml", "--config", "sample={seed: 4}")
    fresh.snakemake("--resources", "gpu=8", *given, "--", "ssa-gan-table2")
    over = {"sample": {"images": 30000, "seed": 4}, "classifier": {"epochs": 2}}
    nodes = fresh.plan(**over).values()
    (table,) = (node for node in nodes if node.name == "ssa-gan-table2")
    assert (fresh.folder / table.record).exists()
    built = [node for node in nodes if node.kind == "sample" and (fresh.folder / node.record).exists()]
    assert built
    assert all(node.spec == {"images": 30000, "split": "test", "seed": 4} for node in built)


def test_what_can_have_no_effect_is_refused(fresh: Copy) -> None:
    done = fresh.snakemake("-n", "--config", "itm={epochs: 3}", check=False)
    assert done.returncode == 1
    assert "itm: overridden, but nothing that ssa-gan need at scale smoke reads it" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "near"), [("ssa-gan-tabel2", "ssa-gan-table2"), ("repotr", "report"), ("x", "all, ssa-gan")]
)
def test_a_misspelt_target_is_answered_with_the_nearest_names(fresh: Copy, target: str, near: str) -> None:
    done = fresh.snakemake("-n", target, check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert re.search(rf"{target}: nothing has this name; nearest: .*{near}", said)
    assert "No rule to produce" not in said
    fresh.snakemake("-n", "--quiet", "all", "--", "all", "page", "ssa-gan", "ssa-gan-fig5")


def test_downloads_run_where_snakemake_runs(project: Path) -> None:
    """Compute nodes of a cluster often have no internet."""
    local = {name for name, body in rules(project).items() if "localrule: True" in body}
    assert local == {name for name, body in rules(project).items() if " fetch-asset " in body} == {"fetch"}


def test_a_damaged_record_is_built_again(built: Copy) -> None:
    table = next(node for node in built.plan().values() if node.name == "ssa-gan-table2")
    record = built.folder / table.record
    before = json.loads(record.read_text())["files"]
    cut_short = record.read_text()[:100]
    record.write_text(cut_short)
    dry = built.snakemake("-n")
    assert f"{table.record}: damaged; if it is needed, its artefact is built again" in dry.stdout + dry.stderr
    assert record.read_text() == cut_short  # a dry run changes nothing
    assert finished(built.snakemake("ssa-gan-table2")) == {"table": 1}
    assert json.loads(record.read_text())["files"] == before


@pytest.mark.parametrize(("status", "attempts"), [(76, 1), (75, 3)])
def test_only_what_another_attempt_can_help_is_tried_again(fresh: Copy, status: int, attempts: int) -> None:
    """`retries` are for trainings that ran out of time, not for mistakes."""
    fail = fresh.folder / "results/fail"
    fail.parent.mkdir()
    fail.write_text(f"standin {status}")
    done = fresh.snakemake("--retries", "2", "data", check=False)
    assert done.returncode == 1
    assert [line["verb"] for line in fresh.journal()] == ["failed"] * attempts
    (log,) = (fresh.folder / "results/smoke/logs/standin").iterdir()
    assert "as the test wants it" in log.read_text()

    # A new call is a new first attempt.
    fresh.snakemake("--retries", "2", "data", check=False)
    assert len(fresh.journal()) == 2 * attempts
    fail.unlink()
    fresh.snakemake("data")
    assert not list((fresh.folder / "results").rglob(".failed.json"))
