"""The language of claims."""

import re
from pathlib import Path

import pytest
import yaml

from t2i_repro.errors import ReproError
from t2i_repro.registry.claims import Arithmetic, Call, CellRef, Logic, Number, Relation, cells_of, parse
from t2i_repro.registry.papers import load_papers


def test_a_condition_becomes_a_tree() -> None:
    found = parse("not table1.a-b.is > 2 * table2b.c.fid and rel(table1.a-b.is, table1.c.is) = -8.58%")
    assert isinstance(found, Logic)
    assert found.word == "and"
    negated, equal = found.parts
    assert isinstance(negated, Logic)
    (greater,) = negated.parts
    assert isinstance(greater, Relation)
    assert greater.left == CellRef("table1", "a-b", "is")
    assert isinstance(greater.right, Arithmetic)
    assert isinstance(equal, Relation)
    assert isinstance(equal.left, Call)
    assert isinstance(equal.right, Number)
    assert (equal.right.value, equal.right.half) == (pytest.approx(-0.0858), pytest.approx(0.00005))
    assert equal.source == "rel(table1.a-b.is, table1.c.is) = -8.58%"
    assert [cell.row for cell in cells_of(found)] == ["a-b", "c", "a-b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 'the end'"),
        ("table1.a.is", "expected a condition"),
        ("table1.a.is > ", "character 15: found 'the end'"),
        ("table1.a > 2", "character 1: found 'table1.a'"),
        ("table1.a.is.x > 2", "character 1"),
        ("table1.a.is > 2 3", "character 17: found '3'"),
        ("(1 > 2", "expected ')'"),
        ("1 > 2 > (1 > 2)", "expected a number"),
        ("(1 > 2) + 1 > 2", "expected a number"),
        ("not 3", "expected a condition"),
        ("best(3)", "expected a cell, as argument of best"),
        ("best(table1.a.is, table1.b.is)", "expected 1 argument"),
        ("rel(table1.a.is) = 1", "expected 2 argument"),
        ("max() > 1", "found ')'"),
        ("eval(table1.a.is)", "found 'eval'"),
        ("__import__('os')", "found"),
        ("1 > 2; 3", "found"),
        ("table1.a.is > 1e3", "character 15"),
        ("1 == 1", "found '='"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ReproError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"check": "table2.id9.is > 1"}, "claims.new.check: found table2.id9.is, with 'id9'; allowed: id0"),
        ({"check": "table9.id0.is > 1"}, "with 'table9'; allowed: table1"),
        ({"check": "table2.id0.psnr > 1"}, "with 'psnr'; allowed: is, fid"),
        ({"check": "table2.id0.is >"}, "claims.new.check: 'table2.id0.is >', character 16: found 'the end'"),
        ({"chekc": "1 > 2"}, "claims.new: unknown key 'chekc'"),
        ({"where": ""}, "claims.new.where"),
    ],
)
def test_a_wrong_claim_is_refused(project: Path, tmp_path: Path, claim: dict[str, str], message: str) -> None:
    paper = yaml.safe_load((project / "papers/ssa-gan.yaml").read_text(encoding="utf-8"))
    paper["claims"] = {"new": {"where": "Sec. 1", "says": "x", "check": "1 < 2", **claim}}
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/ssa-gan.yaml").write_text(yaml.safe_dump(paper, sort_keys=False))
    with pytest.raises(ReproError, match=re.escape(message)) as caught:
        load_papers(tmp_path)
    assert "ssa-gan.yaml" in str(caught.value)
