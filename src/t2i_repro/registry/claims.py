"""The language of claims: `table2.id1.is > table2.id0.is and rel(table1.a.fid, table1.b.fid) = -8.58%`.

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | relation
    relation   = sum { ( "<" | "<=" | ">" | ">=" | "=" ) sum }
    sum        = product { ( "+" | "-" ) product }
    product    = factor { ( "*" | "/" ) factor }
    factor     = "-" factor | number [ "%" ] | cell | function "(" arguments ")" | "(" condition ")"
    cell       = table "." row "." column

Names may contain hyphens, so a minus between cells needs white space on both sides. docs/claims.md explains the
functions. This module parses the text; it never runs any of it as code.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2i_repro.errors import ReproError

NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"
TOKEN = re.compile(
    rf"\s*(?:(?P<cell>table[0-9]+[a-z]?\.{NAME}\.{NAME})(?![\w.-])|(?P<number>[0-9]+(?:\.[0-9]+)?%?)(?![\w.])"
    r"|(?P<word>[a-z]+)(?![\w.-])|(?P<sign><=|>=|[-+*/<>=(),]))"
)
ORDERS = ("<", "<=", ">", ">=", "=")
# By name: least and greatest number of arguments, whether it is a condition, whether its arguments are cells.
FUNCTIONS = {
    "rel": (2, 2, False, False),
    "min": (2, 99, False, False),
    "max": (2, 99, False, False),
    "sd": (1, 1, False, True),
    "rank": (1, 1, False, True),
    "best": (1, 1, True, True),
    "highest": (1, 1, True, True),
    "lowest": (1, 1, True, True),
    "within": (2, 2, True, True),
}


@dataclass(frozen=True)
class Number:
    """A number of a claim; `half` is half a unit of its last digit."""

    value: float
    half: float
    source: str


@dataclass(frozen=True)
class CellRef:
    table: str
    row: str
    column: str

    @property
    def source(self) -> str:
        return f"{self.table}.{self.row}.{self.column}"


@dataclass(frozen=True)
class Arithmetic:
    sign: str
    left: "Quantity"
    right: "Quantity"
    source: str


@dataclass(frozen=True)
class Call:
    name: str
    arguments: tuple["Quantity", ...]
    source: str


@dataclass(frozen=True)
class Relation:
    order: str
    left: "Quantity"
    right: "Quantity"
    source: str


@dataclass(frozen=True)
class Logic:
    """`and` and `or` of several conditions, `not` of one."""

    word: str
    parts: tuple["Condition", ...]
    source: str


Quantity = Number | CellRef | Arithmetic | Call
Condition = Relation | Logic | Call
Expression = Quantity | Condition


def parse(text: str) -> Condition:
    """Parse the `check` of a claim. Raises ReproError with the position in the text, what was found and expected."""
    return Parser(text).parse()


def check_claims(paper: dict[str, Any], path: Path) -> None:
    """Raise ReproError, naming file and claim, unless every claim can be parsed and names existing cells."""
    for claim_id, claim in paper.get("claims", {}).items():
        at = f"{path}: claims.{claim_id}.check"
        try:
            condition = parse(claim["check"])
        except ReproError as error:
            raise ReproError(f"{at}: {error}") from error
        for cell in cells_of(condition):
            table = paper["tables"].get(cell.table)
            for key, known in (
                (cell.table, paper["tables"]),
                (cell.row, table and table["rows"]),
                (cell.column, table and table["columns"]),
            ):
                if key not in known:
                    raise ReproError(f"{at}: found {cell.source}, with {key!r}; allowed: {', '.join(known)}")


def cells_of(expression: Expression) -> Iterator[CellRef]:
    """The cells of an expression, in the order of the text."""
    match expression:
        case CellRef():
            yield expression
        case Arithmetic() | Relation():
            yield from cells_of(expression.left)
            yield from cells_of(expression.right)
        case Call():
            for argument in expression.arguments:
                yield from cells_of(argument)
        case Logic():
            for part in expression.parts:
                yield from cells_of(part)


def is_condition(expression: Expression) -> bool:
    return isinstance(expression, Relation | Logic) or (isinstance(expression, Call) and FUNCTIONS[expression.name][2])


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    end: int


class Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self.split())
        self.position = 0

    def split(self) -> Iterator[Token]:
        start = 0
        while self.text[start:].strip():
            found = TOKEN.match(self.text, start)
            if found is None:
                start += len(self.text[start:]) - len(self.text[start:].lstrip())
                word = self.text[start:].split()[0]
                raise self.error(start, word, "a cell (table1.row.column), a number, a function or an operator")
            assert found.lastgroup
            yield Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup), found.end())
            start = found.end()
        yield Token("end", "", len(self.text), len(self.text))

    def error(self, start: int, found: str, expected: str) -> ReproError:
        return ReproError(f"{self.text!r}, character {start + 1}: found {found or 'the end'!r}; expected {expected}")

    def peek(self) -> Token:
        return self.tokens[self.position]

    def take(self, *texts: str) -> Token | None:
        """Consume the next token if it is one of `texts`."""
        token = self.peek()
        if token.kind in ("word", "sign") and token.text in texts:
            self.position += 1
            return token
        return None

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.error(self.peek().start, self.peek().text, repr(text))

    def since(self, start: int) -> str:
        return self.text[start : self.tokens[self.position - 1].end]

    def parse(self) -> Condition:
        found = self.condition()
        if self.peek().kind != "end":
            raise self.error(self.peek().start, self.peek().text, "and, or, an operator, or the end")
        return self.truth(found, 0)

    def truth(self, found: Expression, start: int) -> Condition:
        if isinstance(found, Relation | Logic) or (isinstance(found, Call) and is_condition(found)):
            return found
        raise self.error(start, found.source, "a condition: a comparison (<, <=, >, >=, =) or best(..), within(..)")

    def quantity(self, found: Expression, start: int) -> Quantity:
        if isinstance(found, Relation | Logic) or is_condition(found):
            raise self.error(start, found.source, "a number: a cell, or arithmetic on cells")
        return found

    def condition(self) -> Expression:
        return self.chain("or", self.conjunction)

    def conjunction(self) -> Expression:
        return self.chain("and", self.negation)

    def chain(self, word: str, inner: Callable[[], Expression]) -> Expression:
        start = self.peek().start
        found = inner()
        if self.peek().text != word:
            return found
        parts = [self.truth(found, start)]
        while self.take(word):
            begin = self.peek().start
            parts.append(self.truth(inner(), begin))
        return Logic(word, tuple(parts), self.since(start))

    def negation(self) -> Expression:
        start = self.peek().start
        if not self.take("not"):
            return self.relation()
        begin = self.peek().start
        inner = self.truth(self.negation(), begin)
        return Logic("not", (inner,), self.since(start))

    def relation(self) -> Expression:
        """`a < b < c` means `a < b and b < c`."""
        start = self.peek().start
        left = self.sum()
        found: list[Condition] = []
        while order := self.take(*ORDERS):
            first = self.quantity(left, start)
            start = self.peek().start
            left = self.sum()
            second = self.quantity(left, start)
            found.append(Relation(order.text, first, second, f"{first.source} {order.text} {second.source}"))
        if not found:
            return left
        return found[0] if len(found) == 1 else Logic("and", tuple(found), " and ".join(part.source for part in found))

    def sum(self) -> Expression:
        return self.arithmetic(("+", "-"), self.product)

    def product(self) -> Expression:
        return self.arithmetic(("*", "/"), self.factor)

    def arithmetic(self, signs: tuple[str, ...], inner: Callable[[], Expression]) -> Expression:
        start = self.peek().start
        left = inner()
        while sign := self.take(*signs):
            first = self.quantity(left, start)
            begin = self.peek().start
            second = self.quantity(inner(), begin)
            left = Arithmetic(sign.text, first, second, self.since(start))
        return left

    def factor(self) -> Expression:
        token = self.peek()
        if self.take("-"):
            inner = self.quantity(self.factor(), token.end)
            if isinstance(inner, Number):
                return Number(-inner.value, inner.half, self.since(token.start))
            return Arithmetic("-", Number(0.0, 0.0, "0"), inner, self.since(token.start))
        if self.take("("):
            inside = self.condition()
            self.expect(")")
            return inside
        self.position += 1
        if token.kind == "number":
            digits = token.text.rstrip("%").partition(".")[2]
            percent = 0.01 if token.text.endswith("%") else 1.0
            return Number(float(token.text.rstrip("%")) * percent, 0.5 * 10.0 ** -len(digits) * percent, token.text)
        if token.kind == "cell":
            return CellRef(*token.text.split("."))
        if token.kind == "word" and token.text in FUNCTIONS:
            return self.call(token)
        self.position -= 1
        raise self.error(token.start, token.text, f"a cell, a number or one of {', '.join(FUNCTIONS)}")

    def call(self, token: Token) -> Call:
        least, most, _, of_cells = FUNCTIONS[token.text]
        self.expect("(")
        arguments: list[Quantity] = []
        while not arguments or self.take(","):
            start = self.peek().start
            argument = self.quantity(self.sum(), start)
            if of_cells and not isinstance(argument, CellRef):
                raise self.error(start, argument.source, f"a cell, as argument of {token.text}")
            arguments.append(argument)
        self.expect(")")
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"at least {least}"
            raise self.error(token.start, self.since(token.start), f"{wanted} argument(s) of {token.text}")
        return Call(token.text, tuple(arguments), self.since(token.start))
