"""Verdicts on claims: holds, fails or cannot tell, with the reason. docs/claims.md explains the rules."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from t2i_repro.audit.evidence import Evidence, Measured
from t2i_repro.registry.claims import Arithmetic, Call, CellRef, Condition, Logic, Number, Quantity, Relation

HOLDS, FAILS, CANNOT_TELL = "holds", "fails", "cannot tell"
WORDS = {True: HOLDS, False: FAILS, None: CANNOT_TELL}
SINGLE = "single runs: the spread over seeds is unknown"
NO_DIRECTION = "{}: the column does not say which way is better"


class UnknownNumberError(Exception):
    """A cell of an expression has no number; the message says why."""


@dataclass(frozen=True)
class Verdict:
    """`truth` is None if it cannot be told. `reasons` decide it; `remarks` qualify it."""

    truth: bool | None
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        return WORDS[self.truth]

    @property
    def why(self) -> str:
        """Reasons and remarks in one line."""
        return "; ".join([*self.reasons, *self.remarks])


@dataclass(frozen=True)
class Span:
    """A number and its bounds. `sure` is False for a rebuilt number of a single run."""

    value: float
    low: float
    high: float
    sure: bool = True


def evaluate(condition: Condition, evidence: Evidence) -> Verdict:
    """Evaluate a claim in three-valued logic: a conjunction fails if one part fails, whatever the others."""
    try:
        if isinstance(condition, Logic):
            return combine(condition, [evaluate(part, evidence) for part in condition.parts])
        if isinstance(condition, Relation):
            return related(condition, evidence)
        if condition.name == "within":
            return within(condition, evidence)
        return ahead(condition, evidence)
    except UnknownNumberError as reason:
        return Verdict(None, (str(reason),))


def combine(logic: Logic, parts: list[Verdict]) -> Verdict:
    remarks = unique(remark for part in parts for remark in part.remarks)
    if logic.word == "not":
        (part,) = parts
        return Verdict(None if part.truth is None else not part.truth, part.reasons, remarks)
    deciding = logic.word == "or"
    truths = [part.truth for part in parts]
    truth = deciding if deciding in truths else None if None in truths else not deciding
    reasons = unique(reason for part in parts if part.truth is truth for reason in part.reasons)
    return Verdict(truth, reasons, remarks)


def unique(items: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def related(relation: Relation, evidence: Evidence) -> Verdict:
    left, right = span(relation.left, evidence), span(relation.right, evidence)
    if relation.order == "=":
        return equal(relation, left, right, evidence)
    if relation.order in ("<", "<="):
        truth = above(right, left, relation.order == "<=", evidence.printed)
    else:
        truth = above(left, right, relation.order == ">=", evidence.printed)
    texts = [format_quantity(part, found, evidence) for part, found in ((relation.left, left), (relation.right, right))]
    found = f"{relation.source}: {texts[0]} against {texts[1]}"
    remarks = [] if left.sure and right.sure else [SINGLE]
    if truth is None:
        found += ", apart by less than their uncertainty"
        found += "" if evidence.printed else f" ({extent(left)} and {extent(right)})"
    if truth and isinstance(relation.left, CellRef) and isinstance(relation.right, CellRef):
        remarks += overlap(number(relation.left, evidence), number(relation.right, evidence), relation.source)
    return Verdict(truth, (found,), tuple(remarks))


def above(one: Span, other: Span, or_equal: bool, printed: bool) -> bool | None:
    """Whether `one` is greater than `other`. Printed numbers are compared as printed, unless one is a bound; rebuilt
    ones by their intervals, and None means that these overlap."""
    if printed and not (math.isinf(one.high) or math.isinf(other.high)):
        slack = 1e-9 * max(abs(one.value), abs(other.value))
        return one.value - other.value > (-slack if or_equal else slack)
    if one.low > other.high or (or_equal and one.low >= other.high):
        return True
    if one.high < other.low or (not or_equal and one.high <= other.low):
        return False
    return None


def equal(relation: Relation, left: Span, right: Span, evidence: Evidence) -> Verdict:
    """Printed: holds if some numbers that round to the printed ones are equal. Rebuilt: holds if the left interval lies
    inside the right one, and fails if they are disjoint and no number comes from a single run."""
    found = f"{relation.source}: found {format_span(left, percent(relation.right))}"
    slack = 1e-9 * max(abs(left.value), abs(right.value), 1e-12)
    touch = left.low <= right.high + slack and right.low <= left.high + slack
    if evidence.printed:
        return Verdict(touch, (found,))
    inside = right.low - slack <= left.low and left.high <= right.high + slack
    if inside:
        return Verdict(True, (found,), () if left.sure else (SINGLE,))
    if touch or not (left.sure and right.sure):
        why = "the uncertainty reaches further" if left.sure and right.sure else SINGLE
        return Verdict(None, (f"{found}, {why}",))
    return Verdict(False, (found,))


def ahead(call: Call, evidence: Evidence) -> Verdict:
    """Evaluate best, highest, lowest: strictly ahead of every other cell that measures the same."""
    ref = cell_in(call)
    direction = {"best": evidence.better(ref), "highest": "higher", "lowest": "lower"}[call.name]
    if direction is None:
        raise UnknownNumberError(NO_DIRECTION.format(call.source))
    own = measured(ref, evidence)
    verdicts, remarks, sure = [], [], own.sure
    for peer in evidence.peers(ref):
        try:
            other = measured(peer, evidence)
        except UnknownNumberError as reason:
            verdicts.append(Verdict(None, (str(reason),)))
            continue
        pair = (own, other) if direction == "higher" else (other, own)
        sure = sure and other.sure
        truth = above(as_span(pair[0]), as_span(pair[1]), False, evidence.printed)
        behind = f"{call.source}: {own.text}, but {evidence.label(peer)} {other.text}"
        verdicts.append(Verdict(truth, () if truth else (behind,)))
        remarks += overlap(own, other, f"{call.source}, from {evidence.label(peer)}") if truth else []
    if not sure:
        remarks.append(SINGLE)
    every = combine(Logic("and", (), call.source), verdicts)
    return Verdict(every.truth, every.reasons or (f"{call.source}: {own.text}",), tuple(remarks))


def within(call: Call, evidence: Evidence) -> Verdict:
    """Evaluate within: two cells differ by no more than the sum of their ±."""
    one, other = (number(argument, evidence) for argument in call.arguments)
    if one.std is None and other.std is None:
        raise UnknownNumberError(f"{call.source}: neither has a ±")
    apart, reach = abs(one.value - other.value), (one.std or 0.0) + (other.std or 0.0)
    return Verdict(apart <= reach * (1 + 1e-9), (f"{call.source}: {one.text} against {other.text}",))


def overlap(one: Measured, other: Measured, what: str) -> list[str]:
    """The remark that two printed numbers differ by no more than the sum of their ±, if they do."""
    if one.std is None or other.std is None or abs(one.value - other.value) > (one.std + other.std) * (1 + 1e-9):
        return []
    return [f"within ±: {what}"]


def number(quantity: Quantity, evidence: Evidence) -> Measured:
    assert isinstance(quantity, CellRef)  # the parser accepts nothing else
    return measured(quantity, evidence)


def cell_in(call: Call) -> CellRef:
    (ref,) = call.arguments
    assert isinstance(ref, CellRef)
    return ref


def measured(ref: CellRef, evidence: Evidence) -> Measured:
    found = evidence.cells[ref]
    if isinstance(found, str):
        raise UnknownNumberError(found)
    return found


def as_span(found: Measured) -> Span:
    return Span(found.value, found.low, found.high, found.sure)


def span(quantity: Quantity, evidence: Evidence) -> Span:
    """The value of a quantity with its bounds, by interval arithmetic."""
    if isinstance(quantity, Number):
        return Span(quantity.value, quantity.value - quantity.half, quantity.value + quantity.half)
    if isinstance(quantity, CellRef):
        return as_span(measured(quantity, evidence))
    if isinstance(quantity, Arithmetic):
        return arithmetic(quantity.sign, span(quantity.left, evidence), span(quantity.right, evidence))
    if quantity.name == "sd":
        found = measured(cell_in(quantity), evidence)
        if found.std is None:
            raise UnknownNumberError(f"{quantity.source}: no ±")
        return Span(found.std, max(found.std - found.half, 0.0), found.std + found.half)
    if quantity.name == "rank":
        return rank(quantity, evidence)
    spans = [span(argument, evidence) for argument in quantity.arguments]
    sure = all(one.sure for one in spans)
    if quantity.name == "rel":
        ratio = arithmetic("/", *spans)
        return Span(ratio.value - 1, ratio.low - 1, ratio.high - 1, sure)
    choose = min if quantity.name == "min" else max
    values, lows, highs = zip(*((one.value, one.low, one.high) for one in spans), strict=True)
    return Span(choose(values), choose(lows), choose(highs), sure)


def arithmetic(sign: str, left: Span, right: Span) -> Span:
    def value(one: float, other: float) -> float:
        return {"+": one + other, "-": one - other, "*": one * other}[sign] if sign != "/" else one / other

    if sign == "/" and right.low <= 0 <= right.high:
        raise UnknownNumberError("division by a number that may be zero")
    corners = [value(one, other) for one in (left.low, left.high) for other in (right.low, right.high)]
    return Span(value(left.value, right.value), min(corners), max(corners), left.sure and right.sure)


def rank(call: Call, evidence: Evidence) -> Span:
    """The rank of a cell among those that measure the same, 1 for the best; ties share a rank."""
    ref = cell_in(call)
    direction, own = evidence.better(ref), as_span(measured(ref, evidence))
    if direction is None:
        raise UnknownNumberError(NO_DIRECTION.format(call.source))
    others = [as_span(measured(peer, evidence)) for peer in evidence.peers(ref)]
    pairs = [(other, own) if direction == "higher" else (own, other) for other in others]
    truths = [above(*pair, False, evidence.printed) for pair in pairs]
    at_best, at_worst = 1 + sum(truth is True for truth in truths), 1 + sum(truth is not False for truth in truths)
    return Span(at_best, at_best, at_worst, own.sure and all(other.sure for other in others))


def percent(quantity: Quantity) -> bool:
    return isinstance(quantity, Number) and quantity.source.endswith("%")


def format_quantity(quantity: Quantity, found: Span, evidence: Evidence) -> str:
    """A cell as it is printed; anything else as computed."""
    return measured(quantity, evidence).text if isinstance(quantity, CellRef) else format_span(found)


def extent(found: Span) -> str:
    """`4.41 to 4.55`."""
    return " to ".join(format_span(Span(end, end, end)) for end in (found.low, found.high))


def format_span(found: Span, as_percent: bool = False) -> str:
    """A number for a sentence."""
    text = f"{100 * found.value:.4g}%" if as_percent else f"{found.value:.5g}"
    return ("> " if math.isinf(found.high) else "") + text.replace("-", "−")
