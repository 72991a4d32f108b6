"""The plan: every table, figure and page of the chosen papers, and the graph of artefacts that they need."""

from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import as_json, write_json
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import artefact_kinds
from t2i_repro.planning import evaluation, external, figures, released, sizes
from t2i_repro.planning.graph import Graph


class Planner(Graph):
    """The full plan of one scale. ``targets``: what a user can ask for by name."""

    def __init__(self, project: Path, overrides: dict[str, Any] | None = None, *, estimate: bool = False):
        super().__init__(project, overrides, estimate=estimate)
        external.check_outside(self)
        for paper in self.params["papers"]:
            if paper not in self.registry:
                allowed = ", ".join(self.registry)
                raise ReproError(f"params.yaml: papers: found {paper!r}; allowed: {allowed}")
        self.targets = self.plan_targets()
        self.check_effect(overrides or {})
        if not estimate:
            released.compare(self)
            sizes.check_sizes(self)

    def check_effect(self, overrides: dict[str, Any]) -> None:
        """Raise ReproError if a section was overridden that nothing in this plan reads."""
        for section in sorted(overrides.keys() - self.params.read - {"scales"}):
            raise ReproError(
                f"{section}: overridden, but nothing that {', '.join(self.params['papers'])} need at scale "
                f"{self.params['scale']} reads it, so it would have no effect; drop it"
            )

    def table(self, paper: str, table_id: str) -> Node:
        """A table with the scores of its cells as inputs; ``missing`` has the reason for each cell without any."""
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
        """A figure with what it is drawn from as inputs. Raises ReproError if this scale cannot draw it."""
        return figures.figure(self, paper, figure_id)

    def report(self) -> Node:
        """The page: tables and figures of the chosen papers, their runs and samples, and the audit of all papers."""
        inputs: dict[str, Node] = {}
        not_built: dict[str, dict[str, str]] = {}
        for paper in self.params["papers"]:
            for table_id in self.registry[paper]["tables"]:
                inputs[f"{paper}/{table_id}"] = self.table(paper, table_id)
            for figure_id, figure in self.registry[paper]["figures"].items():
                reason = figures.missing(self, figure, f"papers/{paper}.yaml: figures.{figure_id}")
                if reason is None:
                    inputs[f"{paper}/{figure_id}"] = self.figure(paper, figure_id)
                else:  # the page gives the reason instead
                    about = {key: figure[key] for key in ("label", "where", "caption") if key in figure}
                    not_built[f"{paper}/{figure_id}"] = {**about, "reason": reason}
        kinds = ("train", "sample", "import-run", "import-samples")
        # Samples of snapshots have no page of their own.
        behind = [node for node in self.nodes.values() if node.kind in kinds and "snapshot" not in node.spec]
        inputs |= {f"{node.kind}/{node.name}": node for node in behind}
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
        divergences = self.project / "docs/divergences.md"  # shown on the page, so part of its digest
        spec["divergences"] = divergences.read_text(encoding="utf-8") if divergences.is_file() else ""
        return self.add("report", "report", spec, inputs)

    def store(self, name: str, kinds: tuple[str, ...]) -> Node:
        """Copies of artefacts of these kinds at a path that does not change, for DVC to version."""
        leaves = {f"{node.kind}-{node.name}": node for node in self.nodes.values() if node.kind in kinds}
        return self.add("store", name, {}, leaves)

    def plan_targets(self) -> dict[str, Node]:
        """Plan the report and the stores, and with them everything that they need."""
        return {
            "report": self.report(),
            "data": self.store("data", ("prepare",)),
            "encoders": self.store("encoders", (*artefact_kinds(), "classifier")),
            "checkpoints": self.store("checkpoints", ("train",)),
        }


def write_specs(planner: Planner) -> None:
    """Write each spec file that is missing, or whose locations or runtime, which are not in the digest, changed."""
    for node in planner.nodes.values():
        path = planner.project / node.spec_file
        content = node.to_json()
        if not path.exists() or path.read_bytes() != as_json(content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)
