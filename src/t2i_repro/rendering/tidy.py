"""Every result as one tidy table: a line per cell of a printed table, with its printed and its rebuilt value."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from t2i_repro.core.record import atomic_write
from t2i_repro.core.text import csv_text
from t2i_repro.errors import ReproError
from t2i_repro.registry.papers import measured_in
from t2i_repro.registry.printed import read_cell

# Columns and their dtypes; docs/page.md says what they mean. Missing values are NaN (<NA> for strings, integers and
# booleans).
DTYPES = {
    **dict.fromkeys(("paper", "table", "row", "column", "where", "row_label", "column_label"), "string"),
    **dict.fromkeys(("system", "dataset", "protocol", "metric", "unit", "better"), "string"),
    **dict.fromkeys(("printed", "printed_std"), "float64"),
    "printed_is_bound": "boolean",
    "blank": "string",
    **dict.fromkeys(("rebuilt", "rebuilt_std"), "float64"),
    **dict.fromkeys(("rebuilt_std_is", "rebuilt_std_over"), "string"),
    "seeds": "Int64",
    **dict.fromkeys(("low", "high", "sampling_error"), "float64"),
    "n": "Int64",
    **dict.fromkeys(("measured_by", "network", "source", "provenance"), "string"),
    **dict.fromkeys(("standin", "comparable"), "boolean"),
    "not_comparable": "string",
    "difference": "float64",
    **dict.fromkeys(("verdict", "missing", "scale", "data"), "string"),
}
NOT_PLANNED = "not planned: its paper is not among `papers`, or this scale cannot be planned"


def tidy_table(
    papers: Mapping[str, Mapping[str, dict[str, Any]]],
    contents: Mapping[tuple[str, str], dict[str, Any]],
    protocols: Mapping[str, dict[str, Any]],
) -> pd.DataFrame:
    """A line for every cell of the registry's tables, in the order of print.

    ``papers``: tables by paper and id. ``contents``: rebuilt tables (`table_content`) by (paper, table). ``protocols``:
    those of params.yaml.
    """
    lines = [
        {**printed_values(paper, table_id, table, row_id, column_id, protocols), **rebuilt}
        for paper, tables in papers.items()
        for table_id, table in tables.items()
        for row_id, column_id, rebuilt in rebuilt_cells(table, contents.get((paper, table_id)))
    ]
    frame = pd.DataFrame(lines, columns=list(DTYPES))
    return frame.astype(DTYPES)


def printed_values(
    paper: str, table_id: str, table: dict[str, Any], row_id: str, column_id: str, protocols: Mapping[str, Any]
) -> dict[str, Any]:
    """Identity and printed value of a cell."""
    row, column = table["rows"][row_id], table["columns"][column_id]
    cell = read_cell(paper, table_id, table, row_id, row, column_id)
    return {
        **{"paper": paper, "table": table_id, "row": row_id, "column": column_id, "where": table["where"]},
        **{"row_label": row["label"], "column_label": column["label"]},
        **{"system": measured_in(row, column).get("system"), "dataset": cell.dataset, "protocol": cell.protocol},
        **{"metric": protocols.get(cell.protocol or "", {}).get("metric"), "unit": cell.unit, "better": cell.better},
        **{"printed": cell.value, "printed_std": cell.std, "blank": cell.blank},
        "printed_is_bound": None if cell.value is None else cell.bound,
    }


def rebuilt_cells(table: dict[str, Any], content: dict[str, Any] | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(row, column, rebuilt values) of every cell of a table."""
    if content is None:
        for row_id in table["rows"]:
            for column_id in table["columns"]:
                yield row_id, column_id, {"missing": NOT_PLANNED}
        return
    of_table = {"scale": content["scale"], "data": content["data_label"]}
    for row in content["rows"]:
        for column_id, cell in row["cells"].items():
            digits = measured_in(table["rows"][row["id"]], table["columns"][column_id])["digits"]
            yield row["id"], column_id, {**of_table, **rebuilt_values(cell, digits)}


def rebuilt_values(cell: dict[str, Any], digits: int) -> dict[str, Any]:
    """Rebuilt value of a cell with its uncertainty and provenance, or the reason that there is none."""
    rebuilt = cell["rebuilt"]
    if rebuilt is None:
        return {"missing": cell["missing"]}
    interval = rebuilt["interval"] or {}
    return {
        **{"rebuilt": rebuilt["value"], "rebuilt_std": rebuilt["std"]},
        **{"rebuilt_std_is": rebuilt["std_is"], "rebuilt_std_over": rebuilt["std_over"], "seeds": rebuilt["seeds"]},
        **{"low": interval.get("low"), "high": interval.get("high")},
        "sampling_error": (rebuilt["sampling"] or {}).get("error"),
        "n": rebuilt["n"] if isinstance(rebuilt["n"], int) else None,
        **{"measured_by": rebuilt["protocol"], "network": rebuilt["network"]},
        **{key: rebuilt[key] for key in ("source", "provenance", "standin", "comparable")},
        **{"not_comparable": cell["not_comparable"], "difference": (cell["difference"] or {}).get("value")},
        "verdict": verdict(cell, digits),
    }


def verdict(cell: dict[str, Any], digits: int) -> str | None:
    """`agrees` if the 95% interval of the rebuilt value overlaps what rounds to the printed one, else `differs`.

    None if there is no interval, or the values are not comparable.
    """
    if cell["difference"] is None or cell["rebuilt"]["interval"] is None:
        return None
    half = 0.5 * 10.0**-digits
    printed, interval = cell["printed"]["value"], cell["rebuilt"]["interval"]
    return "agrees" if interval["low"] <= printed + half and printed - half <= interval["high"] else "differs"


def write(frame: pd.DataFrame, kind: str, out: Path | None) -> None:
    """Write a table as `csv` or `parquet` to a file, or as CSV to standard output.

    Raises ReproError for Parquet without a file.
    """
    if kind == "csv":
        strings = [name for name, dtype in DTYPES.items() if dtype == "string"]
        frame = frame.assign(**{name: frame[name].map(csv_text, na_action="ignore") for name in strings})
        content = frame.to_csv(index=False, lineterminator="\n")
        if out is None:
            sys.stdout.write(content)
        else:
            with atomic_write(out) as file:
                file.write(content.encode())
    elif out is None:
        raise ReproError("tables: --format parquet writes binary data; name a file with --out")
    else:
        with atomic_write(out) as file:
            frame.to_parquet(file, index=False)
