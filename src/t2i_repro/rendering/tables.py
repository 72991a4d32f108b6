"""Verb `render` for tables: every cell with its printed value, its rebuilt value, and whether they are comparable.

Needs no torch, and neither does anything it imports.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, as_json, atomic_write
from t2i_repro.errors import ReproError
from t2i_repro.metrics.comparison import checked, unique, why_not
from t2i_repro.metrics.images import outside_remarks
from t2i_repro.metrics.score_file import read_metric
from t2i_repro.registry.papers import blank_reason, measured_in
from t2i_repro.rendering.formats import as_csv, as_html, as_latex, as_markdown
from t2i_repro.rendering.spread import format_value, known_digits, spread_of

FORMATS = {"csv": as_csv, "md": as_markdown, "tex": as_latex, "html": as_html}
ARROWS = {"higher": "↑", "lower": "↓", None: ""}
PARTS = ("printed", "rebuilt", "difference")


def run(node: Node, out: Path, build: Build) -> None:
    """Write ``table.{csv,md,tex,html,json}``. A cell without a score is shown with the reason."""
    content = table_content(node)
    for name, file in table_files(content).items():
        with atomic_write(out / name) as target:
            target.write(file)
    cells = [cell for row in content["rows"] for cell in row["cells"].values()]
    build.facts |= {
        "cells": len(cells),
        "printed": sum(cell["printed"] is not None for cell in cells),
        "rebuilt": sum(cell["rebuilt"] is not None for cell in cells),
        "comparable": sum(bool(cell["rebuilt"] and cell["rebuilt"]["comparable"]) for cell in cells),
    }


def table_files(content: dict[str, Any]) -> dict[str, bytes]:
    """The files of a table by name."""
    files = {f"table.{suffix}": write(content).encode() for suffix, write in FORMATS.items()}
    return {**files, "table.json": as_json(content)}


def table_content(node: Node) -> dict[str, Any]:
    """Content of a table as JSON, from the scores among its inputs, whose roles are ``row/column/seed``.

    A cell that the plan found changed (planning/released.py) is not comparable with print, whatever its scores say.

    Raises ReproError if an input is not a cell of the table, or its metric cannot be read.
    """
    spec = node.spec
    scores = read_scores(node)
    columns = [{"id": key, **column, "heading": heading(column)} for key, column in spec["columns"].items()]
    rows = []
    for row_id, row in spec["rows"].items():
        cells = {
            column["id"]: cell_content(
                row["printed"].get(column["id"]),
                scores.get((row_id, column["id"]), []),
                measured_in(row, column)["digits"],
                blank=blank_reason(row, column["id"]),
                missing=spec["missing"].get(f"{row_id}/{column['id']}"),
                changed=node.runtime.get("changed", {}).get(f"{row_id}/{column['id']}", []),
            )
            for column in columns
        }
        own = {key: row[key] for key in ("protocol", "better") if key in row}
        kept = {key: row.get(key) for key in ("label", "system", "note")}
        rows.append({"id": row_id, **kept, "arrow": ARROWS[own.get("better")], "own": own, "cells": cells})
    for column in columns:
        own_cells = [row["cells"][column["id"]] for row in rows]
        labels = {cell["rebuilt"]["label"] for cell in own_cells if cell["rebuilt"]}
        column["rebuilt_label"] = labels.pop() if len(labels) == 1 else None
        column["parts"] = list(PARTS if any(cell["difference"] for cell in own_cells) else PARTS[:2])
    mark_all_best(rows, columns)
    content = {key: spec[key] for key in ("paper", "table", "where", "caption", "scale_label", "data_label")}
    content |= {"note": spec.get("note"), "scale": node.scale, "columns": columns, "rows": rows}
    content["release"] = node.runtime.get("release")
    content |= {"notes": mark_notes(rows), "legend": legend(rows)}
    return content


def read_scores(node: Node) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Metrics by (row, column), one per seed, each with the seed and its folder."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for role, source in node.inputs.items():
        try:
            row, column, seed = role.split("/")
            spec_row, _ = node.spec["rows"][row], node.spec["columns"][column]
        except (ValueError, KeyError) as error:
            raise ReproError(f"table {node.name}: input {role!r} is no cell of it; expected row/column/seed") from error
        origin = {"seed": int(seed), "path": source.path, "digest": source.digest, "system": spec_row.get("system")}
        found.setdefault((row, column), []).append({**checked(read_metric(Path(source.path))), **origin})
    return found


def heading(column: dict[str, Any]) -> str:
    """`CUB FID ↓`, `R-precision (%) ↑`."""
    unit = f" ({column['unit']})" if column.get("unit") else ""
    return f"{column['label']}{unit} {ARROWS[column['better']]}".rstrip()


def cell_content(
    printed: float | list[float] | dict[str, float] | None,
    scores: list[dict[str, Any]],
    digits: int,
    blank: str | None,
    missing: str | None,
    changed: Sequence[str] = (),
) -> dict[str, Any]:
    """One cell. It has a difference only if every score is comparable with print; otherwise it says why not."""
    cell: dict[str, Any] = {"printed": None, "blank": None, "rebuilt": None, "missing": None, "difference": None}
    cell["not_comparable"] = None
    if printed is None:
        cell["blank"] = blank or "blank in print"
    else:
        cell["printed"] = printed_content(printed, digits)
    if not scores:
        cell["missing"] = missing or "not run"
        return cell
    rebuilt = rebuilt_content(scores, digits, changed)
    cell["rebuilt"] = rebuilt
    if not rebuilt["comparable"]:
        cell["not_comparable"] = f"not comparable ({why_not(rebuilt['obstacles'])})"
    elif cell["printed"] and not cell["printed"]["bound"]:
        difference = rebuilt["value"] - cell["printed"]["value"]
        text = format_value(abs(difference), None, rebuilt["digits"])
        cell["difference"] = {"value": difference, "text": f"{'-' if difference < 0 else '+'}{text}"}
    return cell


def printed_content(printed: float | list[float] | dict[str, float], digits: int) -> dict[str, Any]:
    """A printed value: a number, [value, ±], or {above: bound}, which is printed as `> 111`."""
    if isinstance(printed, dict):
        return {"value": printed["above"], "std": None, "bound": True, "text": f"> {printed['above']:g}", "best": False}
    value, std = printed if isinstance(printed, list) else (printed, None)
    return {"value": value, "std": std, "bound": False, "text": format_value(value, std, digits), "best": False}


def rebuilt_content(scores: list[dict[str, Any]], digits: int, changed: Sequence[str]) -> dict[str, Any]:
    """Mean over the seeds of a cell's scores, its uncertainty (`spread_of`), and what it was measured with.

    ``changed``: how the cell differs from the shipped one, obstacles to a comparison besides those of its scores.
    """
    spread = spread_of(scores)
    digits = known_digits(spread.digits_by, digits)
    protocols, counts = sorted({score["protocol"] for score in scores}), sorted({score["n"] for score in scores})
    label = f"{', '.join(protocols)}, N = {', '.join(map(str, counts))}"
    outside = next((score["outside"] for score in scores if score.get("outside")), None)
    return {
        "value": spread.value,
        "std": spread.std,
        "std_over": spread.std_over,
        "std_is": spread.std_is,
        "seeds": len(scores),
        "sampling": spread.sampling,
        "interval": spread.interval,
        "exact": spread.exact,
        "digits": digits,
        "text": format_value(spread.value, spread.std, digits),
        "best": False,
        "protocol": ", ".join(protocols),
        "network": ", ".join(sorted({score["network"] for score in scores})),
        "n": counts[0] if len(counts) == 1 else counts,
        "label": label if len(scores) == 1 else f"{label}, {len(scores)} seeds",
        "source": "trained" if outside is None else outside["source"],
        "provenance": None if outside is None else outside_remarks(outside)[0],
        "standin": any(score["standin"] for score in scores),
        "comparable": all(score["comparable"] for score in scores) and not changed,
        "obstacles": unique([*(reason for score in scores for reason in score["obstacles"]), *changed]),
        "caveats": list(dict.fromkeys(caveat for score in scores for caveat in score["caveats"])),
        "scores": [
            {key: score[key] for key in ("seed", "value", "std", "n", "path", "digest", "run")} for score in scores
        ],
    }


def mark_all_best(rows: list[dict[str, Any]], columns: list[dict[str, Any]]) -> None:
    """Mark the best cells: of a column, and of a row that names its own metric."""
    for column in columns:
        mark_best([row["cells"][column["id"]] for row in rows if not row["own"]], column["better"], column["digits"])
    for row in rows:
        if row["own"]:
            directions = {column["better"] for column in columns}
            better = row["own"].get("better", directions.pop() if len(directions) == 1 else None)
            mark_best(list(row["cells"].values()), better, max(column["digits"] for column in columns))


def mark_best(cells: list[dict[str, Any]], better: str | None, digits: int) -> None:
    """Mark the best of cells that measure one quantity, separately for printed and rebuilt values.

    Rebuilt values are compared only if all were measured in one way. Values equal in the digits shown share the mark.
    """
    if better is None:
        return
    choose = max if better == "higher" else min
    for part in ("printed", "rebuilt"):
        entries = [cell[part] for cell in cells if cell[part] and not cell[part].get("bound")]
        if len(entries) < 2 or (part == "rebuilt" and len({entry["label"] for entry in entries}) > 1):
            continue
        rounded = [round(entry["value"], entry.get("digits", digits)) for entry in entries]
        for entry, value in zip(entries, rounded, strict=True):
            entry["best"] = value == choose(rounded)


def mark_notes(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Give each distinct note a letter, in reading order, and each cell the letters of its notes. Returns the notes."""
    letters: dict[str, str] = {}

    def mark(text: str | None) -> str | None:
        return None if text is None else letters.setdefault(text, letter(len(letters)))

    for row in rows:
        row["mark"] = mark(row["note"])
        for cell in row["cells"].values():
            cell["marks"] = {key: mark(cell[key]) for key in ("blank", "missing", "not_comparable")}
            if cell["rebuilt"]:
                cell["marks"]["caveats"] = " ".join(filter(None, map(mark, cell["rebuilt"]["caveats"]))) or None
    return [{"mark": mark, "text": text} for text, mark in letters.items()]


def letter(index: int) -> str:
    """a, b, .., z, aa, ab, .."""
    return (letter(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def legend(rows: list[dict[str, Any]]) -> list[str]:
    """How to read the table: bold values, and what follows ±."""
    over: dict[str, list[str]] = {}
    for cell in (cell["rebuilt"] for row in rows for cell in row["cells"].values() if cell["rebuilt"]):
        if cell["std"] is not None and cell["std_over"] not in over.setdefault(cell["std_is"], []):
            over[cell["std_is"]].append(cell["std_over"])
    sentences = ["Bold: best of the column, printed and rebuilt values apart."]
    if over:
        kinds = "; ".join(f"{kind} over {' or '.join(sorted(what))}" for kind, what in sorted(over.items()))
        sentences.append(f"Rebuilt ±: {kinds}; printed ± as in the paper.")
    return sentences
