"""Runs as the site shows them (configuration, losses, samples, scores), and the records behind everything shown."""

import csv
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from t2i_repro.core.artefact import KINDS
from t2i_repro.core.record import read_record
from t2i_repro.errors import ReproError
from t2i_repro.metrics.comparison import checked
from t2i_repro.metrics.score_file import read_metric
from t2i_repro.rendering.charts import Chart, chart_file, line_chart, read_curves
from t2i_repro.rendering.plot_style import write_numbers

PICTURES = 12  # samples shown with their captions
GRIDS = 4  # grids of training shown


@dataclass(frozen=True)
class Artefact:
    """A built artefact: folder and record. ``record`` is None if the folder was removed since."""

    path: Path
    kind: str
    digest: str
    record: dict[str, Any] | None

    @property
    def key(self) -> str:
        """Name of its folder, which ends in the digest: unique within a scale."""
        return self.path.name

    @property
    def name(self) -> str:
        return self.record["name"] if self.record else self.key

    @property
    def inputs(self) -> dict[str, dict[str, str]]:
        return self.record["inputs"] if self.record else {}


class Library:
    """Artefacts by path; each record is read once."""

    def __init__(self) -> None:
        self.known: dict[str, Artefact] = {}

    def get(self, path: str, kind: str = "", digest: str = "") -> Artefact:
        """The artefact in a folder. If it was removed since (intermediate files may be), `kind` and `digest` come from
        the record of the artefact built from it."""
        if path not in self.known:
            try:
                record = read_record(Path(path))
                found = Artefact(Path(path), record["kind"], record["digest"], record)
            except ReproError:
                found = Artefact(Path(path), kind, digest, None)
            self.known[path] = found
        return self.known[path]

    def chain(self, path: str) -> list[Artefact]:
        """An artefact and everything it was built from, nearest first, each once."""
        found: dict[str, Artefact] = {path: self.get(path)}
        pending = [path]
        while pending:
            for source in self.get(pending.pop(0)).inputs.values():
                if source["path"] not in found:
                    found[source["path"]] = self.get(source["path"], source["kind"], source["digest"])
                    pending.append(source["path"])
        return list(found.values())


@dataclass(frozen=True)
class RunPage:
    """Content of the page of a run. ``scores``: metrics, each with folder and digest of the score."""

    path: str
    file: str
    name: str
    verb: str
    artefact: Artefact
    configuration: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    charts: list[Chart]
    pictures: list[tuple[str, str]]
    picture_size: int
    grids: list[tuple[str, str]]
    scores: list[dict[str, Any]]
    chain: list[Artefact]


def run_page(
    library: Library, path: str, sample: str | None, scores: list[dict[str, Any]], site: Path, note: str
) -> RunPage:
    """Gather the page of a run, and copy its pictures and losses into the site."""
    artefact = library.get(path)
    assert artefact.record is not None  # `building` checked the inputs of the report
    pictures, size = copy_samples(Path(sample), site) if sample else ([], 0)
    chain = library.chain(path)
    for start in [sample, *(score["path"] for score in scores)]:
        chain += [item for item in library.chain(start) if item not in chain] if start else []
    metrics = [{**checked(read_metric(Path(score["path"]))), **score} for score in scores]
    return RunPage(
        path=path,
        file=f"run-{artefact.key}.html",
        name=artefact.name,
        verb=KINDS[artefact.kind].verb,
        artefact=artefact,
        configuration=flat(artefact.record["spec"]),
        facts=flat(artefact.record["facts"]) if artefact.record["facts"] else [],
        charts=draw_losses(artefact, site, note),
        pictures=pictures,
        picture_size=size,
        grids=copy_grids(Path(path), site),
        scores=metrics,
        chain=chain,
    )


def draw_losses(run: Artefact, site: Path, note: str) -> list[Chart]:
    """Draw the losses of a run. Write them to the site as ``losses-<run>.svg``, with a note, and the plotted numbers as
    ``losses-<run>.csv``."""
    path = run.path / "losses.csv"
    charts = [line_chart(curve) for curve in read_curves(path)] if path.exists() else []
    if charts:
        files = site / "files"
        columns = ("step", "mean", "minimum", "maximum")
        write_numbers(
            files / f"losses-{run.key}.csv",
            [
                {"loss": chart.name, **dict(zip(columns, bucket, strict=True))}
                for chart in charts
                for bucket in chart.buckets
            ],
        )
        text = chart_file(charts, f"{run.key}; {note} Horizontal axis: training step.")
        (files / f"losses-{run.key}.svg").write_text(text, encoding="utf-8")
    return charts


def copy_samples(sample: Path, site: Path) -> tuple[list[tuple[str, str]], int]:
    """Copy the first samples. Returns their (address, caption), and their size in pixels."""
    target = site / "pictures" / sample.name
    target.mkdir(parents=True)
    images = np.load(sample / "images.npy", mmap_mode="r")
    shown: list[tuple[str, str]] = []
    for caption, image in zip(read_captions(sample), images[:PICTURES], strict=False):
        name = f"{len(shown):02}.png"
        Image.fromarray(np.asarray(image)).save(target / name, optimize=True)
        shown.append((f"pictures/{sample.name}/{name}", caption))
    return shown, images.shape[1]


def read_captions(sample: Path) -> list[str]:
    """Captions of the pictures shown; external images may lack them."""
    path = sample / "captions.csv"
    if not path.exists():
        return ["(caption not known)"] * PICTURES
    with path.open(newline="", encoding="utf-8") as file:
        return [row["caption"] for row in islice(csv.DictReader(file), PICTURES)]


def copy_grids(run: Path, site: Path) -> list[tuple[str, str]]:
    """Copy a few grids from training, evenly spaced and including the last. Returns (address, step)."""
    grids = sorted((run / "grids").glob("step-*.png"))
    count = min(len(grids), GRIDS)
    chosen = [grids[round((index + 1) * len(grids) / count) - 1] for index in range(count)]
    target = site / "pictures" / run.name
    shown = []
    for grid in chosen:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(grid, target / grid.name)
        step = grid.stem.removeprefix("step-").lstrip("0") or "0"
        shown.append((f"pictures/{run.name}/{grid.name}", step))
    return shown


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten a nested configuration into (dotted key, text)."""
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    words = {None: "none", True: "yes", False: "no"}
    return [(prefix, words[value] if value is None or isinstance(value, bool) else str(value))]


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 12 min`, `2 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    for size, name, inner, inner_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if rounded >= size:
            rest = rounded % size // inner
            return f"{rounded // size} {name}" + (f" {rest} {inner_name}" if rest else "")
    return f"{rounded} s"
