"""Tables in the terminal and as one tidy table, and verdicts on rebuilt numbers."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fakes import COMPARABLE, HOSTILE, metric, write_record

from t2i_repro.cli import main
from t2i_repro.core.record import Build
from t2i_repro.planning.built import built_tables
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_papers
from t2i_repro.rendering import tables
from t2i_repro.rendering.tidy import DTYPES, NOT_PLANNED, verdict


@pytest.fixture
def rendered(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with SSA-GAN's Table 2 and its scores: ID 1 is worse than ID 0 in IS; ID 2 is not comparable."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    monkeypatch.chdir(tmp_path)
    planner = Planner(Path("."), {"papers": ["ssa-gan"], "scale": "smoke"})
    node = next(node for node in planner.nodes.values() if node.name == "ssa-gan-table2")
    by_folder = {score.folder: score for score in planner.nodes.values()}
    for role, source in node.inputs.items():
        row, column, _ = role.split("/")
        changes = {} if row == "id2" else COMPARABLE
        if column == "is":
            value = metric({"id0": 5.0, "id1": 4.0}.get(row, 3.0), 0.1, **changes)
        else:
            value = metric({"id0": 20.0, "id1": 15.0}.get(row, 30.0), **changes)
        Path(source.path).mkdir(parents=True)
        (Path(source.path) / "metric.json").write_text(json.dumps(value))
        write_record(by_folder[source.path])
    folder = Path(node.folder)
    folder.mkdir(parents=True)
    tables.run(node, folder, Build(node))
    write_record(node)
    return tmp_path


def test_rebuilt_numbers_are_below_the_printed_ones(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "ssa-gan", "2", "--set", "scale=smoke", "--set", "papers=[ssa-gan]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[3:5]] == [
        ["ID", "0:", "DF-GAN", "baseline", "4.86", "±", "0.04", "19.24"],
        ["rebuilt", "5.0", "±", "0.1", "20.00"],
    ]
    (line,) = (line for line in lines if line.startswith("Rebuilt at "))
    assert "smoke" in line
    assert "stand-in data" in line
    assert len({len(line) for line in lines[1:11]}) == 1


SMOKE = ["--set", "scale=smoke", "--set", "papers=[ssa-gan]"]


def test_a_table_shows_scores_before_it_is_rendered(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(rendered / "results/smoke/tables")
    (score,) = (rendered / "results/smoke/metrics").glob("cub-df-gan-s0-*fid*")
    (score / "record.json").unlink()
    assert main(["tables", "ssa-gan", "table2", *SMOKE]) == 0
    assert ["rebuilt", "5.0", "±", "0.1"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_all_results_are_one_tidy_table(rendered: Path) -> None:
    for name in ("csv", "parquet"):
        assert main(["tables", "--format", name, "--out", f"results.{name}", *SMOKE]) == 0
    found = pd.read_parquet("results.parquet")
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == DTYPES
    pd.testing.assert_frame_equal(pd.read_csv("results.csv", dtype=DTYPES), found)  # type: ignore[arg-type]

    assert not found.duplicated(["paper", "table", "row", "column"]).any()
    papers = load_papers(rendered)
    cells = [table for paper in papers.values() for table in paper["tables"].values()]
    assert len(found) == sum(len(table["rows"]) * len(table["columns"]) for table in cells)
    assert found.loc[found["table"] == "table2", "rebuilt"].notna().sum() == 8
    assert found["rebuilt"].notna().sum() == 14  # tables that repeat a system share its scores
    other = found[found["paper"] != "ssa-gan"]
    assert (other["missing"] == NOT_PLANNED).all()
    assert (found["rebuilt"].notna() ^ found["missing"].notna()).all()
    assert (found["printed"].notna() ^ found["blank"].notna()).all()

    by_cell = found[found["paper"] == "ssa-gan"].set_index(["table", "row", "column"])
    better, worse, apart = (by_cell.loc[("table2", row, "is")] for row in ("id0", "id1", "id2"))
    assert better[["printed", "printed_std", "rebuilt", "rebuilt_std", "n"]].tolist() == [4.86, 0.04, 5.0, 0.1, 120]
    assert better[["system", "dataset", "protocol", "metric", "scale"]].tolist() == [
        *("df-gan", "cub", "is:finetuned", "inception-score", "smoke")
    ]
    assert (better["rebuilt_std_is"], better["rebuilt_std_over"]) == ("standard deviation", "10 splits")
    assert better["difference"] == pytest.approx(0.14)
    assert (better["low"], better["high"]) == (4.9, 5.1)
    assert [better["verdict"], worse["verdict"]] == ["differs", "differs"]  # 4.9 to 5.1 against 4.86
    assert not apart["comparable"]
    assert pd.isna(apart["verdict"])
    assert np.isnan(apart["difference"])
    assert "stand-in network" in apart["not_comparable"]
    means = found[found["table"] == "table2"].groupby("metric")["rebuilt"].mean()
    assert means["inception-score"] == pytest.approx((5.0 + 4.0 + 3.0 + 3.0) / 4)


@pytest.mark.parametrize(
    ("printed", "interval", "word"),
    [
        (20.0, (19.0, 19.9), "differs"),
        (20.0, (19.0, 19.996), "agrees"),  # 19.996 rounds to 20.00
        (20.0, (20.004, 21.0), "agrees"),
        (20.0, (20.1, 21.0), "differs"),
        (20.0, (15.0, 25.0), "agrees"),
        (20.0, None, None),
        ({"above": 20.0}, (15.0, 25.0), None),
        (None, (15.0, 25.0), None),
    ],
)
def test_a_printed_value_agrees_with_an_interval_it_rounds_into(
    printed: float | None, interval: tuple[float, float] | None, word: str | None
) -> None:
    value = metric(20.0, **COMPARABLE) | {"seed": 0, "path": "x", "digest": "0"}
    if interval is not None:
        value["uncertainty"] = {"low": interval[0], "high": interval[1], "error": 0.5, "method": "jackknife"}
    assert verdict(tables.cell_content(printed, [value], 2, None, None), 2) == word


def test_the_docs_describe_every_column(project: Path) -> None:
    text = (project / "docs/page.md").read_text(encoding="utf-8").split("## All numbers as one table")[1]
    described = {
        name: dtype
        for names, dtypes in re.findall(r"^\| (`.*?`) \| ([\w, ]+) \|", text, re.M)
        for name, dtype in zip_longest(names.replace("`", "").split(", "), dtypes.split(", "), fillvalue=dtypes)
    }
    assert described == DTYPES


def test_csv_goes_to_standard_output_and_parquet_to_a_file(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "ssa-gan", "2", "--format", "csv", *SMOKE]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out), dtype=DTYPES)  # type: ignore[arg-type]
    assert found["row"].unique().tolist() == ["id0", "id1", "id2", "id3"]
    assert main(["tables", "--format", "parquet", *SMOKE]) == 2
    assert "name a file with --out" in capsys.readouterr().err
    for name in ("text", "csv", "parquet"):
        assert main(["tables", "--format", name, "--out", "nowhere/results", *SMOKE]) == 2
        assert "--out: found 'nowhere/results'; its folder does not exist" in capsys.readouterr().err


def test_printed_numbers_are_there_where_nothing_can_be_planned(
    rendered: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = rendered / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("\nscale: smoke", "\nscale: paper"))
    assert main(["tables", "gr-gan", "--format", "csv", "--out", "results.csv"]) == 0
    found = pd.read_csv("results.csv", dtype=DTYPES)  # type: ignore[arg-type]
    assert found["printed"].notna().any()
    assert (found["missing"] == NOT_PLANNED).all()


def test_claims_are_checked_on_them(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--set", "scale=smoke", "--set", "papers=[ssa-gan]", "--format", "json"]) == 0
    entries = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out) if entry["paper"] == "ssa-gan"}
    assert (entries["ssacn-helps"]["printed"], entries["ssacn-helps"]["rebuilt"]) == ("holds", "fails")
    assert (entries["damsm-helps"]["printed"], entries["damsm-helps"]["rebuilt"]) == ("holds", "cannot tell")
    assert main(["audit", "--set", "scale=smoke", "--set", "papers=[ssa-gan]"]) == 0
    assert "rebuilt: fails: table2.id1.is > table2.id0.is: 4.0 ± 0.1 against 5.0 ± 0.1" in " ".join(
        capsys.readouterr().out.split()
    )


def test_what_cannot_be_planned_is_left_out(
    rendered: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = rendered / "params.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("\nscale: smoke", "\nscale: paper"))
    caplog.set_level("INFO")
    assert built_tables(Path(".")) == {}
    assert "Rebuilt numbers are left out: " in caplog.text
    assert main(["audit", "--set", "scale=paper"]) == 2
    assert "data_root" in capsys.readouterr().err


def test_the_papers_are_listed_with_what_is_built(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers", "--set", "scale=smoke"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "At scale smoke:" in out
    assert "table2 8 of 8 cells can be rebuilt, 8 are Sec. 4.3, Table 2" in out
    assert "table3 12 of 12 cells can be rebuilt, 0 are Sec. 4.3, Table 3" in out
    assert main(["papers", "--set", "scale=paper"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "table2 8 of 8 cells have a system of ours Sec. 4.3, Table 2" in out
    assert "Nothing can be planned: scale 'paper' is for real data" in out


@pytest.mark.parametrize("command", [["plan"], ["papers"], ["tables", "ssa-gan"], ["audit"], ["page"]])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scale", "--set: found 'scale'; expected KEY=VALUE"),
        ("=paper", "expected KEY=VALUE"),
        ("papers=[ssa-gan", "the value cannot be read as YAML"),
        ("scael=paper", "unknown key 'scael'"),
        ("scale=huge", "scale: found 'huge'; allowed: paper, small, smoke"),
    ],
)
def test_every_command_overrides_params_alike(
    rendered: Path, capsys: pytest.CaptureFixture[str], command: list[str], setting: str, message: str
) -> None:
    assert main([*command, "--set", setting]) == 2
    assert message in capsys.readouterr().err


def test_hostile_text_appears_as_it_is_in_the_terminal(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rendered / "papers/ssa-gan.yaml"
    paper = yaml.safe_load(path.read_text(encoding="utf-8"))
    escape = "\x1b[31m\u202e"
    paper["title"] = paper["tables"]["table2"]["caption"] = HOSTILE + escape
    paper["tables"]["table2"]["rows"]["id1"]["label"] = HOSTILE + escape
    paper["claims"]["ssacn-helps"]["says"] = HOSTILE + escape
    path.write_text(yaml.safe_dump(paper, sort_keys=False), encoding="utf-8")
    params = rendered / "params.yaml"  # a small plan
    params.write_text(re.sub(r"^papers: .*$", "papers: [ssa-gan]", params.read_text(encoding="utf-8"), flags=re.M))
    for command, count in ((["tables", "ssa-gan", "2"], 2), (["papers"], 1), (["audit"], 2)):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert not re.search("[\x1b\u202e]", out)
        assert "".join(out.split()).count("".join(HOSTILE.split()) + r"\x1b[31m\u202e") == count, command
    assert main(["audit", "--format", "csv"]) == 0
    said = next(line for line in csv.DictReader(io.StringIO(capsys.readouterr().out)) if line["id"] == "ssacn-helps")
    assert said["says"].startswith(f"'{HOSTILE}")
    assert main(["audit", "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert next(one for one in entries if one["id"] == "ssacn-helps")["says"] == HOSTILE + escape


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_tables_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "tables", "ssa-gan", "2")
    assert text.startswith("Table 2. Ablation of SSACN and DAMSM")
    assert "ID 2: SSACN, DAMSM" in text
    assert "5.07 ± 0.04  15.61" in text
    assert run(capsys, "tables", "ssa-gan").count("Table ") >= 3
    for wrong, message in ((("ssa-gan", "9"), "it has table1"), (("x",), "papers/ has gr-gan")):
        assert main(["tables", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_papers_lists_what_can_be_rebuilt(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    text = run(capsys, "papers")
    for content in load_papers(project).values():
        assert content["title"] in text
    assert re.search(r"table2 +8 of 8 cells can be rebuilt, [0-9]+ are +Sec\. 4\.3, Table 2", text)


def test_a_reader_that_has_enough_is_no_error(project: Path) -> None:
    command = f"{sys.executable} -m t2i_repro reported | head -n 1; echo status ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("paper,table,row,column,value,std\nstatus 0\n", "")
