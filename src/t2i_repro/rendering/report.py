"""Verb `report`: one static site that opens from disk, with every table, figure, run and record.

``index.html`` (papers x tables), ``paper-<id>.html``, ``numbers.html`` (every cell), ``audit.html``,
``divergences.html``, ``runs.html``, ``run-<run>.html``, ``style.css``, ``page.js``, ``files/`` (downloads),
``pictures/`` and ``records/``. Needs no torch.
"""

import shutil
from pathlib import Path
from typing import Any

from t2i_repro.audit.audit import Audit, audit
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, code_version, read_recorded
from t2i_repro.metrics.comparison import why_not
from t2i_repro.rendering.charts import HEIGHT, WIDTH
from t2i_repro.rendering.divergences import Entry, read_divergences
from t2i_repro.rendering.dots import dot_plot, key_marks, save_dot_plot
from t2i_repro.rendering.formats import as_html
from t2i_repro.rendering.markup import TEMPLATES, environment
from t2i_repro.rendering.rendered import (
    MissingFigure,
    RenderedFigure,
    RenderedTable,
    figure_name,
    gaps,
    natural,
    numbers,
    obstacles,
    progress,
    read_figure,
    read_table,
)
from t2i_repro.rendering.runs import Library, RunPage, duration, run_page

RUNS = ("train", "import-run", "import-samples")  # kinds that have a page of their own


def run(node: Node, out: Path, build: Build) -> None:
    """Build the site in a folder of its own, then replace the old one with it."""
    fresh = out / ".fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        build.facts |= Site(node, fresh).write()
        replace_content(out, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def replace_content(out: Path, fresh: Path) -> None:
    """Replace the files of `out` by those of `fresh`. Remove the record first: a mixture must not look complete."""
    for record in out.glob("record*.json"):
        record.unlink()
    for old in out.iterdir():
        if old == fresh:
            continue
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    for new in fresh.iterdir():
        new.rename(out / new.name)


class Site:
    """The pages of one report, written to `folder`."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.library = Library()
        self.tables: dict[str, list[RenderedTable]] = {paper: [] for paper in node.spec["papers"]}
        self.figures: dict[str, list[RenderedFigure | MissingFigure]] = {paper: [] for paper in node.spec["papers"]}
        self.divergences: list[Entry] = read_divergences(node.spec["divergences"])
        for role, source in node.inputs.items():
            paper = role.split("/")[0]
            if source.kind == "table":
                self.tables[paper].append(read_table(source))
            elif source.kind == "figure":
                self.figures[paper].append(read_figure(source))
        for role, spec in node.spec["not_built"].items():
            paper, figure = role.split("/")
            self.figures[paper].append(
                MissingFigure(spec.get("label", figure_name(figure)), role.replace("/", "-"), spec)
            )
        for figures in self.figures.values():
            figures.sort(key=lambda figure: natural(figure.anchor))

    def write(self) -> dict[str, int]:
        """Write every page. Returns counts, for the record."""
        self.copy_files()
        runs = self.run_pages()
        links = {score["digest"]: f"{page.file}#score-{score['digest']}" for page in runs for score in page.scores}
        audited = self.audit()
        for paper in self.node.spec["papers"]:
            tables = [(table, as_html(table.content, links)) for table in self.tables[paper]]
            about = list(filter(None, (section.about(paper) for section in self.divergences)))
            content = {"paper": self.papers()[paper], "tables": tables, "audit": audited.of(paper), "about": about}
            self.page(f"paper-{paper}.html", "paper.html", **content)
        self.audit_page(audited)
        self.page("numbers.html", "numbers.html", numbers=list(numbers(self.tables)), links=links)
        self.page("divergences.html", "divergences.html", sections=self.divergences)
        for page in runs:
            used_in = self.used_in(page)
            functions = {"duration": duration, "why_not": why_not}
            self.page(page.file, "run.html", run=page, used_in=used_in, chart_size=(WIDTH, HEIGHT), **functions)
        self.page("runs.html", "runs.html", runs=runs, duration=duration)
        self.overview(audited, runs)
        self.copy_records()
        built = [figure for figures in self.figures.values() for figure in figures if not figure.reason]
        claims = sum(map(len, audited.claims.values()))
        return {
            "tables": sum(map(len, self.tables.values())),
            "figures": len(built),
            "runs": len(runs),
            "claims": claims,
        }

    def overview(self, audited: Audit, runs: list[RunPage]) -> None:
        """Write the first page: the state of all papers, as a grid and in lists."""
        total = sum(item.record["wall_seconds"] for item in self.library.known.values() if item.record)
        self.page(
            "index.html",
            "index.html",
            papers=self.papers(),
            names=sorted({table.name for tables in self.tables.values() for table in tables}, key=natural),
            runs=runs,
            total=duration(total),
            audit=audited,
            progress=progress,
            gaps=gaps(self.tables),
            obstacles=obstacles(self.tables),
        )

    def audit(self) -> Audit:
        """The audit of every paper of the registry, with the rebuilt numbers of this report."""
        tables = {paper: {table.content["table"]: table.content for table in own} for paper, own in self.tables.items()}
        return audit(self.node.spec["registry"], self.node.spec["systems"], tables)

    def audit_page(self, audited: Audit) -> None:
        """Write claims, contradictions and disagreements of all papers."""
        registry = self.node.spec["registry"]
        several = {printed.cell.paper for one in audited.compared for printed in one.prints}
        compared = [paper for paper in registry if paper in several]
        inside = {paper: [one for one in audited.contradictions if one.paper == paper] for paper in registry}
        if audited.compared:
            note = "Values that several papers print for the same system, dataset and metric."
            save_dot_plot(self.folder / "files/between-papers", audited.compared, compared, [note])
        self.page(
            "audit.html",
            "audit.html",
            audit=audited,
            titles={paper: content["title"] for paper, content in registry.items()},
            inside={paper: found for paper, found in inside.items() if found},
            compared_papers=compared,
            key=key_marks(compared),
            plot=dot_plot(audited.compared, compared),
        )

    def papers(self) -> dict[str, dict[str, Any]]:
        """Papers by id, each with its tables and figures."""
        return {
            key: {"id": key, **paper, "tables": self.tables[key], "figures": self.figures[key]}
            for key, paper in self.node.spec["papers"].items()
        }

    def run_pages(self) -> list[RunPage]:
        """The page of every run, trained or external, with its samples and scores."""
        samples: dict[str, str] = {}
        for source in self.node.inputs.values():
            record = self.library.get(source.path).record
            if source.kind == "sample" and record:
                samples[record["inputs"]["run"]["path"]] = source.path
        scores: dict[str, dict[str, dict[str, Any]]] = {}
        for tables in self.tables.values():
            for score in (score for table in tables for score in table.scores()):
                scores.setdefault(self.run_of(score), {})[score["digest"]] = score
        note = f"{self.node.spec['scale_label']}; {self.node.spec['data_label']}."
        return [
            run_page(
                self.library,
                source.path,
                source.path if source.kind == "import-samples" else samples.get(source.path),
                list(scores.get(source.path, {}).values()),
                self.folder,
                note,
            )
            for source in self.node.inputs.values()
            if source.kind in RUNS
        ]

    def run_of(self, score: dict[str, Any]) -> str:
        """Folder of the run or the external images that a score belongs to; empty for a score of data alone."""
        if score["run"]:
            return str(score["run"]["path"])
        return next((str(item.path) for item in self.library.chain(score["path"]) if item.kind == "import-samples"), "")

    def used_in(self, page: RunPage) -> list[tuple[str, str]]:
        """(address, name) of every table and figure that uses a run."""
        found = []
        for paper in self.papers().values():
            for table in paper["tables"]:
                if any(self.run_of(score) == page.path for score in table.scores()):
                    found.append((f"paper-{paper['id']}.html#{table.anchor}", f"{paper['id']}, {table.name}"))
            for figure in paper["figures"]:
                if isinstance(figure, RenderedFigure) and page.path in self.runs_of(figure):
                    found.append((f"paper-{paper['id']}.html#{figure.anchor}", f"{paper['id']}, {figure.name}"))
        return found

    def runs_of(self, figure: RenderedFigure) -> set[str]:
        """Folders of the runs that a figure shows, or whose scores it plots: the nearest one of each input."""
        chains = [self.library.chain(path) for path in figure.inputs]
        return {next((str(item.path) for item in chain if item.kind in RUNS), "") for chain in chains}

    def comparable(self) -> int:
        """Number of cells that are comparable with print."""
        return sum(table.counts["comparable"] for tables in self.tables.values() for table in tables)

    def copy_files(self) -> None:
        """Copy style, script, and the downloads of tables and figures, with names that a reader understands."""
        for name in ("style.css", "page.js"):
            shutil.copyfile(TEMPLATES / name, self.folder / name)
        items: list[RenderedTable | RenderedFigure] = [table for tables in self.tables.values() for table in tables]
        items += [figure for own in self.figures.values() for figure in own if isinstance(figure, RenderedFigure)]
        (self.folder / "files").mkdir()
        for item in items:
            for name, source in item.files().items():
                (self.folder / "files" / name).write_bytes(read_recorded(source.parent, source.name))

    def copy_records(self) -> None:
        """Copy the record of everything shown and of everything it was built from."""
        for source in self.node.inputs.values():
            self.library.chain(source.path)
        for score in (score for tables in self.tables.values() for table in tables for score in table.scores()):
            self.library.chain(score["path"])
        target = self.folder / "records"
        target.mkdir()
        for artefact in self.library.known.values():
            if artefact.record:
                shutil.copyfile(artefact.path / "record.json", target / f"{artefact.key}.json")

    def page(self, name: str, template: str, **content: Any) -> None:
        """Write one page from its template."""
        common = {
            "file": name,
            "scale": self.node.scale,
            "scale_label": self.node.spec["scale_label"],
            "data_label": self.node.spec["data_label"],
            "comparable": self.comparable(),
            "nav": [("index.html", "Overview")]
            + [(f"paper-{paper}.html", paper) for paper in self.node.spec["papers"]]
            + [("numbers.html", "Numbers"), ("audit.html", "Audit"), ("runs.html", "Runs")],
            "code": code_version(),
            # Where the data are differs between machines, so it is in no spec.
            "data_option": " data_root=FOLDER" if self.node.spec["data_label"] == "real data" else "",
        }
        text = environment().get_template(template).render(**common, **content)
        (self.folder / name).write_text(text, encoding="utf-8")
