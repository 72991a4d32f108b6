"""A run as the report shows it: configuration, losses, samples, scores, provenance."""

import csv
import json
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from t2i_repro.core.artefact import KINDS
from t2i_repro.rendering.charts import line_chart, read_curves
from t2i_repro.rendering.provenance import Artefact, Library, flat

PICTURES = 12  # samples shown with their captions
GRIDS = 4  # grids shown of the course of training


@dataclass(frozen=True)
class RunPage:
    """Content of one run's page; ``scores`` are the metrics with the folder and digest they come from."""

    path: str
    file: str
    name: str
    verb: str
    artefact: Artefact
    configuration: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    charts: list[tuple[str, str]]
    pictures: list[tuple[str, str]]
    picture_size: int
    grids: list[tuple[str, str]]
    scores: list[dict[str, Any]]
    chain: list[Artefact]


def run_page(library: Library, path: str, sample: str | None, scores: list[dict[str, Any]], site: Path) -> RunPage:
    """Gather a run's page and copy its pictures into the site."""
    artefact = library.get(path)
    assert artefact.record is not None  # the report's inputs were checked
    pictures, size = copy_samples(Path(sample), site) if sample else ([], 0)
    losses = Path(path) / "losses.csv"
    chain = library.chain(path)
    for start in [sample, *(score["path"] for score in scores)]:
        chain += [item for item in library.chain(start) if item not in chain] if start else []
    metrics = [{**json.loads((Path(score["path"]) / "metric.json").read_text()), **score} for score in scores]
    return RunPage(
        path=path,
        file=f"run-{artefact.key}.html",
        name=artefact.name,
        verb=KINDS[artefact.kind].verb,
        artefact=artefact,
        configuration=flat(artefact.record["spec"]),
        facts=flat(artefact.record["facts"]) if artefact.record["facts"] else [],
        charts=[(curve.name, line_chart(curve)) for curve in read_curves(losses)] if losses.exists() else [],
        pictures=pictures,
        picture_size=size,
        grids=copy_grids(Path(path), site),
        scores=metrics,
        chain=chain,
    )


def copy_samples(sample: Path, site: Path) -> tuple[list[tuple[str, str]], int]:
    """The first samples as (address, caption), and their size in pixels."""
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
    """Captions of the pictures shown; images of others may come without."""
    path = sample / "captions.csv"
    if not path.exists():
        return ["(caption not known)"] * PICTURES
    with path.open(newline="", encoding="utf-8") as file:
        return [row["caption"] for row in islice(csv.DictReader(file), PICTURES)]


def copy_grids(run: Path, site: Path) -> list[tuple[str, str]]:
    """A few grids of the course of training, evenly spread, the last among them: (address, step)."""
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
