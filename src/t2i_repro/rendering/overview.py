"""What the overview says of all papers: how much of each table is rebuilt, what is not, and why."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from t2i_repro.rendering.shown import TableShown


def natural(text: str) -> list[str | int]:
    """Sorting key by which `fig2` comes before `fig10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def state(rebuilt: int, of: int) -> str:
    """`none`, `some` or `all`."""
    return "none" if rebuilt == 0 else "some" if rebuilt < of else "all"


@dataclass
class Gap:
    """A reason, the number of cells it holds for, and the tables they stand in: (paper, table)."""

    reason: str
    cells: int = 0
    tables: list[tuple[str, TableShown]] = field(default_factory=list)

    def add(self, paper: str, table: TableShown) -> None:
        self.cells += 1
        if (paper, table) not in self.tables:
            self.tables.append((paper, table))


def gaps(tables: Mapping[str, Sequence[TableShown]]) -> list[Gap]:
    """Why cells are not rebuilt, the reason of most cells first."""
    return count_reasons((paper, table, cell["missing"]) for paper, table, cell in cells_of(tables))


def obstacles(tables: Mapping[str, Sequence[TableShown]]) -> list[Gap]:
    """Why rebuilt cells may not be compared with print."""
    return count_reasons((paper, table, cell["not_comparable"]) for paper, table, cell in cells_of(tables))


def count_reasons(given: Iterable[tuple[str, TableShown, str | None]]) -> list[Gap]:
    found: dict[str, Gap] = {}
    for paper, table, reason in given:
        if reason:
            found.setdefault(reason, Gap(reason)).add(paper, table)
    return sorted(found.values(), key=lambda gap: -gap.cells)


def cells_of(tables: Mapping[str, Sequence[TableShown]]) -> Iterable[tuple[str, TableShown, dict[str, Any]]]:
    """Every cell of every table, with the paper and the table it stands in."""
    for paper, shown in tables.items():
        for table in shown:
            for row in table.content["rows"]:
                for cell in row["cells"].values():
                    yield paper, table, cell


def numbers(tables: Mapping[str, Sequence[TableShown]]) -> list[dict[str, Any]]:
    """Every cell in reading order, as {paper, table, row, column, cell}."""
    return [
        {"paper": paper, "table": table, "row": row, "column": column, "cell": row["cells"][column["id"]]}
        for paper, shown in tables.items()
        for table in shown
        for row in table.content["rows"]
        for column in table.content["columns"]
    ]
