"""Uncertainty of a cell over seeds and samples, its digits, and verdicts that use it. Cases computed by hand, and two
properties."""

import random
from pathlib import Path
from typing import Any

import pytest

from t2i_repro.audit.evidence import Evidence, Measured, rebuilt
from t2i_repro.audit.verdicts import evaluate
from t2i_repro.metrics.quantiles import normal_quantile, student_quantile
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.claims import CellRef, parse
from t2i_repro.rendering.spread import format_value, known_digits, spread_of
from t2i_repro.rendering.tables import cell_content, mark_best


def score(value: float, **changes: Any) -> dict[str, Any]:
    place = {"seed": 0, "path": "x", "digest": "0", "run": None}
    kept = {"protocol": "fid:tf", "network": "n", "n": 9, "standin": False, "comparable": True, "obstacles": []}
    return {
        "metric": "frechet-distance",
        "value": value,
        "std": None,
        "details": {},
        "caveats": [],
        **kept,
        **place,
        **changes,
    }


def sampled(value: float, error: float, **changes: Any) -> dict[str, Any]:
    interval = {"low": value - 2 * error, "high": value + 2 * error, "error": error, "method": "jackknife"}
    return score(value, uncertainty=interval, **changes)


@pytest.mark.parametrize(
    ("uncertainty", "digits"),
    [
        (0.3, 1),
        (0.34, 1),
        (0.03, 2),
        (0.003, 2),  # print has two
        (0.097, 1),  # is 0.1
        (0.95, 1),
        (0.96, 0),  # is 1
        (1.0, 0),
        (3.4, 0),
        (12.0, -1),
        (240.0, -2),
        (0.0, 2),
        (None, 2),
        (float("nan"), 2),
    ],
)
def test_digits_go_down_to_the_first_figure_of_the_uncertainty(uncertainty: float | None, digits: int) -> None:
    assert known_digits(uncertainty, 2) == digits


def test_numbers_are_written_to_their_digits() -> None:
    assert format_value(22.5817, 0.3, 1) == "22.6 ± 0.3"
    assert format_value(1234.0, 47.0, -1) == "1230 ± 50"
    assert format_value(-0.004, None, 2) == "0.00"
    assert format_value(-3.14, None, 1) == "−3.1"


def test_quantiles_are_those_of_the_tables() -> None:
    assert normal_quantile(0.95) == pytest.approx(1.95996, abs=1e-5)
    for freedom, printed in ((1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (19, 2.093), (120, 1.980)):
        assert student_quantile(0.95, freedom) == pytest.approx(printed, rel=3e-3)
    assert student_quantile(0.95, 3) == pytest.approx(3.182, rel=8e-3)


def test_seeds_give_mean_deviation_number_and_the_interval_of_their_mean() -> None:
    """20.0, 21.0, 22.0: mean 21, sample deviation 1, 95% interval 21 ± 4.303 / sqrt(3). Sampling apart:
    sqrt(0.3^2 + 0.4^2 + 1.2^2) / 3 = 1.3 / 3."""
    found = spread_of([sampled(20.0, 0.3), sampled(21.0, 0.4), sampled(22.0, 1.2)])
    assert (found.value, found.std, found.std_is, found.std_over) == (21.0, 1.0, "standard deviation", "3 seeds")
    assert found.interval is not None
    assert found.interval["low"] == pytest.approx(21 - 2.4843, abs=1e-3)
    assert found.interval["high"] == pytest.approx(21 + 2.4843, abs=1e-3)
    assert found.sampling == {"error": pytest.approx(1.3 / 3), "method": "jackknife"}


def test_every_run_is_planned_once_per_seed(project: Path) -> None:
    planner = Planner(project, {"seeds": [3, 1, 2]})
    table = planner.table("ssa-gan", "table2")
    assert {role.rpartition("/")[2] for role in table.inputs} == {"1", "2", "3"}
    runs = {node.name: node.spec["seed"] for node in planner.nodes.values() if node.kind == "train"}
    assert {seed: f"cub-ssa-gan-s{seed}" in runs for seed in (1, 2, 3)} == {1: True, 2: True, 3: True}
    assert len(runs) == 3 * len({name.rpartition("-s")[0] for name in runs})


def test_one_run_knows_its_sample_alone() -> None:
    found = spread_of([sampled(22.58, 0.25)])
    assert (found.std, found.std_is, found.std_over) == (0.25, "standard error", "samples")
    assert found.interval == {"low": 22.08, "high": 23.08, "of": "samples"}
    assert spread_of([score(22.58)]).interval is None


def test_splits_stand_behind_the_number_as_in_print_and_samples_decide_on_digits() -> None:
    """± 0.09 over ten splits, of which the mean knows three times as much: two decimals, not one."""
    found = spread_of([sampled(4.97, 0.03, std=0.12, metric="inception-score", details={"splits": 10})])
    assert (found.std, found.std_over) == (0.12, "10 splits")
    assert found.interval == {"low": pytest.approx(4.91), "high": pytest.approx(5.03), "of": "samples"}
    cell = cell_content(None, [sampled(4.97, 0.03, std=0.12, details={"splits": 10})], 2, "x", None)
    assert cell["rebuilt"]["text"] == "4.97 ± 0.12"


def test_counts_are_exact() -> None:
    found = spread_of([score(48.11, metric="parameters")] * 3)
    assert (found.std, found.exact, found.digits_by) == (None, True, None)
    assert found.interval == {"low": 48.11, "high": 48.11, "of": "counted"}


def test_a_cell_says_how_many_seeds_and_rounds_its_difference() -> None:
    cell = cell_content(20.0, [score(value, seed=seed) for seed, value in enumerate((21.2, 21.6, 22.0))], 2, None, None)
    assert cell["rebuilt"]["text"] == "21.6 ± 0.4"
    assert cell["rebuilt"]["label"] == "fid:tf, N = 9, 3 seeds"
    assert (cell["rebuilt"]["seeds"], cell["rebuilt"]["digits"]) == (3, 1)
    assert cell["difference"]["text"] == "+1.6"


def test_numbers_that_look_alike_share_the_mark_of_the_best() -> None:
    shown: list[dict[str, Any]] = [{"value": value, "digits": 1, "label": ""} for value in (5.01, 5.04, 4.9)]
    mark_best([{"printed": None, "rebuilt": one} for one in shown], "higher", 2)
    assert [one["best"] for one in shown] == [True, True, False]


COLUMN = {"label": "FID", "protocol": "fid:tf", "dataset": "cub", "better": "lower", "digits": 2}
ROWS = {name: {"label": name, "printed": {"fid": 0}} for name in "abc"}
PAPER: dict[str, Any] = {"tables": {"table1": {"columns": {"fid": COLUMN}, "rows": ROWS}}}


def evidence(**cells: list[dict[str, Any]]) -> Evidence:
    found = {
        CellRef("table1", name, "fid"): rebuilt(cell_content(None, cells.get(name, []), 2, "blank", None))
        for name in "abc"
    }
    return Evidence(PAPER, False, found)


@pytest.mark.parametrize(
    ("first", "second", "word", "remark"),
    [
        # one run each: 95% intervals of the samples, 20 ± 1 and 23 ± 1, then 21 ± 1
        ([sampled(20, 0.5)], [sampled(23, 0.5)], "holds", "single runs"),
        ([sampled(20, 0.5)], [sampled(21, 0.5)], "cannot tell", "(19 to 21 and 20 to 22)"),
        ([sampled(23, 0.5)], [sampled(20, 0.5)], "fails", "single runs"),
        # nothing is known of either: as measured
        ([score(20)], [score(20.1)], "holds", "single runs"),
        # three seeds each: 20 ± 2.48 and 24 ± 2.48 overlap, 20 and 26 do not
        ([score(v) for v in (19, 20, 21)], [score(v) for v in (23, 24, 25)], "cannot tell", "17.516 to 22.484"),
        ([score(v) for v in (19, 20, 21)], [score(v) for v in (25, 26, 27)], "holds", ""),
        # two seeds know little: 20 ± 6.35 and 26 ± 6.35
        ([score(v) for v in (19.5, 20.5)], [score(v) for v in (25.5, 26.5)], "cannot tell", "13.647 to 26.353"),
        # a single run against seeds is still a single run
        ([score(v) for v in (19, 20, 21)], [sampled(30, 0.5)], "holds", "single runs"),
    ],
)
def test_verdicts_use_the_uncertainty(
    first: list[dict[str, Any]], second: list[dict[str, Any]], word: str, remark: str
) -> None:
    verdict = evaluate(parse("table1.a.fid < table1.b.fid"), evidence(a=first, b=second))
    assert verdict.word == word
    assert remark in " ".join([*verdict.reasons, *verdict.remarks])
    assert ("single runs" in " ".join(verdict.remarks)) == (len(first) == 1 or len(second) == 1)


def test_best_of_a_column_needs_to_be_clear_of_all() -> None:
    seeds = {
        name: [score(value + step) for step in (-0.1, 0, 0.1)] for name, value in zip("abc", (20, 22, 24), strict=True)
    }
    assert evaluate(parse("best(table1.a.fid)"), evidence(**seeds)).word == "holds"
    assert evaluate(parse("rank(table1.c.fid) = 3"), evidence(**seeds)).word == "holds"
    close = {**seeds, "b": [score(value) for value in (19.5, 20.2, 21.0)]}
    assert evaluate(parse("best(table1.a.fid)"), evidence(**close)).word == "cannot tell"
    assert evaluate(parse("best(table1.c.fid)"), evidence(**close)).word == "fails"


CHECKS = [
    "table1.a.fid < table1.b.fid",
    "best(table1.a.fid)",
    "rank(table1.b.fid) = 2",
    "rel(table1.a.fid, table1.b.fid) = -10%",
    "table1.a.fid - table1.b.fid > 1 or not table1.c.fid >= table1.b.fid",
    "min(table1.a.fid, table1.b.fid) <= table1.c.fid and highest(table1.c.fid)",
]


@pytest.mark.parametrize("check", CHECKS)
def test_knowing_more_never_turns_a_verdict_round(check: str) -> None:
    """A verdict from wide intervals stays the same when each is narrowed within itself."""
    draw = random.Random(check)
    decided = 0
    for _ in range(400):
        wide, narrow = {}, {}
        for name in "abc":
            value, reach = draw.uniform(18, 30), draw.choice((0.1, 1, 4))
            low, high = value - draw.random() * reach, value + draw.random() * reach
            inner = sorted(draw.uniform(low, high) for _ in range(3))
            place = CellRef("table1", name, "fid")
            wide[place] = Measured(value, low, high, "")
            narrow[place] = Measured(inner[1], inner[0], inner[2], "")
        before = evaluate(parse(check), Evidence(PAPER, False, wide)).truth
        after = evaluate(parse(check), Evidence(PAPER, False, narrow)).truth
        assert before is None or after is before
        decided += before is not None
    assert 0 < decided < 400  # both kinds were seen


def test_a_number_is_never_shown_finer_than_it_is_known() -> None:
    """What is shown differs from the value by less than the uncertainty, and its last place is not below it."""
    draw = random.Random(0)
    for _ in range(2000):
        value, uncertainty, digits = draw.uniform(-99, 999), 10 ** draw.uniform(-4, 2), draw.randrange(4)
        known = known_digits(uncertainty, digits)
        shown = float(format_value(value, None, known).replace("−", "-"))
        unit = 10.0**-known
        assert known <= digits
        assert abs(shown - value) <= unit / 2 * (1 + 1e-9)
        assert known == digits or unit / 1.06 <= uncertainty < 9.6 * unit
