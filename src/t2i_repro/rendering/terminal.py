"""`t2i-repro tables PAPER [TABLE]`: tables in the terminal, printed numbers and rebuilt ones where there are any."""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any, TextIO

from t2i_repro.core.config import add_settings
from t2i_repro.core.text import visible
from t2i_repro.errors import ReproError
from t2i_repro.planning.built import built_tables
from t2i_repro.registry.papers import load_papers
from t2i_repro.registry.printed import label_with_unit, read_cell

WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paper", metavar="PAPER", help="e.g. ssa-gan; `t2i-repro papers` lists them")
    parser.add_argument("table", metavar="TABLE", nargs="?", help="only this table: table2, or 2")
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    papers = load_papers(Path("."))
    if args.paper not in papers:
        raise ReproError(f"tables: found {args.paper!r}; papers/ has {', '.join(papers)}")
    tables = papers[args.paper]["tables"]
    if args.table is not None:
        name = args.table if args.table.startswith("table") else f"table{args.table}"
        if name not in tables:
            raise ReproError(f"tables: {args.paper} has no {name!r}; it has {', '.join(tables)}")
        tables = {name: tables[name]}
    built = built_tables(Path("."), args.set).get(args.paper, {})
    for table_id, table in tables.items():
        write_table(table_id, table, built.get(table_id), visible(sys.stdout))


def write_table(table_id: str, table: dict[str, Any], built: dict[str, Any] | None, file: TextIO) -> None:
    """One table: a line per row, printed cells; below a rebuilt one, its number and whether it may be compared."""
    print(
        textwrap.fill(f"{table_id.replace('table', 'Table ')}. {table['caption']} ({table['where']})", WIDTH), file=file
    )
    shown = {row["id"]: row["cells"] for row in built["rows"]} if built else {}
    any_rebuilt = any(cell["rebuilt"] for cells in shown.values() for cell in cells.values())
    lines = [["", *(label_with_unit(column) for column in table["columns"].values())]]
    for row_id, row in table["rows"].items():
        lines.append([row["label"]])
        lines[-1] += [read_cell("", table_id, table, row_id, row, column).text() for column in table["columns"]]
        cells = [shown.get(row_id, {}).get(column) for column in table["columns"]]
        rebuilt = [cell["rebuilt"] if cell else None for cell in cells]
        sources = {one["source"] for one in rebuilt if one}
        if sources:
            name = "  rebuilt" if sources == {"trained"} else f"  outside {', '.join(sorted(sources - {'trained'}))}"
            lines.append([name, *(one["text"] if one else "" for one in rebuilt)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    for number, line in enumerate(lines):
        first = line[0].ljust(widths[0])
        print(
            "  ".join([first, *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))]),
            file=file,
        )
        if number == 0:
            print("-" * (sum(widths) + 2 * (len(widths) - 1)), file=file)
    if built and any_rebuilt:
        print(f"Rebuilt at {built['scale_label']}; {built['data_label']}.", file=file)
    elif not any_rebuilt:
        print("Nothing of it is rebuilt yet.", file=file)
    print(file=file)
