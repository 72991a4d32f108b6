"""The plan: every table, figure and page of the chosen papers, and the graph of artefacts that they need."""

from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import as_json, write_json
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import artefact_kinds
from t2i_repro.planning import evaluation, external, figures
from t2i_repro.planning.graph import Graph


class Planner(Graph):
    """Plans everything for one scale. ``targets`` holds what a user may ask for by name."""

    def __init__(self, project: Path, overrides: dict[str, Any] | None = None):
        super().__init__(project, overrides)
        external.check_outside(self)
        for paper in self.params["papers"]:
            if paper not in self.registry:
                allowed = ", ".join(self.registry)
                raise ReproError(f"params.yaml: papers: found {paper!r}; allowed: {allowed}")
        self.targets = self.plan_targets()

    def table(self, paper: str, table_id: str) -> Node:
        """A printed table beside its rebuilt cells. A cell without a run says why."""
        table = self.registry[paper]["tables"][table_id]
        inputs: dict[str, Node] = {}
        missing: dict[str, str] = {}
        for row_id, row in table["rows"].items():
            for column_id, column in table["columns"].items():
                scores, reason = evaluation.cell(self, row_id, row, column)
                inputs |= {f"{row_id}/{column_id}/{seed}": node for seed, node in scores.items()}
                if reason is not None:
                    missing[f"{row_id}/{column_id}"] = reason
        spec = {"paper": paper, "table": table_id, **table, "missing": missing, **self.labels()}
        return self.add("table", f"{paper}-{table_id}", spec, inputs)

    def figure(self, paper: str, figure_id: str) -> Node:
        """A figure and what it is drawn from. Raises ReproError where this scale cannot draw it."""
        return figures.figure(self, paper, figure_id)

    def report(self) -> Node:
        """The page: every table and figure of the chosen papers, the samples and the runs behind them, and the audit of
        all papers."""
        shown: dict[str, Node] = {}
        not_built: dict[str, dict[str, str]] = {}
        for paper in self.params["papers"]:
            for table_id in self.registry[paper]["tables"]:
                shown[f"{paper}/{table_id}"] = self.table(paper, table_id)
            for figure_id, figure in self.registry[paper]["figures"].items():
                reason = figures.missing(self, figure, f"papers/{paper}.yaml: figures.{figure_id}")
                if reason is None:
                    shown[f"{paper}/{figure_id}"] = self.figure(paper, figure_id)
                else:  # no node: the page says why
                    told = {key: figure[key] for key in ("label", "where", "caption") if key in figure}
                    not_built[f"{paper}/{figure_id}"] = {**told, "reason": reason}
        kinds = ("train", "sample", "import-run", "import-samples")
        # Runs are shown as they ended.
        behind = [node for node in self.nodes.values() if node.kind in kinds and "snapshot" not in node.spec]
        shown |= {f"{node.kind}/{node.name}": node for node in behind}
        papers = {
            paper: {key: self.registry[paper][key] for key in ("title", "authors", "source")}
            for paper in self.params["papers"]
        }
        audited = ("id", "title", "tables", "claims")
        registry = {
            paper: {key: content[key] for key in audited if key in content} for paper, content in self.registry.items()
        }
        spec = {
            "papers": papers,
            "registry": registry,
            "systems": self.definitions,
            "not_built": not_built,
            **self.labels(),
        }
        divergences = self.project / "docs/divergences.md"  # part of the page, so of what determines it
        spec["divergences"] = divergences.read_text(encoding="utf-8") if divergences.is_file() else ""
        return self.add("report", "report", spec, shown)

    def store(self, name: str, kinds: tuple[str, ...]) -> Node:
        """Leaves for DVC: copies of what is worth versioning, at paths that do not change."""
        leaves = {f"{node.kind}-{node.name}": node for node in self.nodes.values() if node.kind in kinds}
        return self.add("store", name, {}, leaves)

    def plan_targets(self) -> dict[str, Node]:
        """What a user may ask for by name: the report and the stores. Everything else follows from them."""
        return {
            "report": self.report(),
            "data": self.store("data", ("prepare",)),
            "encoders": self.store("encoders", (*artefact_kinds(), "classifier")),
            "checkpoints": self.store("checkpoints", ("train",)),
        }


def write_specs(planner: Planner) -> None:
    """Write the spec files that are not there, or whose `where` or `how`, which no digest tells of, has changed."""
    for node in planner.nodes.values():
        path = planner.project / node.spec_file
        content = node.to_json()
        if not path.exists() or path.read_bytes() != as_json(content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)
