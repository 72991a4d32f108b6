"""The audit: what it finds in two tiny papers, and in the five of the registry."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from t2i_repro.audit.audit import audit
from t2i_repro.audit.contradictions import Contradiction, contradictions, disagreements, metric_of
from t2i_repro.cli import main
from t2i_repro.registry.papers import Registry, load_registry

Papers = dict[str, dict[str, Any]]


def table(where: str, rows: dict[str, tuple[str, dict[str, Any]]], **protocols: str) -> dict[str, Any]:
    """A table on CUB; `rows` give system and printed numbers, `protocols` the columns."""
    columns = {
        name: {"label": name.upper(), "protocol": protocol, "dataset": "cub", "better": better, "digits": 2}
        for (name, protocol), better in zip(protocols.items(), ("higher", "lower"), strict=False)
    }
    content = {row: {"label": row.upper(), "system": system, "printed": given} for row, (system, given) in rows.items()}
    return {"where": where, "caption": "", "columns": columns, "rows": content}


def paper(name: str, tables: dict[str, Any], claims: dict[str, str]) -> dict[str, Any]:
    sentences = {key: {"where": "Sec. 9", "says": key, "check": check} for key, check in claims.items()}
    return {"id": name, "title": name, "tables": tables, "claims": sentences}


@pytest.fixture
def tiny() -> Papers:
    """Two papers. In `one`, Table 1 prints another FID of `best` than Table 2, as a mixture of its rows, and one claim
    fails; `two` has another FID of `old`, measured otherwise, and an IS that differs by less than 5%."""
    metrics = {"is": "is:finetuned", "fid": "fid:tf"}
    ablation: dict[str, tuple[str, dict[str, Any]]] = {
        "x": ("plain", {"is": 4.0, "fid": 15.0}),
        "y": ("best", {"is": [5.0, 0.1], "fid": 16.0}),
    }
    main_table: dict[str, tuple[str, dict[str, Any]]] = {
        "old": ("old", {"is": 4.0, "fid": 20.0}),
        "ours": ("best", {"is": [5.0, 0.1], "fid": 15.0}),
    }
    one = {"table1": table("Table 1", main_table, **metrics), "table2": table("Table 2", ablation, **metrics)}
    two = {"table1": table("Table 1", {"old": ("old", {"is": 4.1, "fid": 25.0})}, **{**metrics, "fid": "fid:torch"})}
    claims = {"good": "best(table1.ours.is)", "bad": "table2.y.fid < table2.x.fid"}
    return {"one": paper("one", one, claims), "two": paper("two", two, {})}


def kinds(found: list[Contradiction]) -> list[tuple[str, str]]:
    return [(one.kind, one.paper) for one in found]


def test_it_finds_what_is_there_and_nothing_else(tiny: Papers) -> None:
    found = audit(tiny, {}, {})
    assert kinds(found.contradictions) == [("printed-twice", "one"), ("mixed-row", "one"), ("claim-fails", "one")]
    twice, mixed, fails = found.contradictions
    assert twice.says == "One configuration is printed with 15.00 and 16.00."
    assert twice.places == ("Table 1, OURS, FID", "Table 2, Y, FID")
    assert mixed.says == "No run of the paper has both: 5.00 ± 0.10 is that of row 'Y'; 15.00 is that of row 'X'."
    assert fails.says == "“bad” table2.y.fid < table2.x.fid: 16.00 against 15.00."
    assert [(one.title, round(one.spread, 3)) for one in found.compared] == [
        ("OLD, CUB, FID", 0.25),
        ("OLD, CUB, IS", 0.025),
    ]
    assert [one.title for one in found.disagreements] == ["OLD, CUB, FID"]
    assert [claim.printed.word for claim in found.claims["one"]] == ["holds", "fails"]


def test_papers_that_agree_have_nothing_to_find(tiny: Papers) -> None:
    for name in ("table1", "table2"):
        tiny["one"]["tables"][name]["rows"]["ours" if name == "table1" else "y"]["printed"]["fid"] = 14.0
    tiny["two"]["tables"]["table1"]["rows"]["old"]["printed"] = {"is": 4.0, "fid": 20.0}
    found = audit(tiny, {}, {})
    assert (found.contradictions, found.compared) == ([], [])
    assert [claim.printed.word for claim in found.claims["one"]] == ["holds", "holds"]


def test_a_paper_alone_is_asked_for(tiny: Papers) -> None:
    found = audit(tiny, {}, {}).of("two")
    assert (list(found.claims), found.contradictions) == (["two"], [])
    assert len(found.compared) == 2


def test_longer_training_that_is_worse() -> None:
    """Only where nothing but the number of epochs differs."""
    registry = load_registry(Path("."))
    papers = {name: content for name, content in registry.papers.items() if name != "msmt-gan"}
    longer: dict[str, Any] = {"base": "ssa-gan", "train": {"epochs": {"cub": 700}}}
    definitions = {**registry.definitions, "a test": {"ssa-gan-longer": longer}}
    rows = papers["ssa-gan"]["tables"]["table2"]["rows"]
    rows["late"] = {"label": "Late", "system": "ssa-gan-longer", "printed": {"is": 5.01, "fid": 15.0}}
    found = [one for one in contradictions(papers, definitions) if one.kind == "longer-is-worse"]
    assert [one.title for one in found] == ["ssa-gan-longer: is on CUB gets worse with longer training"]
    assert found[0].says == "5.07 ± 0.04 after 600 epochs, 5.01 after 700."
    longer["masks"] = 9
    assert not [one for one in contradictions(papers, definitions) if one.kind == "longer-is-worse"]


@pytest.mark.parametrize(
    ("protocol", "metric"),
    [
        ("fid:tf", "fid"),
        ("fid:torchvision-legacy", "fid"),
        ("fid:tf-64px", "fid 64px"),
        ("vs-similarity", "vs-similarity"),
        ("ms-ssim:pairs", "ms-ssim:pairs"),
        ("params:test-time", "params:test-time"),
    ],
)
def test_a_metric_is_the_same_for_every_feature_extractor(protocol: str, metric: str) -> None:
    assert metric_of(protocol) == metric


# What a reader of the five papers finds: paper, and words of the title.
KNOWN = [
    ("gr-gan", "dm-gan-itm: two values of ITDIS"),
    ("gr-gan", "dm-gan-itm: two values of CMD"),
    ("gr-gan", "grg-improves-consistency"),
    ("gr-gan", "order-at-every-layer"),
    ("hdgan", "outperforms-others"),
    ("hdgan", "gain-30"),
    ("hdgan", "gain-8"),
    ("hdgan", "local-image-loss-with"),
    ("icsd-gan", "highest-is-lowest-fid"),
    ("icsd-gan", "first-loss-alone"),
    ("icsd-gan", "second-loss-alone-is"),
    ("icsd-gan", "second-loss-alone-fid"),
    ("icsd-gan", "full-over-variants"),
    ("msmt-gan", "mtwig-r-precision"),
    ("msmt-gan", "kernel-size-3-of-all"),
    ("msmt-gan", "r-precision on CUB gets worse with longer training"),
    ("ssa-gan", "SSA-GAN: one row out of several"),
    ("ssa-gan", "two values of FID"),
]

DISAGREEMENTS = {
    ("attngan", "cub", "fid"): (10.65, 14.01, 23.98),
    ("df-gan", "cub", "fid"): (13.48, 19.24),
    ("dm-gan", "cub", "fid"): (11.91, 16.09),
    ("dm-gan", "coco", "fid"): (24.24, 27.42, 32.64),
    ("attngan", "coco", "fid"): (29.53, 34.90, 35.49),
    ("df-gan", "coco", "fid"): (28.92, 33.29),
    ("attngan", "coco", "is"): (23.61, 25.89),
    ("stackgan-plus-plus", "cub", "is"): (3.84, 4.04, 4.04),
}


@pytest.fixture(scope="module")
def registry(project: Path) -> Registry:
    return load_registry(project)


@pytest.fixture(scope="module")
def papers(registry: Registry) -> Papers:
    five = ("gr-gan", "hdgan", "icsd-gan", "msmt-gan", "ssa-gan")
    return {name: content for name, content in registry.papers.items() if name in five}


def test_the_five_papers_contradictions(papers: Papers, registry: Registry) -> None:
    found = audit(papers, registry.definitions, {}).contradictions
    for name, words in KNOWN:
        assert any(one.paper == name and words in one.title for one in found), (name, words)
    assert len(found) == len(KNOWN) + 1  # ICSD-GAN says twice that it is ahead of all
    assert all(one.places for one in found)


def test_the_five_papers_disagreements(papers: Papers) -> None:
    found = disagreements(papers, more_than=0.05)
    read = {(one.system, one.dataset, one.metric): tuple(given.cell.value for given in one.prints) for one in found}
    assert read == DISAGREEMENTS


def test_every_paper_has_claims_with_their_place(papers: Papers) -> None:
    found = audit(papers, {}, {})
    assert sum(map(len, found.claims.values())) >= 40
    assert all(len(claims) >= 8 for claims in found.claims.values())
    words = [claim.printed.word for claims in found.claims.values() for claim in claims]
    assert (words.count("fails"), words.count("cannot tell")) == (14, 2)
    for claims in found.claims.values():
        for claim in claims:
            assert claim.where.startswith(("Sec.", "Abstract")), claim.id


def test_quoted_claims_stand_in_the_papers_text(shared: Path, papers: Papers) -> None:
    """Every piece of a claim between [brackets], but for words and signs that the papers' text lost."""

    def plain(text: str) -> str:
        return re.sub(r"[^a-z]", "", text.lower())

    lost = []
    for name, content in papers.items():
        text = plain((shared / f"papers/{name}.txt").read_text(encoding="utf-8"))
        for claim_id, claim in content["claims"].items():
            pieces = [plain(piece) for piece in re.split(r"\[[^]]*\]", claim["says"])]
            if not all(piece in text for piece in pieces):
                lost.append(f"{name} {claim_id}")
    assert lost == []


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_audit_prints_claims_contradictions_and_disagreements(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "audit")
    assert re.search(r"\n[0-9]+ contradictions inside papers", text)
    assert re.search(r"\n[0-9]+ disagreements between papers of more than 5%", text)
    assert "125.2%  AttnGAN, CUB, FID: 10.65 (icsd-gan), 14.01 (msmt-gan), 23.98 (ssa-gan)" in text
    alone = run(capsys, "audit", "--paper", "hdgan")
    assert "StackGAN++" in alone
    assert "dm-gan" not in alone.lower().replace("msmt-gan", "")
    assert main(["audit", "--paper", "hd-gan"]) == 2
    assert "found 'hd-gan'; papers/ has gr-gan, hdgan" in capsys.readouterr().err


def test_audit_for_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(csv.DictReader(io.StringIO(run(capsys, "audit", "--format", "csv"))))
    entries = json.loads(run(capsys, "audit", "--format", "json"))
    assert len(lines) == len(entries)
    assert [line["id"] for line in lines] == [entry["id"] for entry in entries]
    (claim,) = (entry for entry in entries if entry["id"] == "fid-over-dm-gan" and entry["kind"] == "claim")
    assert (claim["printed"], claim["where"]) == ("holds", "Sec. 4.2")
    assert not [line for line in lines for value in line.values() if value.startswith(("=", "+", "-", "@"))]
