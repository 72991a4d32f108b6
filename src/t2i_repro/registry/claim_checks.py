"""The claims of papers/<id>.yaml, checked when the file is read."""

from pathlib import Path
from typing import Any

from t2i_repro.errors import ReproError
from t2i_repro.registry.claims import cells_of, parse


def check_claims(paper: dict[str, Any], path: Path) -> None:
    """Raise ReproError, naming file and claim, unless every claim can be read and speaks of cells that exist."""
    for claim_id, claim in paper.get("claims", {}).items():
        place = f"{path}: claims.{claim_id}.check"
        try:
            condition = parse(claim["check"])
        except ReproError as error:
            raise ReproError(f"{place}: {error}") from error
        for cell in cells_of(condition):
            table = paper["tables"].get(cell.table)
            for key, known in (
                (cell.table, paper["tables"]),
                (cell.row, table and table["rows"]),
                (cell.column, table and table["columns"]),
            ):
                if key not in known:
                    raise ReproError(f"{place}: found {cell.source}, with {key!r}; allowed: {', '.join(known)}")
