"""Verb `report`: one static site that opens from disk, with every table, figure, run and record.

``index.html`` (papers x tables), ``paper-<id>.html``, ``numbers.html`` (every cell), ``audit.html``,
``divergences.html``, ``runs.html``, ``run-<run>.html``, ``style.css``, ``page.js``, ``files/`` (what a reader may take
away), ``pictures/`` and ``records/``. Needs no torch.
"""

import shutil
from pathlib import Path
from typing import Any

from t2i_repro.audit.audit import Audit, audit
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, code_version
from t2i_repro.rendering.charts import read_curves
from t2i_repro.rendering.divergences import Entry, read_divergences
from t2i_repro.rendering.dots import dot_plot, key_marks
from t2i_repro.rendering.formats import as_html
from t2i_repro.rendering.overview import gaps, natural, numbers, obstacles, state
from t2i_repro.rendering.markup import TEMPLATES, environment
from t2i_repro.rendering.provenance import Library, duration
from t2i_repro.rendering.runs import RunPage, run_page
from t2i_repro.rendering.shown import (
    FigureMissing,
    FigureShown,
    TableShown,
    figure_name,
    read_figure,
    read_table,
)
from t2i_repro.rendering.vector_files import save_disagreements, save_losses

RUNS = ("train", "import-run", "import-samples")  # kinds that have a page of their own


def run(node: Node, out: Path, build: Build) -> None:
    """Build the site aside, then put it in the place of the old one, whose files all go."""
    fresh = out / ".fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        build.facts |= Site(node, fresh).write()
        replace_content(out, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def replace_content(out: Path, fresh: Path) -> None:
    """Move what is in `fresh` into `out`. The old record goes first: a mixture is never a complete report."""
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
        self.tables: dict[str, list[TableShown]] = {paper: [] for paper in node.spec["papers"]}
        self.figures: dict[str, list[FigureShown | FigureMissing]] = {paper: [] for paper in node.spec["papers"]}
        self.divergences: list[Entry] = read_divergences(node.spec["divergences"])
        for role, given in node.inputs.items():
            paper = role.split("/")[0]
            if given.kind == "table":
                self.tables[paper].append(read_table(given, node.scale))
            elif given.kind == "figure":
                self.figures[paper].append(read_figure(given, node.scale))
        for role, spec in node.spec["not_built"].items():
            paper, figure = role.split("/")
            self.figures[paper].append(
                FigureMissing(spec.get("label", figure_name(figure)), role.replace("/", "-"), spec)
            )
        for figures in self.figures.values():
            figures.sort(key=lambda shown: natural(shown.anchor))

    def write(self) -> dict[str, int]:
        """Write every page. Returns counts, for the record."""
        runs = self.run_pages()
        links = {score["digest"]: f"{page.file}#score-{score['digest']}" for page in runs for score in page.scores}
        for name in ("style.css", "page.js"):
            shutil.copyfile(TEMPLATES / name, self.folder / name)
        self.copy_files()
        found = self.audit()
        for paper in self.node.spec["papers"]:
            rendered = [(table, as_html(table.content, links)) for table in self.tables[paper]]
            about = list(filter(None, (section.about(paper) for section in self.divergences)))
            told = {"paper": self.papers()[paper], "tables": rendered, "audit": found.of(paper), "about": about}
            self.page(f"paper-{paper}.html", "paper.html", **told)
        self.audit_page(found)
        for page in runs:
            self.save_losses(page)
        self.page("numbers.html", "numbers.html", numbers=numbers(self.tables), links=links)
        self.page("divergences.html", "divergences.html", sections=self.divergences)
        for page in runs:
            self.page(page.file, "run.html", run=page, duration=duration, used_in=self.used_in(page))
        self.page("runs.html", "runs.html", runs=runs, duration=duration)
        self.overview(found, runs)
        self.copy_records()
        tables = [table for shown in self.tables.values() for table in shown]
        figures = [figure for shown in self.figures.values() for figure in shown if not figure.reason]
        claims = sum(len(judged) for judged in found.claims.values())
        return {"tables": len(tables), "figures": len(figures), "runs": len(runs), "claims": claims}

    def overview(self, found: Audit, runs: list[RunPage]) -> None:
        """What there is of all papers, at a glance and in lists."""
        total = sum(item.record["wall_seconds"] for item in self.library.known.values() if item.record)
        shown = {"papers": self.papers(), "runs": runs, "total": duration(total), "audit": found, "state": state}
        names = sorted({table.name for given in self.tables.values() for table in given}, key=natural)
        why = {"gaps": gaps(self.tables), "obstacles": obstacles(self.tables)}
        self.page("index.html", "index.html", names=names, **shown, **why)

    def audit(self) -> Audit:
        """The audit of every paper of the registry, on the tables shown."""
        tables = {
            paper: {table.content["table"]: table.content for table in given} for paper, given in self.tables.items()
        }
        return audit(self.node.spec["registry"], self.node.spec["systems"], tables)

    def audit_page(self, found: Audit) -> None:
        """Claims, contradictions and disagreements of all papers."""
        registry = self.node.spec["registry"]
        compared = [
            paper
            for paper in registry
            if any(paper == given.cell.paper for one in found.compared for given in one.prints)
        ]
        inside = {paper: [one for one in found.contradictions if one.paper == paper] for paper in registry}
        if found.compared:
            said = ["What several papers print of the same system, dataset and metric."]
            save_disagreements(self.folder / "files/between-papers", found.compared, compared, said)
        self.page(
            "audit.html",
            "audit.html",
            audit=found,
            titles={paper: content["title"] for paper, content in registry.items()},
            inside={paper: given for paper, given in inside.items() if given},
            compared_papers=compared,
            key=key_marks(compared),
            plot=dot_plot(found.compared, compared),
        )

    def save_losses(self, page: RunPage) -> None:
        """The loss curves of a run as files to take away."""
        if page.charts:
            labels = f"{page.artefact.key}; {self.node.spec['scale_label']}; {self.node.spec['data_label']}."
            curves = read_curves(Path(page.path) / "losses.csv")
            save_losses(self.folder / f"files/losses-{page.artefact.key}", curves, [labels])

    def papers(self) -> dict[str, dict[str, Any]]:
        """Papers by id, each with its tables and figures."""
        return {
            key: {"id": key, **paper, "tables": self.tables[key], "figures": self.figures[key]}
            for key, paper in self.node.spec["papers"].items()
        }

    def run_pages(self) -> list[RunPage]:
        """One page per training or import, with the samples and the scores that belong to it."""
        samples: dict[str, str] = {}
        for given in self.node.inputs.values():
            record = self.library.get(given.path).record
            if given.kind == "sample" and record:
                samples[record["inputs"]["run"]["path"]] = given.path
        scores: dict[str, dict[str, dict[str, Any]]] = {}
        for shown in self.tables.values():
            for score in (score for table in shown for score in table.scores()):
                scores.setdefault(self.owner(score), {})[score["digest"]] = score
        return [
            run_page(
                self.library,
                given.path,
                given.path if given.kind == "import-samples" else samples.get(given.path),
                list(scores.get(given.path, {}).values()),
                self.folder,
            )
            for given in self.node.inputs.values()
            if given.kind in RUNS
        ]

    def owner(self, score: dict[str, Any]) -> str:
        """Folder of the run, or of the images of others, that a score is of; empty where it is of data alone."""
        if score["run"]:
            return str(score["run"]["path"])
        return next((str(item.path) for item in self.library.chain(score["path"]) if item.kind == "import-samples"), "")

    def used_in(self, page: RunPage) -> list[tuple[str, str]]:
        """(address, name) of every table and figure that shows a run."""
        found = []
        for paper in self.papers().values():
            for table in paper["tables"]:
                if any(self.owner(score) == page.path for score in table.scores()):
                    found.append((f"paper-{paper['id']}.html#{table.anchor}", f"{paper['id']}, {table.name}"))
            for figure in paper["figures"]:
                if isinstance(figure, FigureShown) and page.path in self.behind(figure):
                    found.append((f"paper-{paper['id']}.html#{figure.anchor}", f"{paper['id']}, {figure.name}"))
        return found

    def behind(self, figure: FigureShown) -> set[str]:
        """Folders of the runs that a figure shows, or whose scores it plots: of each input the nearest."""
        chains = [self.library.chain(path) for path in figure.inputs]
        return {next((str(item.path) for item in chain if item.kind in RUNS), "") for chain in chains}

    def comparable(self) -> int:
        """Number of cells that may be compared with print."""
        return sum(table.counts["comparable"] for shown in self.tables.values() for table in shown)

    def copy_files(self) -> None:
        """Tables and figures to take away, under the names a reader would give them."""
        shown: list[TableShown | FigureShown] = [table for given in self.tables.values() for table in given]
        shown += [figure for given in self.figures.values() for figure in given if isinstance(figure, FigureShown)]
        (self.folder / "files").mkdir()
        for item in shown:
            for name, source in item.files().items():
                shutil.copyfile(source, self.folder / "files" / name)

    def copy_records(self) -> None:
        """The record of everything shown and of all it was built from."""
        for given in self.node.inputs.values():
            self.library.chain(given.path)
        for shown in self.tables.values():
            for table in shown:
                for score in table.scores():
                    self.library.chain(score["path"])
        target = self.folder / "records"
        target.mkdir()
        for artefact in self.library.known.values():
            if artefact.record:
                shutil.copyfile(artefact.path / "record.json", target / f"{artefact.key}.json")

    def page(self, name: str, template: str, **shown: Any) -> None:
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
            # the folder's place is a machine's, not the result's: it is in no spec
            "given": " data_root=FOLDER" if self.node.spec["data_label"] == "real data" else "",
        }
        text = environment().get_template(template).render(**common, **shown)
        (self.folder / name).write_text(text, encoding="utf-8")
