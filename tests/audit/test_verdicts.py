"""Verdicts on claims, on printed and on rebuilt numbers."""

from typing import Any

import pytest

from t2i_repro.audit.audit import check_claims
from t2i_repro.audit.evidence import printed_evidence, rebuilt_evidence
from t2i_repro.audit.verdicts import Verdict, evaluate
from t2i_repro.registry.claims import parse

COLUMNS = {
    "is": {"label": "IS", "protocol": "is:finetuned", "dataset": "cub", "better": "higher", "digits": 2},
    "fid": {"label": "FID", "protocol": "fid:tf", "dataset": "cub", "better": "lower", "digits": 2},
    "params": {"label": "M", "protocol": "params:test-time", "dataset": "cub", "better": None, "digits": 0},
}


ROWS: dict[str, dict[str, Any]] = {
    "a": {"label": "A", "printed": {"is": [4.0, 0.05], "fid": 24.70, "params": 10}},
    "b": {"label": "B", "printed": {"is": [4.08, 0.04], "fid": 22.58, "params": {"above": 111}}},
    "c": {"label": "C", "printed": {"is": [4.5, 0.1], "fid": 22.58}, "blank": "a dash"},
}


PAPER: dict[str, Any] = {"id": "tiny", "tables": {"table1": {"where": "Sec. 1", "columns": COLUMNS, "rows": ROWS}}}


def printed(check: str) -> Verdict:
    return evaluate(parse(check.replace("@", "table1.")), printed_evidence(PAPER))


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("1 + 2 * 3 = 7", True),
        ("(1 + 2) * 3 = 9", True),
        ("8 - 2 - 1 = 5", True),
        ("8 / 2 / 2 = 2", True),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("1 > 2 or 2 > 1 and 1 > 2", False),
        ("(1 > 2 or 2 > 1) and 2 > 1", True),
        ("not 1 > 2 and 2 > 1", True),
        ("not (2 > 1 or 1 > 2)", False),
        ("2 >= 2 and 2 <= 2", True),
        ("2 > 2", False),
        ("min(3, 1, 2) = 1 and max(3, 1, 2) = 3", True),
        ("-2 < 1 and 1 - 3 = -2", True),
    ],
)
def test_arithmetic_and_logic_bind_as_usual(text: str, truth: bool) -> None:
    assert printed(text).truth is truth


@pytest.mark.parametrize(
    ("check", "word"),
    [
        ("@b.is > @a.is", "holds"),
        ("@a.is > @b.is", "fails"),
        ("@b.fid < @c.fid", "fails"),  # equal in print
        ("@b.fid <= @c.fid", "holds"),
        ("best(@c.is)", "holds"),
        ("best(@b.fid)", "fails"),  # a tie
        ("highest(@a.fid) and lowest(@a.is)", "holds"),
        ("rank(@b.is) = 2 and rank(@b.fid) = 1", "holds"),
        ("rank(@b.is) = 1", "fails"),
        ("within(@a.is, @b.is)", "holds"),
        ("within(@a.is, @c.is)", "fails"),
        ("within(@a.fid, @b.fid)", "cannot tell"),
        ("@c.params > 5", "cannot tell"),
        ("@a.is > 5 and @c.params > 5", "fails"),  # one part decides
        ("@a.is > 3 and @c.params > 5", "cannot tell"),
        ("@a.is > 3 or @c.params > 5", "holds"),
        ("not @c.params > 5", "cannot tell"),
        ("@b.params > @a.params", "holds"),  # > 111 against 10
        ("@b.params > 200", "cannot tell"),
        ("@b.params < 100", "fails"),
        ("best(@a.params)", "cannot tell"),  # no way is better
        ("(@b.is - @a.is) / sd(@b.is) = 2", "holds"),
        ("sd(@a.fid) < 1", "cannot tell"),
        ("@a.is / (@b.fid - @c.fid) > 1", "cannot tell"),  # may be zero
    ],
)
def test_verdicts_on_printed_numbers(check: str, word: str) -> None:
    assert printed(check).word == word


@pytest.mark.parametrize(
    ("stated", "truth"),
    [
        ("-8.58%", True),  # 22.58 / 24.70 - 1 = -0.085830
        ("-8.6%", True),
        ("-9%", True),
        ("-8.55%", True),  # 22.585 / 24.695 - 1 = -0.08544
        ("-8.54%", True),
        ("-8.53%", False),
        ("-8.62%", True),  # 22.575 / 24.705 - 1 = -0.08622
        ("-8.63%", False),
        ("8.58%", False),
    ],
)
def test_a_stated_figure_holds_if_numbers_that_round_to_the_printed_ones_give_it(stated: str, truth: bool) -> None:
    assert printed(f"rel(@b.fid, @a.fid) = {stated}").truth is truth


def test_a_verdict_says_why() -> None:
    assert printed("best(@a.is)").reasons == (
        "best(table1.a.is): 4.00 ± 0.05, but B 4.08 ± 0.04",
        "best(table1.a.is): 4.00 ± 0.05, but C 4.50 ± 0.10",
    )
    assert printed("@a.is > @b.is").reasons == ("table1.a.is > table1.b.is: 4.00 ± 0.05 against 4.08 ± 0.04",)
    assert printed("rel(@b.fid, @a.fid) = 1%").reasons[0].endswith("found −8.583%")
    assert printed("@c.params > 5").reasons == ("C has no printed value: a dash",)
    assert printed("@b.is > @a.is").remarks == ("within ±: table1.b.is > table1.a.is",)
    assert printed("@c.is > @a.is").remarks == ()


def test_a_row_that_says_what_it_measures_is_compared_across() -> None:
    rows = {
        "fid": {"label": "FID", "protocol": "fid:tf", "better": "lower", "printed": {"x": 3, "y": 2}},
        "is": {"label": "IS", "protocol": "is:tf", "better": "higher", "printed": {"x": 4, "y": 1}},
    }
    column = {"protocol": None, "dataset": "cub", "better": None, "digits": 0}
    table = {"columns": {"x": {"label": "X", **column}, "y": {"label": "Y", **column}}, "rows": rows}
    evidence = printed_evidence({"id": "t", "tables": {"table1": table}})
    assert evaluate(parse("best(table1.is.x) and best(table1.fid.y)"), evidence).truth is True
    assert evaluate(parse("best(table1.fid.x)"), evidence).reasons == ("best(table1.fid.x): 3, but Y 2",)


def rendered(**numbers: Any) -> dict[str, Any]:
    """table.json with rebuilt numbers `row_column=(value, ±)`, intervals of the mean over several seeds (± None: of one
    run, without an interval); a third value says why the number is not comparable."""
    rows = []
    for row in ROWS:
        cells = {}
        for column in COLUMNS:
            entry = numbers.get(f"{row}_{column}")
            cell: dict[str, Any] = {"rebuilt": None, "missing": "not run: too dear", "not_comparable": None}
            if entry is not None:
                value, std = entry[:2]
                interval = None if std is None else {"low": value - std, "high": value + std, "of": "9 seeds"}
                known = {"interval": interval, "seeds": 1 if std is None else 9, "exact": False}
                cell["rebuilt"] = {"value": value, "std": std, "text": f"{value} ± {std}", **known}
                cell["not_comparable"] = entry[2] if len(entry) > 2 else None
            cells[column] = cell
        rows.append({"id": row, "cells": cells})
    return {"table1": {"rows": rows}}


@pytest.mark.parametrize(
    ("check", "word", "why"),
    [
        ("@a.is > @b.is", "holds", "5 ± 0.1"),
        ("@b.is > @a.is", "fails", "against"),
        ("@a.is > @c.is", "cannot tell", "apart by less than their uncertainty"),
        ("@a.fid < @b.fid", "holds", ""),
        ("@c.fid < @b.fid", "cannot tell", "not run: too dear"),
        ("@a.params < @b.fid", "cannot tell", "not comparable (smoke scale)"),
        ("best(@a.is)", "cannot tell", "C 4.9 ± 0.2"),
        ("best(@b.is)", "fails", "A 5 ± 0.1"),
        ("rank(@b.is) = 3", "holds", ""),
        ("rank(@a.is) = 1", "cannot tell", "reaches further"),
        ("rank(@a.is) = 3", "fails", "found 1"),
        ("rel(@a.is, @b.is) = 100%", "cannot tell", "uncertainty reaches further"),
        ("rel(@a.is, @b.is) = 10%", "fails", "found 25%"),
        ("@a.fid = 20", "cannot tell", "single runs"),
        ("@a.fid = 10", "holds", ""),
    ],
)
def test_verdicts_on_rebuilt_numbers(check: str, word: str, why: str) -> None:
    numbers = {"a_is": (5, 0.1), "b_is": (4, 0.1), "c_is": (4.9, 0.2), "a_fid": (10, None), "b_fid": (12, None)}
    tables = rendered(**numbers, a_params=(1, None, "not comparable (smoke scale)"))
    if "100%" in check:
        tables = rendered(a_is=(5, 1), b_is=(2.5, 0.5))
    verdict = evaluate(parse(check.replace("@", "table1.")), rebuilt_evidence(PAPER, tables))
    assert (verdict.word, why in " ".join(verdict.reasons)) == (word, True), verdict
    if "fid <" in check and word == "holds":
        assert verdict.remarks == ("single runs: the spread over seeds is unknown",)


def test_a_claim_has_two_verdicts() -> None:
    claim = {"where": "Sec. 2", "says": "B is better.", "check": "table1.b.is >\n  table1.a.is"}
    paper = {**PAPER, "claims": {"better": claim}}
    (alone,) = check_claims(paper, {})
    assert (alone.printed.word, alone.rebuilt.word) == ("holds", "cannot tell")
    assert alone.rebuilt.reasons == ("not rebuilt: the table is not in this report",)
    assert alone.check == "table1.b.is > table1.a.is"
    (both,) = check_claims(paper, rendered(a_is=(5, 0.1), b_is=(4, 0.1)))
    assert (both.printed.word, both.rebuilt.word) == ("holds", "fails")
