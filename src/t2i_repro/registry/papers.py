"""The registry: papers/*.yaml with their tables, figures, claims and systems."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2i_repro.core.schema import read_yaml, validate
from t2i_repro.errors import ReproError
from t2i_repro.registry.claims import check_claims

BASELINES = "baselines"  # papers/baselines.yaml: systems of papers that have no tables here
# Rules of the workflow. Papers, tables and figures are targets of Snakemake too, so they may have none of these names.
RULES = {
    *("all", "data", "encoders", "checkpoints", "page"),
    *("standin", "prepare", "fetch", "outside", "pretrain", "train", "sample", "embed", "judge", "score"),
    *("table", "figure", "report", "store"),
}


@dataclass(frozen=True)
class Registry:
    """What papers/ holds. `papers` by id; `definitions`: their systems and those of baselines.yaml, by file."""

    papers: dict[str, dict[str, Any]]
    definitions: dict[str, dict[str, dict[str, Any]]]


def load_registry(project: Path) -> Registry:
    """Read and validate papers/*.yaml. Raises ReproError naming file and key."""
    papers, definitions = {}, {}
    for path in sorted((project / "papers").glob("*.yaml")):
        content = read_yaml(path)
        validate(content, "paper.yaml", str(path), BASELINES if path.stem == BASELINES else "")
        if content["id"] != path.stem:
            raise ReproError(f"{path}: id: found {content['id']!r}; expected the file's name, {path.stem!r}")
        definitions[f"papers/{path.name}"] = content["systems"]
        if path.stem != BASELINES:
            check_cells(content, path)
            check_figures(content, path)
            check_claims(content, path)
            papers[path.stem] = content
    if not papers:
        raise ReproError(f"{project / 'papers'}: no paper found; run from the project's folder")
    check_targets(papers)
    return Registry(papers, definitions)


def load_papers(project: Path) -> dict[str, dict[str, Any]]:
    """Every paper of the registry by id, validated. Raises ReproError naming file and key."""
    return load_registry(project).papers


def load_definitions(project: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The systems of papers/*.yaml as written, by file: input of `resolve_systems`."""
    return load_registry(project).definitions


def check_targets(papers: dict[str, dict[str, Any]]) -> None:
    """Raise ReproError where two papers, tables or figures, or one and a rule, would be one target of Snakemake."""
    taken = dict.fromkeys(RULES, "a rule of the workflow")
    for paper_id, paper in papers.items():
        names = [paper_id, *(f"{paper_id}-{shown}" for shown in (*paper["tables"], *paper["figures"]))]
        for name in names:
            if name in taken:
                raise ReproError(
                    f"papers/{paper_id}.yaml: {name!r} is the name of {taken[name]}, and one name asks for one thing; "
                    f"give the paper another id"
                )
            taken[name] = f"what papers/{paper_id}.yaml defines"


def check_cells(paper: dict[str, Any], path: Path) -> None:
    """Raise ReproError unless every cell is printed, or blank with a reason, in a column of its table."""
    for table_id, table in paper["tables"].items():
        allowed = ", ".join(table["columns"])
        for row_id, row in table["rows"].items():
            place = f"{path}: tables.{table_id}.rows.{row_id}"
            reasons = row.get("blank", {})
            by_column = {} if isinstance(reasons, str) else reasons
            for key, columns in (("printed", row["printed"]), ("blank", by_column)):
                for column in columns:
                    if column not in table["columns"]:
                        raise ReproError(f"{place}.{key}: found column {column!r}; allowed: {allowed}")
            for column in table["columns"]:
                if column in row["printed"]:
                    if column in by_column:
                        raise ReproError(f"{place}.blank: {column!r} is not blank; drop it here or in `printed`")
                elif blank_reason(row, column) is None:
                    raise ReproError(f"{place}: {column!r} has neither a printed value nor a reason in `blank`")
            if isinstance(reasons, str) and len(row["printed"]) == len(table["columns"]):
                raise ReproError(f"{place}.blank: found {reasons!r}, but the row has no blank")


def check_figures(paper: dict[str, Any], path: Path) -> None:
    """Raise ReproError unless every figure has the keys of its kind and no others."""
    for figure_id, figure in paper["figures"].items():
        validate(figure, "figures.yaml", str(path), figure["kind"], f"figures.{figure_id}")


def blank_reason(row: dict[str, Any], column_id: str) -> str | None:
    """Why a cell of a row is blank in print; None without a reason."""
    reasons = row.get("blank")
    return reasons.get(column_id) if isinstance(reasons, dict) else reasons


def measured_in(row: dict[str, Any], column: dict[str, Any]) -> dict[str, Any]:
    """What a cell measures, and of which system: the keys of its column, overridden by those of its row (tables with
    metrics as rows)."""
    own: dict[str, Any] = {key: row[key] for key in ("system", "protocol", "dataset", "better", "digits") if key in row}
    return {**column, **own}
