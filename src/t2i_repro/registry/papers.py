"""The registry: papers/*.yaml, their tables, figures and claims, and the systems they define."""

from pathlib import Path
from typing import Any

from t2i_repro.core.schema import read_yaml, validate
from t2i_repro.errors import ReproError
from t2i_repro.registry.claim_checks import check_claims


def load_papers(project: Path) -> dict[str, dict[str, Any]]:
    """Every paper of the registry by id, validated. Raises ReproError naming file and key."""
    papers = {}
    for path in sorted((project / "papers").glob("*.yaml")):
        paper = read_yaml(path)
        validate(paper, "paper.yaml", str(path))
        if paper["id"] != path.stem:
            raise ReproError(f"{path}: id: found {paper['id']!r}; expected the file's name, {path.stem!r}")
        check_cells(paper, path)
        check_figures(paper, path)
        check_claims(paper, path)
        papers[paper["id"]] = paper
    if not papers:
        raise ReproError(f"{project / 'papers'}: no paper found; run from the project's folder")
    return papers


def check_cells(paper: dict[str, Any], path: Path) -> None:
    """Every cell is printed or blank with a reason, and stands in a column of its table."""
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
    """Every figure has the keys of its kind, and no others."""
    for figure_id, figure in paper["figures"].items():
        validate(figure, "figures.yaml", str(path), figure["kind"], f"figures.{figure_id}")


def blank_reason(row: dict[str, Any], column_id: str) -> str | None:
    """Why a cell of a row is blank in print; None where no reason is given."""
    reasons = row.get("blank")
    return reasons.get(column_id) if isinstance(reasons, dict) else reasons


def measured_in(row: dict[str, Any], column: dict[str, Any]) -> dict[str, Any]:
    """What a cell measures, and of which system: its column, except where the row says otherwise (tables with metrics
    as rows)."""
    own: dict[str, Any] = {key: row[key] for key in ("system", "protocol", "dataset", "better", "digits") if key in row}
    return {**column, **own}
