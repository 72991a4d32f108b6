"""`t2i-repro audit`: claims, contradictions and disagreements, for the terminal or for other programs."""

import argparse
import csv
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from t2i_repro.audit.audit import Audit, audit
from t2i_repro.audit.contradictions import Compared
from t2i_repro.core.config import add_settings
from t2i_repro.core.text import csv_text, visible
from t2i_repro.errors import ReproError
from t2i_repro.planning.built import built_tables
from t2i_repro.registry.papers import load_registry

HEADER = ("kind", "paper", "id", "where", "says", "check", "printed", "rebuilt", "why", "rebuilt_why", "spread")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--paper", metavar="ID", help="only what concerns this paper, e.g. ssa-gan")
    parser.add_argument("--format", choices=("text", "csv", "json"), default="text", help="default: text")


def main(args: argparse.Namespace) -> None:
    registry = load_registry(Path("."))
    papers = registry.papers
    if args.paper is not None and args.paper not in papers:
        raise ReproError(f"--paper: found {args.paper!r}; papers/ has {', '.join(papers)}")
    found = audit(papers, registry.definitions, built_tables(Path("."), args.set))
    if args.paper is not None:
        found = found.of(args.paper)
    if args.format == "csv":
        write_csv(found, sys.stdout)
    elif args.format == "json":
        write_json(found, sys.stdout)
    else:
        titles = {paper_id: paper["title"] for paper_id, paper in papers.items()}
        write_text(found, titles, visible(sys.stdout))


def entries(found: Audit) -> Iterator[dict[str, Any]]:
    """One entry for each finding, with the keys of HEADER; those that do not apply are None."""
    empty = dict.fromkeys(HEADER)
    for claims in found.claims.values():
        for claim in claims:
            yield empty | {
                "kind": "claim",
                "paper": claim.paper,
                "id": claim.id,
                "where": claim.where,
                "says": claim.says,
                "check": claim.check,
                "printed": claim.printed.word,
                "rebuilt": claim.rebuilt.word,
                "why": claim.printed.why,
                "rebuilt_why": claim.rebuilt.why,
            }
    for one in found.contradictions:
        where = "; ".join(one.places)
        yield empty | {"kind": one.kind, "paper": one.paper, "id": one.title, "where": where, "says": one.says}
    for compared in found.compared:
        yield empty | {
            "kind": "disagreement",
            "paper": ", ".join(dict.fromkeys(one.cell.paper for one in compared.prints)),
            "id": compared.title,
            "where": "; ".join(f"{one.cell.paper}: {one.place}" for one in compared.prints),
            "says": values(compared),
            "spread": round(compared.spread, 4),
        }


def values(compared: Compared) -> str:
    """`10.65 (icsd-gan), 14.01 (msmt-gan)`."""
    return ", ".join(f"{one.cell.text()} ({one.cell.paper})" for one in compared.prints)


def write_csv(found: Audit, file: TextIO) -> None:
    writer = csv.DictWriter(file, HEADER, lineterminator="\n")
    writer.writeheader()
    for entry in entries(found):
        writer.writerow({key: csv_text(value) if isinstance(value, str) else value for key, value in entry.items()})


def write_json(found: Audit, file: TextIO) -> None:
    json.dump(list(entries(found)), file, indent=1, ensure_ascii=False)
    file.write("\n")


def write_text(found: Audit, titles: dict[str, str], file: TextIO) -> None:
    """`titles`: of the papers, by id."""
    for paper, claims in found.claims.items():
        counts = ", ".join(f"{count} {word}" for word, count in sorted(found.counts(paper)["printed"].items()))
        print(f"{titles[paper]}: {len(claims)} claims; on its own numbers {counts or 'none'}\n", file=file)
        for claim in claims:
            print(f"  {claim.printed.word:12} {claim.id} ({claim.where})", file=file)
            paragraph(claim.says, file)
            if claim.printed.truth is not True:
                paragraph(f"-> {'; '.join(claim.printed.reasons)}", file)
            if claim.rebuilt.truth is not None:
                paragraph(f"rebuilt: {claim.rebuilt.word}: {claim.rebuilt.why}", file)
        print(file=file)
    others = [one for one in found.contradictions if one.kind != "claim-fails"]
    print(f"{len(found.contradictions)} contradictions inside papers; besides the claims that fail:\n", file=file)
    for one in others:
        print(f"  {one.paper}: {one.title}", file=file)
        paragraph(f"{one.says} {'; '.join(one.places)}.", file)
    print(f"\n{len(found.disagreements)} disagreements between papers of more than 5%:\n", file=file)
    for compared in found.disagreements:
        print(f"  {compared.spread:6.1%}  {compared.title}: {values(compared)}", file=file)


def paragraph(text: str, file: TextIO) -> None:
    indent = " " * 15
    print(textwrap.fill(text, 110, initial_indent=indent, subsequent_indent=indent), file=file)
