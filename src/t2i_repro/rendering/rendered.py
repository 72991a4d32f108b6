"""Rendered tables and figures as the site shows them, and lists of their cells."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from t2i_repro.core.artefact import Input
from t2i_repro.core.record import read_record, read_recorded
from t2i_repro.errors import ReproError
from t2i_repro.metrics.comparison import is_outdated


@dataclass(frozen=True)
class Rendered:
    """What tables and figures have in common. ``target``: what Snakemake calls it; ``inputs``: folders it was built
    from."""

    path: Path
    name: str
    anchor: str
    record: dict[str, Any]
    reason = None  # why it is missing: it is not

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def target(self) -> str:
        return str(self.record["name"])

    @property
    def spec_file(self) -> str:
        record = self.record
        return f"results/{record['scale']}/specs/{record['kind']}-{record['name']}-{record['digest']}.json"

    @property
    def inputs(self) -> set[str]:
        return {source["path"] for source in self.record["inputs"].values()}


@dataclass(frozen=True)
class RenderedTable(Rendered):
    content: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """Number of cells, and of those printed, rebuilt, comparable."""
        return self.record["facts"]

    def scores(self) -> list[dict[str, Any]]:
        """Every score of a cell."""
        return [
            score
            for row in self.content["rows"]
            for cell in row["cells"].values()
            if cell["rebuilt"]
            for score in cell["rebuilt"]["scores"]
        ]

    def files(self) -> dict[str, Path]:
        """Files to download, by the name that the site gives them."""
        suffixes = ("csv", "md", "tex", "html", "json")
        return {f"{self.anchor}.{suffix}": self.path / f"table.{suffix}" for suffix in suffixes}


@dataclass(frozen=True)
class RenderedFigure(Rendered):
    """``width``, ``height``: size of its picture on the page, half its pixels, for dense screens."""

    content: dict[str, Any]
    spec: dict[str, Any]
    width: int
    height: int

    @property
    def kinds(self) -> list[str]:
        """Suffixes of the files that it has."""
        return [suffix for suffix in ("png", "pdf", "svg", "csv") if (self.path / f"figure.{suffix}").is_file()]

    @property
    def best(self) -> str:
        """Suffix of the file that looks best on a screen."""
        return str(self.content.get("best", "figure.png")).removeprefix("figure.")

    def files(self) -> dict[str, Path]:
        """Files to download, by the name that the site gives them."""
        return {f"{self.anchor}.{suffix}": self.path / f"figure.{suffix}" for suffix in self.kinds}


@dataclass(frozen=True)
class MissingFigure:
    """A figure that is not built, and why."""

    name: str
    anchor: str
    spec: dict[str, str]

    @property
    def reason(self) -> str:
        return self.spec["reason"]


def read_table(source: Input) -> RenderedTable:
    """Read a rendered table. Raises ReproError if its JSON cannot be read, or an earlier version rendered it with cells
    that it called comparable."""
    record, content = read_parts(source, "table.json")
    if is_outdated(content):
        raise ReproError(
            f"{source.path}: an earlier version rendered it, and called numbers comparable without checking data and "
            f"parameters; remove it and the scores of its cells, and run `snakemake` again"
        )
    name = f"Table {content['table'].removeprefix('table')}"
    return RenderedTable(Path(source.path), name, f"{content['paper']}-{content['table']}", record, content)


def read_figure(source: Input) -> RenderedFigure:
    """Read a rendered figure. Raises ReproError if its JSON cannot be read."""
    record, content = read_parts(source, "figure.json")
    spec = record["spec"]
    with Image.open(Path(source.path) / "figure.png") as image:
        width, height = image.width // 2, image.height // 2
    name, anchor = spec.get("label", figure_name(spec["figure"])), f"{spec['paper']}-{spec['figure']}"
    return RenderedFigure(Path(source.path), name, anchor, record, content, spec, width, height)


def figure_name(figure: str) -> str:
    """`Figure 5` from `fig5`; `Own sentences` from `fig-own-sentences`, which has no number in print."""
    name = figure.removeprefix("fig").removeprefix("-")
    return f"Figure {name}" if name[:1].isdigit() else name.replace("-", " ").capitalize()


def read_parts(source: Input, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Record and JSON content of an artefact. Raises ReproError if its bytes are not those of the record."""
    folder = Path(source.path)
    try:
        return read_record(folder), json.loads(read_recorded(folder, name))
    except ValueError as error:
        raise ReproError(f"{folder / name}: cannot be read ({error}); remove {folder} and render it again") from error


def natural(text: str) -> list[str | int]:
    """Sorting key that puts `fig2` before `fig10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def progress(rebuilt: int, of: int) -> str:
    """`none`, `some` or `all`."""
    return "none" if rebuilt == 0 else "some" if rebuilt < of else "all"


@dataclass
class Gap:
    """A reason, the number of cells it applies to, and their tables as (paper, table)."""

    reason: str
    cells: int = 0
    tables: list[tuple[str, RenderedTable]] = field(default_factory=list)

    def add(self, paper: str, table: RenderedTable) -> None:
        self.cells += 1
        if (paper, table) not in self.tables:
            self.tables.append((paper, table))


def gaps(tables: Mapping[str, Sequence[RenderedTable]]) -> list[Gap]:
    """Why cells are not rebuilt, the most frequent reason first."""
    return count_reasons((one["paper"], one["table"], one["cell"]["missing"]) for one in numbers(tables))


def obstacles(tables: Mapping[str, Sequence[RenderedTable]]) -> list[Gap]:
    """Why rebuilt cells are not comparable with print, the most frequent reason first."""
    return count_reasons((one["paper"], one["table"], one["cell"]["not_comparable"]) for one in numbers(tables))


def count_reasons(reasons: Iterable[tuple[str, RenderedTable, str | None]]) -> list[Gap]:
    found: dict[str, Gap] = {}
    for paper, table, reason in reasons:
        if reason:
            found.setdefault(reason, Gap(reason)).add(paper, table)
    return sorted(found.values(), key=lambda gap: -gap.cells)


def numbers(tables: Mapping[str, Sequence[RenderedTable]]) -> Iterator[dict[str, Any]]:
    """Every cell in reading order, as {paper, table, row, column, cell}."""
    for paper, rendered in tables.items():
        for table in rendered:
            for row in table.content["rows"]:
                for column in table.content["columns"]:
                    cell = row["cells"][column["id"]]
                    yield {"paper": paper, "table": table, "row": row, "column": column, "cell": cell}
