"""The pipeline with its real verbs, as a user runs it: the demo, and the same on real photographs."""

import csv
import json
import resource
from pathlib import Path

import pytest
from browser import check_site
from project_copy import Copy, make_copy

from t2i_repro.data.prepared import Prepared

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

# `make demo` may take 6 minutes on two cores. CPU time is what a busy machine does not change.
DEMO_CPU_SECONDS = 2 * 6 * 60


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rebuilt(copy: Copy, table: str) -> dict[tuple[str, str], str]:
    """Rebuilt values of a table by row and column, from its CSV."""
    (path,) = (copy.folder / "results/smoke/tables").glob(f"ssa-gan-{table}-*/table.json")
    rows = json.loads(path.read_text())["rows"]
    return {
        (row["id"], column): cell["rebuilt"]["text"]
        for row in rows
        for column, cell in row["cells"].items()
        if cell["rebuilt"]
    }


def check_tables_and_figure(copy: Copy) -> None:
    columns = ("is", "fid")
    assert set(rebuilt(copy, "table2")) == {(f"id{row}", column) for row in range(4) for column in columns}
    assert set(rebuilt(copy, "table3")) == {(f"masks-{n}", column) for n in range(2, 8) for column in columns}
    (figure,) = (copy.folder / "results/smoke/figures").glob("ssa-gan-fig5-*/figure.png")
    assert figure.stat().st_size > 10_000
    check_site(copy.folder / "results/smoke/report")


def test_the_demo_builds_tables_figure_and_page(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    before = cpu_seconds()
    copy.snakemake("--resources", "gpu=2")
    assert cpu_seconds() - before < DEMO_CPU_SECONDS
    check_tables_and_figure(copy)
    assert copy.is_idle()


def test_the_same_targets_build_from_real_birds(project: Path, shared: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    # README's command, at fewer epochs: there are five times as many images as in the demo.
    fewer = "scales={smoke: {train: {epochs: 1}, damsm: {epochs: 2}}}"
    copy.snakemake("--resources", "gpu=2", "--config", f"data_root={shared / 'data'}", fewer)
    check_tables_and_figure(copy)

    (folder,) = (copy.folder / "results/smoke/data").glob("cub-64-*")
    prepared = Prepared(folder)
    assert not prepared.raw_is_standin
    assert {split: len(members) for split, members in prepared.splits.items()} == {"train": 598, "test": 234}
    # The captions below the previews are those that people wrote for the image they are said to belong to.
    for sample in (copy.folder / "results/smoke/samples").glob("*/captions.csv"):
        with sample.open(newline="", encoding="utf-8") as file:
            for row in list(csv.DictReader(file))[:5]:
                written = shared / "data/CUB_200_2011/text_c10" / f"{row['image_id']}.txt"
                assert row["caption"] in written.read_text(encoding="utf-8", errors="replace").replace("�", " ")
    page = (copy.folder / "results/smoke/report/index.html").read_text()
    assert "real data" in page
