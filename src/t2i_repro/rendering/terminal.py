"""`t2i-repro tables [PAPER [TABLE]]`: printed and rebuilt numbers, in the terminal or as one tidy table."""

import argparse
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.text import visible
from t2i_repro.errors import ReproError
from t2i_repro.planning.built import planned_tables, with_built_inputs
from t2i_repro.planning.params import read_params
from t2i_repro.registry.papers import load_papers
from t2i_repro.registry.printed import label_with_unit, read_cell
from t2i_repro.rendering.tables import table_content

WIDTH = 110
FORMATS = ("text", "csv", "parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paper", metavar="PAPER", nargs="?", help="e.g. ssa-gan; `t2i-repro papers` lists them; default: all"
    )
    parser.add_argument("table", metavar="TABLE", nargs="?", help="only this table: table2, or 2")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text: as in print; csv, parquet: one tidy table with a line per cell (its columns: docs/page.md)",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="write to this file; default: standard output")
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    project = Path(".")
    if args.out is not None and not args.out.parent.is_dir():
        raise ReproError(f"tables: --out: found {str(args.out)!r}; its folder does not exist, make it first")
    papers = choose_tables(load_papers(project), args.paper, args.table)
    contents = current_tables(project, args.set)
    if args.format == "text":
        if args.out is None:
            write_text(papers, contents, sys.stdout)
        else:
            with args.out.open("w", encoding="utf-8") as file:
                write_text(papers, contents, file)
    else:
        # pandas takes as long to import as all the rest of this command, and text does not need it.
        from t2i_repro.rendering import tidy

        protocols = read_params(project, parse_settings(args.set))["protocols"]
        tidy.write(tidy.tidy_table(papers, contents, protocols), args.format, args.out)


def choose_tables(
    papers: dict[str, dict[str, Any]], paper: str | None, table: str | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """The registry's tables by paper and id: all, those of a paper, or one. Raises ReproError if it does not exist."""
    tables = {paper_id: content["tables"] for paper_id, content in papers.items()}
    if paper is None:
        return tables
    if paper not in tables:
        raise ReproError(f"tables: found {paper!r}; papers/ has {', '.join(papers)}")
    if table is None:
        return {paper: tables[paper]}
    name = table if table.startswith("table") else f"table{table}"
    if name not in tables[paper]:
        raise ReproError(f"tables: {paper} has no {name!r}; it has {', '.join(tables[paper])}")
    return {paper: {name: tables[paper][name]}}


def current_tables(project: Path, settings: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Content of every planned table by (paper, table), from the scores built so far."""
    return {
        (node.spec["paper"], node.spec["table"]): table_content(with_built_inputs(node))
        for node in planned_tables(project, settings)
    }


def write_text(
    papers: dict[str, dict[str, dict[str, Any]]], contents: dict[tuple[str, str], dict[str, Any]], file: TextIO
) -> None:
    for paper_id, tables in papers.items():
        if len(papers) > 1:
            print(f"{paper_id}\n", file=file)
        for table_id, table in tables.items():
            write_table(table_id, table, contents.get((paper_id, table_id)), visible(file))


def write_table(table_id: str, table: dict[str, Any], content: dict[str, Any] | None, file: TextIO) -> None:
    """Print one table: a line of printed cells per row, and below it the rebuilt ones if there are any."""
    print(
        textwrap.fill(f"{table_id.replace('table', 'Table ')}. {table['caption']} ({table['where']})", WIDTH), file=file
    )
    cells_of = {row["id"]: row["cells"] for row in content["rows"]} if content else {}
    any_rebuilt = any(cell["rebuilt"] for cells in cells_of.values() for cell in cells.values())
    lines = [["", *(label_with_unit(column) for column in table["columns"].values())]]
    for row_id, row in table["rows"].items():
        lines.append([row["label"]])
        lines[-1] += [read_cell("", table_id, table, row_id, row, column).text() for column in table["columns"]]
        cells = [cells_of.get(row_id, {}).get(column) for column in table["columns"]]
        rebuilt = [cell["rebuilt"] if cell else None for cell in cells]
        sources = {one["source"] for one in rebuilt if one}
        if sources:
            name = "  rebuilt" if sources == {"trained"} else f"  outside {', '.join(sorted(sources - {'trained'}))}"
            lines.append([name, *(one["text"] if one else "" for one in rebuilt)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for index, (first, *others) in enumerate(lines):
        aligned = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *aligned]), file=file)
        if index == 0:
            print("-" * (sum(widths) + 2 * (len(widths) - 1)), file=file)
    if content and any_rebuilt:
        print(f"Rebuilt at {content['scale_label']}; {content['data_label']}.", file=file)
        write_obstacles(cells_of, file)
    else:
        print("No cell of this table is rebuilt yet.", file=file)
    print(file=file)


def write_obstacles(cells_of: dict[str, dict[str, Any]], file: TextIO) -> None:
    """Print why rebuilt cells are not comparable with print, and how many."""
    reasons = Counter(cell["not_comparable"] for cells in cells_of.values() for cell in cells.values())
    rebuilt = sum(1 for cells in cells_of.values() for cell in cells.values() if cell["rebuilt"])
    for reason, count in reasons.items():
        if reason is not None:
            text = f"{count} of {rebuilt} rebuilt cells: {reason}."
            print(textwrap.fill(text, WIDTH, break_on_hyphens=False), file=file)
