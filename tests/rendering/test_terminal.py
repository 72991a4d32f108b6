"""Tables in the terminal, and verdicts on rebuilt numbers, from rendered tables that are there."""

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import COMPARABLE, HOSTILE, metric

from t2i_repro.cli import main
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.built import built_tables
from t2i_repro.rendering.cells import cell_content


@pytest.fixture
def rendered(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which Table 2 of SSA-GAN is rendered: ID 1 behind ID 0 in IS; ID 2 not comparable."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    monkeypatch.chdir(tmp_path)
    planner = Planner(Path("."), {"papers": ["ssa-gan"], "scale": "smoke"})
    node = next(node for node in planner.nodes.values() if node.name == "ssa-gan-table2")
    rows = []
    for row_id, row in node.spec["rows"].items():
        changes = {} if row_id == "id2" else COMPARABLE
        scores = {
            "is": [metric({"id0": 5.0, "id1": 4.0}.get(row_id, 3.0), 0.1, **changes)],
            "fid": [metric({"id0": 20.0, "id1": 15.0}.get(row_id, 30.0), **changes)],
        }
        place: dict[str, Any] = {"seed": 0, "path": "x", "digest": "0"}
        cells = {
            column: cell_content(row["printed"][column], [{**score, **place} for score in given], 2, None, None)
            for column, given in scores.items()
        }
        rows.append({"id": row_id, "cells": cells})
    folder = Path(node.folder)
    folder.mkdir(parents=True)
    content = {"rows": rows, "scale_label": "smoke scale", "data_label": "stand-in data"}
    (folder / "table.json").write_text(json.dumps(content))
    (folder / "record.json").write_text(json.dumps(node.to_json()))
    return tmp_path


def test_rebuilt_numbers_stand_below_the_printed_ones(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "ssa-gan", "2", "--set", "scale=smoke", "--set", "papers=[ssa-gan]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[3:5]] == [
        ["ID", "0:", "DF-GAN", "baseline", "4.86", "±", "0.04", "19.24"],
        ["rebuilt", "5.0", "±", "0.1", "20.00"],
    ]
    assert "Rebuilt at smoke scale; stand-in data." in lines
    assert len({len(line) for line in lines[1:11]}) == 1


def test_claims_are_judged_on_them(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    told = json.loads(capsys.readouterr().out)
    assert next(one for one in told if one["id"] == "ssacn-helps")["says"] == HOSTILE + escape
