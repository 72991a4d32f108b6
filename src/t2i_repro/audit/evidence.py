"""The numbers that claims are evaluated on: the cells of a paper, as printed and as rebuilt."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t2i_repro.registry.claims import CellRef
from t2i_repro.registry.papers import measured_in
from t2i_repro.registry.printed import read_cell


@dataclass(frozen=True)
class Measured:
    """A cell's number. `low` and `high` bound it: a printed one by rounding, a rebuilt one by the 95% interval of the
    mean over seeds or of one run's sample (rendering/spread.py).

    `std`: the number behind ±. `half`: half a unit of the last printed digit. `sure`: False for a rebuilt number of a
    single run, whose spread over seeds is unknown.
    """

    value: float
    low: float
    high: float
    text: str
    std: float | None = None
    half: float = 0.0
    sure: bool = True

    @property
    def bound(self) -> bool:
        return math.isinf(self.high)


@dataclass(frozen=True)
class Evidence:
    """The cells of one paper, each with its number or the reason why there is none."""

    paper: dict[str, Any]
    printed: bool
    cells: Mapping[CellRef, Measured | str]

    def label(self, ref: CellRef) -> str:
        """The label that distinguishes a cell from its peers."""
        table = self.paper["tables"][ref.table]
        row, column = table["rows"][ref.row], table["columns"][ref.column]
        return column["label"] if across(row) else row["label"]

    def better(self, ref: CellRef) -> str | None:
        table = self.paper["tables"][ref.table]
        return measured_in(table["rows"][ref.row], table["columns"][ref.column])["better"]

    def peers(self, ref: CellRef) -> list[CellRef]:
        """The other cells that measure the same: those of its column, or of its row if the row says what it measures.
        Cells that are blank in print are left out."""
        table = self.paper["tables"][ref.table]
        if across(table["rows"][ref.row]):
            found = [CellRef(ref.table, ref.row, column) for column in table["columns"]]
        else:
            found = [CellRef(ref.table, row, ref.column) for row in table["rows"] if not across(table["rows"][row])]
        return [peer for peer in found if peer != ref and peer.column in table["rows"][peer.row]["printed"]]


def across(row: dict[str, Any]) -> bool:
    """Whether a row, and not the columns, says what its cells measure."""
    return "protocol" in row or "better" in row


def printed_evidence(paper: dict[str, Any]) -> Evidence:
    """The numbers of a paper as printed."""
    cells: dict[CellRef, Measured | str] = {}
    for table_id, table in paper["tables"].items():
        for row_id, row in table["rows"].items():
            for column in table["columns"]:
                cell = read_cell("", table_id, table, row_id, row, column)
                place = CellRef(table_id, row_id, column)
                half = 0.5 * 10.0**-cell.digits
                if cell.value is None:
                    cells[place] = f"{row['label']} has no printed value: {cell.blank}"
                elif cell.bound:
                    cells[place] = Measured(cell.value, cell.value, math.inf, cell.text())
                else:
                    low, high = cell.value - half, cell.value + half
                    cells[place] = Measured(cell.value, low, high, cell.text(), cell.std, half)
    return Evidence(paper, True, cells)


def rebuilt_evidence(paper: dict[str, Any], tables: Mapping[str, dict[str, Any]]) -> Evidence:
    """The rebuilt numbers of a paper that may be compared with print, from its rendered `tables` (table.json by
    table)."""
    cells: dict[CellRef, Measured | str] = {}
    for table_id, table in paper["tables"].items():
        rows = {row["id"]: row for row in tables[table_id]["rows"]} if table_id in tables else {}
        for row_id in table["rows"]:
            for column in table["columns"]:
                place = CellRef(table_id, row_id, column)
                cell = rows.get(row_id, {}).get("cells", {}).get(column)
                cells[place] = rebuilt(cell) if cell else "not rebuilt: the table is not in this report"
    return Evidence(paper, False, cells)


def rebuilt(cell: dict[str, Any]) -> Measured | str:
    """The rebuilt number of a rendered cell, or why it cannot be used."""
    found = cell["rebuilt"]
    if found is None:
        return cell["missing"]
    if cell["not_comparable"]:
        return cell["not_comparable"]
    value, interval = found["value"], found["interval"]
    low, high = (value, value) if interval is None else (interval["low"], interval["high"])
    return Measured(value, low, high, found["text"], found["std"], sure=found["exact"] or found["seeds"] > 1)
