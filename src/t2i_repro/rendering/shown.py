"""Tables and figures as the report shows them: content, counts, anchors, files to take away."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Input
from t2i_repro.core.record import read_record
from t2i_repro.errors import ReproError


@dataclass(frozen=True)
class Shown:
    """What tables and figures share. ``target``: the name Snakemake builds it by; ``inputs``: folders it was made
    from."""

    path: Path
    name: str
    anchor: str
    record: dict[str, Any]
    reason = None  # it was built

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
        return {given["path"] for given in self.record["inputs"].values()}


@dataclass(frozen=True)
class TableShown(Shown):
    content: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """Cells in all, printed, rebuilt, comparable."""
        return self.record["facts"]

    def scores(self) -> list[dict[str, Any]]:
        """Every score behind a cell."""
        return [
            score
            for row in self.content["rows"]
            for cell in row["cells"].values()
            if cell["rebuilt"]
            for score in cell["rebuilt"]["scores"]
        ]

    def files(self) -> dict[str, Path]:
        return {
            f"{self.anchor}.{suffix}": self.path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "html", "json")
        }


@dataclass(frozen=True)
class FigureShown(Shown):
    """``width``, ``height``: what its picture takes on the page, half its pixels, for dense screens."""

    content: dict[str, Any]
    spec: dict[str, Any]
    width: int
    height: int

    @property
    def kinds(self) -> list[str]:
        """Suffixes of the files there are of it."""
        return [suffix for suffix in ("png", "pdf", "svg", "csv") if (self.path / f"figure.{suffix}").is_file()]

    @property
    def best(self) -> str:
        """Suffix of the file that shows it best on a screen: what is drawn in vectors, as vectors."""
        return str(self.content.get("best", "figure.png")).removeprefix("figure.")

    def files(self) -> dict[str, Path]:
        return {f"{self.anchor}.{suffix}": self.path / f"figure.{suffix}" for suffix in self.kinds}


@dataclass(frozen=True)
class FigureMissing:
    """A figure that could not be built, and why."""

    name: str
    anchor: str
    spec: dict[str, str]

    @property
    def reason(self) -> str:
        return self.spec["reason"]


def read_table(given: Input, scale: str) -> TableShown:
    """A rendered table. Raises ReproError when its JSON is not there."""
    record, content = read_parts(given, "table.json")
    number = content["table"].removeprefix("table")
    return TableShown(Path(given.path), f"Table {number}", f"{content['paper']}-{content['table']}", record, content)


def read_figure(given: Input, scale: str) -> FigureShown:
    """A rendered figure. Raises ReproError when its picture is not there."""
    from PIL import Image

    record, content = read_parts(given, "figure.json")
    spec = record["spec"]
    with Image.open(Path(given.path) / "figure.png") as image:
        width, height = image.width // 2, image.height // 2
    name, anchor = spec.get("label", figure_name(spec["figure"])), f"{spec['paper']}-{spec['figure']}"
    return FigureShown(Path(given.path), name, anchor, record, content, spec, width, height)


def figure_name(figure: str) -> str:
    """`Figure 5` from `fig5`; without a number in print, in words: `Own sentences` from `fig-own-sentences`."""
    number = figure.removeprefix("fig").removeprefix("-")
    return f"Figure {number}" if number[:1].isdigit() else number.replace("-", " ").capitalize()


def read_parts(given: Input, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    path = Path(given.path) / name
    try:
        return read_record(Path(given.path)), json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReproError(f"{path}: cannot be read ({error}); remove {given.path} and render it again") from error
