"""`verify` proves a chain of artefacts, and names whatever in it is not what the records say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_project import EvaluationProject, noise
from fakes import LABELS, Project, build, built, node
from raw_data import write_cub

from t2i_repro.cli import main
from t2i_repro.core import store as store_verb
from t2i_repro.core.artefact import Node
from t2i_repro.core.files import hash_files
from t2i_repro.core.record import building
from t2i_repro.data.layout import layouts
from t2i_repro.data.manifest import manifest_digest
from t2i_repro.errors import ReproError
from t2i_repro.metrics import score
from t2i_repro.rendering import tables
from t2i_repro.rendering.rendered import read_table


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A table of one number, computed from images by the real verbs."""
    monkeypatch.chdir(tmp_path)
    world = EvaluationProject()
    features = world.embed(world.sample(noise(12)))
    spec = {"protocol": "is:finetuned", "metric": "inception-score", "splits": 2, "images": 12}
    number = world.node("score", "cub-gan-s0-is", spec, features=features)
    column = {"label": "IS", "protocol": "is:finetuned", "dataset": "cub", "better": "higher", "digits": 2}
    rows = {"id0": {"label": "GAN", "system": "gan", "printed": {"is": 3.0}}}
    about = {"paper": "ssa-gan", "table": "table2", "where": "Table 2", "caption": "A table", "missing": {}, **LABELS}
    table = node("table", "ssa-gan-table2", {**about, "columns": {"is": column}, "rows": rows}, id0__is__0=number)
    for made, verb in ((number, score), (table, tables)):
        with building(made, Path(made.folder)) as work:
            verb.run(made, Path(made.folder), work)
    return table


def verify(*arguments: str) -> int:
    return main(["verify", *arguments])


def test_a_whole_chain_is_proved_and_what_was_proved_is_said(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(chain.folder, "--share", "1") == 0
    said = capsys.readouterr().out
    for line in (
        "7 artefacts: digest as their record",
        "1 tables: rendered again, same bytes",
        "1 metrics: computed again, same values",
        "the plan: digests are compared with the records only",
    ):
        assert line in said
    assert verify(chain.folder, "--share", "0") == 0
    assert "1 of 1 metrics: not computed again" in capsys.readouterr().out
    assert verify(chain.folder, "--only") == 0
    assert "1 artefacts" in capsys.readouterr().out


def test_one_bit_of_any_file_is_found(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    files = [path for path in Path("results").rglob("*") if path.is_file() and path.name != "record.json"]
    assert {path.name for path in files} >= {"pooled.npy", "images.npy", "classifier.pt", "tokens.npy", "metric.json"}
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert verify(chain.folder) == 2, path
        assert str(path) in capsys.readouterr().out
        path.write_bytes(content)
    assert verify(chain.folder) == 0


def rewrite(record: Path, **changes: Any) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


def of(kind: str) -> Path:
    (found,) = Path("results").glob(f"*/{kind}/*/record.json")
    return found


def test_records_that_were_edited_are_found(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    for section in ("features", "samples", "runs", "metrics"):
        record = of(section)
        content = record.read_text()
        for changes in ({"spec": {"images": 10**6}}, {"digest": "0" * 10}, {"revision": 77}, {"kind": "x"}):
            rewrite(record, **changes)
            assert verify(chain.folder) == 2, (section, changes)
            assert str(record) in capsys.readouterr().out
            record.write_text(content)
        record.write_text(content[: len(content) // 2])
        assert verify(chain.folder) == 2
        assert f"{record}: damaged record" in capsys.readouterr().out
        record.write_text(content)


def test_a_number_edited_together_with_its_record_is_found(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    record = of("metrics")
    path = record.parent / "metric.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "value": 1.23}))
    kept = json.loads(record.read_text())
    record.unlink()
    files = hash_files(path.parent)
    record.write_text(json.dumps({**kept, "files": files}))
    assert verify(chain.folder, "--share", "1") == 2
    said = capsys.readouterr().out
    assert "value 1.23" in said
    assert "other content in table.csv" in said
    assert verify(chain.folder, "--share", "0") == 2  # the table too differs from it


def test_a_file_that_no_record_names_is_found(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = of("features").parent / "more.npy"
    np.save(stranger, np.zeros(3))
    assert verify(chain.folder) == 2
    assert str(stranger) in capsys.readouterr().out


def test_what_was_removed_is_said_and_is_no_proof(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    of("samples").unlink()
    assert verify(chain.folder, "--share", "1") == 0
    assert "samples/cub-gan-s0" in capsys.readouterr().out.split("not checked")[1]
    of("features").unlink()
    assert verify(chain.folder, "--share", "1") == 0
    assert "not computed again: results/smoke/features" in capsys.readouterr().out


def test_at_most_twenty_findings_are_printed(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        (of("features").parent / f"{number}.txt").touch()
    assert verify(chain.folder) == 2
    assert capsys.readouterr().out.count("way out") == 20


def test_a_page_and_a_store_are_compared_with_what_they_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Project()
    site = built(made)
    store = node("store", "checkpoints", {}, **{f"train-{run.name}": run for run in made.runs.values()})
    with building(store, Path(store.folder)) as work:
        store_verb.run(store, Path(store.folder), work)
    for folder, line in (
        (str(site), "5 files of the page: copies of their tables"),
        (store.folder, "2 stored artefacts: files as in their own records"),
    ):
        assert verify(folder, "--only") == 0
        assert line in capsys.readouterr().out
    losses = next(Path(store.folder).rglob("losses.csv"))
    content = losses.read_bytes()
    losses.unlink()  # a link to the run's
    losses.write_bytes(content.replace(b"1", b"2"))
    assert verify(store.folder, "--only") == 2
    assert str(losses) in capsys.readouterr().out


def test_raw_data_downloads_and_imports_are_compared_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asset = build(node("asset", "weights", {"sha256": "0" * 64}), lambda folder: (folder / "w.pth").write_text("w"))
    assert verify(asset.folder) == 2
    assert "no file with the planned checksum" in capsys.readouterr().out
    base = write_cub(tmp_path / "birds")
    manifest, count = manifest_digest(layouts()["cub"], base, None, tmp_path / "cache.json")
    here = Node("prepare", "cub-32", "smoke", {"layout": "cub", "manifest": manifest}, {}, {"raw_root": str(base)})
    assert verify(build(here).folder) == 0
    assert f"{count} raw files: manifest as prepared" in capsys.readouterr().out
    picture = next(base.rglob("*.jpg"))
    picture.write_bytes(picture.read_bytes() + b"x")
    assert verify(here.folder) == 2
    assert "raw files with manifest" in capsys.readouterr().out
    raw = Node("prepare", "cub-16", "smoke", {"layout": "cub", "manifest": "0" * 64}, {}, {"raw_root": "elsewhere"})
    assert verify(build(raw).folder) == 0
    assert "its raw data: not at elsewhere" in capsys.readouterr().out
    (tmp_path / "weights.txt").write_text("theirs")
    for kind, path in (("import-run", "."), ("import-samples", "missing.npz")):
        made = Node(kind, "theirs", "smoke", {"checkpoint": "0" * 64, "content": "0" * 64}, {}, {"path": path})
        assert verify(build(made).folder) == 0
        assert "what it was imported from: not at" in capsys.readouterr().out


def test_names_of_the_plan(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(project)
    assert verify("ssa-gan-tabel2", "--set", "scale=smoke") == 2
    assert "nearest: ssa-gan-table2" in capsys.readouterr().err
    assert verify("no/such/folder", "--set", "scale=smoke") == 2
    assert verify("report", "--share", "2") == 2
    assert "expected a number from 0 to 1" in capsys.readouterr().err


def test_an_edited_number_is_not_shown(chain: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Fault 43, of the same size too: neither in a table rendered from it nor on a page with the table."""
    path = of("metrics").parent / "metric.json"
    value = json.loads(path.read_text())["value"]
    path.write_text(path.read_text().replace(f'"value": {value}', '"value": ' + "1.23".ljust(len(str(value)), "0"), 1))
    again = replace(chain, spec={**chain.spec, "caption": "Another"})
    with pytest.raises(ReproError, match=r"metric\.json: SHA-256"), building(again, Path(again.folder)):
        raise AssertionError
    with pytest.raises(ReproError, match=r"metric\.json: SHA-256"):
        tables.table_content(chain)
    table = Path(chain.folder) / "table.json"
    table.write_text(table.read_text().replace('"comparable": false', '"comparable":  true'))
    with pytest.raises(ReproError, match=r"table\.json: SHA-256"):
        read_table(chain.as_input())
