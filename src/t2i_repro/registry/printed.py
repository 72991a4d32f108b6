"""`t2i-repro reported`: every number of the registry, as its paper prints it."""

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from t2i_repro.errors import ReproError
from t2i_repro.registry.papers import blank_reason, load_papers, measured_in

HEADER = ("paper", "table", "row", "column", "value", "std")


@dataclass(frozen=True)
class Cell:
    """One cell of a printed table; ids are the keys of papers/<paper>.yaml."""

    paper: str
    table: str
    row: str
    column: str
    value: float | None
    """None where the cell is blank."""
    std: float | None
    """The number behind ±; None if there is none."""
    bound: bool
    """Printed as `>value`."""
    blank: str | None
    """Why the cell is blank."""
    protocol: str | None
    dataset: str | None
    better: str | None
    digits: int
    unit: str | None

    def number(self, value: float | None) -> str:
        """`value` with as many digits as printed; empty for None."""
        if value is None:
            return ""
        return f"{value:g}" if self.bound else f"{value:.{self.digits}f}"

    def text(self) -> str:
        """The cell as printed: `4.36 ± 0.03`, `> 111`, `–`."""
        if self.value is None:
            return "–"
        spread = "" if self.std is None else f" ± {self.number(self.std)}"
        return ("> " if self.bound else "") + self.number(self.value) + spread


def cells(papers: dict[str, dict[str, Any]]) -> Iterator[Cell]:
    """Every cell of every table of `papers` (`load_papers`), blanks included, in printed order."""
    for paper_id, paper in papers.items():
        for table_id, table in paper["tables"].items():
            for row_id, row in table["rows"].items():
                for column_id in table["columns"]:
                    yield read_cell(paper_id, table_id, table, row_id, row, column_id)


def read_cell(
    paper_id: str, table_id: str, table: dict[str, Any], row_id: str, row: dict[str, Any], column_id: str
) -> Cell:
    measured = measured_in(row, table["columns"][column_id])
    printed = row["printed"].get(column_id)
    bound = isinstance(printed, dict)
    value, std = printed if isinstance(printed, list) else (printed["above"] if bound else printed, None)
    return Cell(
        paper=paper_id,
        table=table_id,
        row=row_id,
        column=column_id,
        value=value,
        std=std,
        bound=bound,
        blank=blank_reason(row, column_id) if printed is None else None,
        protocol=measured["protocol"],
        dataset=measured["dataset"],
        better=measured["better"],
        digits=measured["digits"],
        unit=measured.get("unit"),
    )


def write_csv(papers: dict[str, dict[str, Any]], file: TextIO) -> None:
    """Write one line per cell. A bound (`>111`) is written as its number; papers/*.yaml and Markdown keep the sign."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for cell in cells(papers):
        ids = (cell.paper, cell.table, cell.row, cell.column)
        writer.writerow((*ids, cell.number(cell.value), cell.number(cell.std)))


def write_markdown(papers: dict[str, dict[str, Any]], file: TextIO) -> None:
    """Write every table, followed by its notes and the reasons of its blanks."""
    for paper_id, paper in papers.items():
        print(f"# {escape(paper['title'])}\n", file=file)
        for table_id, table in paper["tables"].items():
            print(f"## {escape(table['where'])}\n\n{escape(table['caption'])}\n", file=file)
            labels = [label_with_unit(column) for column in table["columns"].values()]
            rows = {
                row_id: [read_cell(paper_id, table_id, table, row_id, row, column) for column in table["columns"]]
                for row_id, row in table["rows"].items()
            }
            print(line("", *labels), file=file)
            print(line("---", *("---:" for _ in labels)), file=file)
            for row_id, row in table["rows"].items():
                print(line(row["label"], *(cell.text() for cell in rows[row_id])), file=file)
            remarks = [table["note"]] if "note" in table else []
            remarks += [f"{row['label']}: {row['note']}" for row in table["rows"].values() if "note" in row]
            reasons: dict[str, list[str]] = {}
            for row_id, row in table["rows"].items():
                for cell, label in zip(rows[row_id], labels, strict=True):
                    if cell.blank is not None:
                        reasons.setdefault(cell.blank, []).append(f"{row['label']}, {label}")
            remarks += [f"– {reason}: {'; '.join(places)}" for reason, places in reasons.items()]
            print("".join(f"\n- {escape(remark)}" for remark in remarks), end="\n\n", file=file)


def label_with_unit(column: dict[str, Any]) -> str:
    return f"{column['label']} ({column['unit']})" if "unit" in column else column["label"]


def line(*entries: str) -> str:
    return "| " + " | ".join(escape(entry) for entry in entries) + " |"


def escape(text: str) -> str:
    """Escape text so that Markdown shows it literally, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(text.split()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--paper", metavar="ID", help="only this paper, e.g. ssa-gan; default: all of papers/")
    parser.add_argument(
        "--format", choices=("csv", "markdown"), default="csv", help="csv: one line per cell; markdown: as tables"
    )


def main(args: argparse.Namespace) -> None:
    papers = load_papers(Path("."))
    if args.paper is not None:
        if args.paper not in papers:
            raise ReproError(f"--paper: found {args.paper!r}; papers/ has {', '.join(papers)}")
        papers = {args.paper: papers[args.paper]}
    write = {"csv": write_csv, "markdown": write_markdown}[args.format]
    write(papers, sys.stdout)
