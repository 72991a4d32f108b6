"""A table's content as CSV, Markdown, LaTeX and HTML."""

import csv
import io
from typing import Any

from t2i_repro.core.text import csv_text
from t2i_repro.rendering.markup import environment, latex, markdown

DASH = "—"
CSV_COLUMNS = (
    *("paper", "table", "row", "label", "column", "column_label", "printed", "printed_std", "printed_bound"),
    *("rebuilt", "rebuilt_std", "rebuilt_std_over", "difference", "difference_note", "protocol", "network", "n"),
    *("comparable", "scale", "scale_label", "data", "missing", "blank", "note", "source", "provenance", "seeds"),
    *("sampling_error", "rebuilt_low", "rebuilt_high"),
)


def title(content: dict[str, Any]) -> str:
    """`Table 2.`, from the registry's `table2`."""
    return content["table"].replace("table", "Table ", 1) + "."


def scale_line(content: dict[str, Any]) -> str:
    """Scale and data, to be shown with every rebuilt number."""
    return f"Rebuilt at {content['scale_label']}; {content['data_label']}."


def remarks(content: dict[str, Any]) -> list[str]:
    """The registry's note on the table, and its legend."""
    return [*([content["note"]] if content["note"] else []), " ".join(content["legend"])]


def as_csv(content: dict[str, Any]) -> str:
    """One line per cell, numbers with all their digits. Text that a spreadsheet would evaluate gets an apostrophe."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in content["rows"]:
        for column in content["columns"]:
            cell = row["cells"][column["id"]]
            printed, rebuilt, difference = cell["printed"] or {}, cell["rebuilt"] or {}, cell["difference"] or {}
            sampling, interval = rebuilt.get("sampling") or {}, rebuilt.get("interval") or {}
            requested = row["own"].get("protocol", column["protocol"])
            bound = "above" if printed.get("bound") else None
            values = [
                *(content["paper"], content["table"], row["id"], row["label"], column["id"], column["label"]),
                *(printed.get("value"), printed.get("std"), bound),
                *(rebuilt.get("value"), rebuilt.get("std"), rebuilt.get("std_over"), difference.get("value")),
                *(cell["not_comparable"], rebuilt.get("protocol", requested), rebuilt.get("network")),
                *(rebuilt.get("n"), rebuilt.get("comparable"), content["scale"], content["scale_label"]),
                *(content["data_label"], cell["missing"], cell["blank"], row["note"]),
                *(rebuilt.get("source"), rebuilt.get("provenance"), rebuilt.get("seeds"), sampling.get("error")),
                *(interval.get("low"), interval.get("high")),
            ]
            writer.writerow([csv_text(value) if isinstance(value, str) else value for value in values])
    return lines.getvalue()


def texts(cell: dict[str, Any], column: dict[str, Any]) -> list[tuple[str, bool, str | None]]:
    """(text, bold, note letters) of a cell's parts: printed, rebuilt and, if its column has any, difference."""
    printed, rebuilt, difference, marks = cell["printed"], cell["rebuilt"], cell["difference"], cell["marks"]
    parts: list[tuple[str, bool, str | None]] = []
    parts.append((printed["text"], printed["best"], None) if printed else (DASH, False, marks["blank"]))
    if rebuilt:
        letters = [marks["caveats"], None if "difference" in column["parts"] else marks["not_comparable"]]
        parts.append((rebuilt["text"], rebuilt["best"], " ".join(filter(None, letters)) or None))
    else:
        parts.append((DASH, False, marks["missing"]))
    if difference:
        parts.append((difference["text"].replace("-", "−"), False, None))
    else:
        parts.append(("not comparable" if marks["not_comparable"] else "", False, marks["not_comparable"]))
    return parts[: len(column["parts"])]


def row_label(row: dict[str, Any]) -> str:
    """The label, with an arrow if the row says which direction is better."""
    return f"{row['label']} {row['arrow']}".rstrip()


def column_title(part: str, column: dict[str, Any]) -> str:
    """Heading of one of a column's parts, for formats without nested headings."""
    return part if part == "difference" else f"{column['heading']} {part}"


def as_markdown(content: dict[str, Any]) -> str:
    """GitHub Flavored Markdown."""

    def part(text: str, bold: bool, mark: str | None) -> str:
        shown = f"**{markdown(text)}**" if bold else markdown(text)
        return shown + (f"<sup>{mark}</sup>" if mark else "")

    heads = [""]
    for column in content["columns"]:
        measured = f"<br>{markdown(column['rebuilt_label'])}" if column["rebuilt_label"] else ""
        for name in column["parts"]:
            heads.append(markdown(column_title(name, column)) + (measured if name == "rebuilt" else ""))
    lines = [
        f"**{markdown(title(content))}** {markdown(content['caption'])}",
        "",
        f"*In print: {markdown(content['where'])}. {markdown(scale_line(content))}*",
        "",
        f"| {' | '.join(heads)} |",
        f"| --- |{' ---: |' * (len(heads) - 1)}",
    ]
    for row in content["rows"]:
        cells = [part(row_label(row), False, row["mark"])]
        for column in content["columns"]:
            cells += [part(*piece) for piece in texts(row["cells"][column["id"]], column)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"<sup>{note['mark']}</sup> {markdown(note['text'])}  " for note in content["notes"])]
    for sentence in remarks(content):
        lines += ["", markdown(sentence)]
    return "\n".join(lines) + "\n"


def as_latex(content: dict[str, Any]) -> str:
    """A `table` float; the document needs the package booktabs."""

    def part(text: str, bold: bool, mark: str | None) -> str:
        shown = rf"\textbf{{{latex(text)}}}" if bold else latex(text)
        return shown + (rf"\textsuperscript{{{mark}}}" if mark else "")

    columns, indent = content["columns"], "  "
    spans = [len(column["parts"]) for column in columns]
    groups = [
        rf"\multicolumn{{{span}}}{{c}}{{{latex(column['heading'])}}}"
        for span, column in zip(spans, columns, strict=True)
    ]
    starts = [2 + sum(spans[:index]) for index in range(len(spans))]
    rules = [rf"\cmidrule(lr){{{start}-{start + span - 1}}}" for start, span in zip(starts, spans, strict=True)]
    names = [name for column in columns for name in column["parts"]]
    measured = [
        rf"{{\scriptsize {latex(column['rebuilt_label'])}}}" if name == "rebuilt" and column["rebuilt_label"] else ""
        for column in columns
        for name in column["parts"]
    ]
    lines = [
        r"% needs \usepackage[T1]{fontenc} and \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(content['caption'])} {latex(scale_line(content))}}}",
        rf"\label{{tab:{content['paper']}-{content['table']}}}",
        rf"\begin{{tabular}}{{l{'r' * sum(spans)}}}",
        r"\toprule",
        f"{indent}& {' & '.join(groups)} \\\\",
        f"{indent}{' '.join(rules)}",
        f"{indent}& {' & '.join(names)} \\\\",
        f"{indent}& {' & '.join(measured)} \\\\",
        r"\midrule",
    ]
    for row in content["rows"]:
        cells = [part(row_label(row), False, row["mark"])]
        for column in columns:
            cells += [part(*piece) for piece in texts(row["cells"][column["id"]], column)]
        lines.append(f"{indent}{' & '.join(cells)} \\\\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip\raggedright\footnotesize"]
    lines += [rf"\textsuperscript{{{note['mark']}}} {latex(note['text'])}\par" for note in content["notes"]]
    lines += [rf"{latex(sentence)}\par" for sentence in remarks(content)] + [r"\end{table}"]
    return "\n".join(lines) + "\n"


def as_html(content: dict[str, Any], links: dict[str, str] | None = None) -> str:
    """An HTML fragment. ``links``: address of the page that shows a score, by the digest of its metric."""
    template = environment().get_template("table.html")
    shown = {"title": title(content), "scale_line": scale_line(content), "remarks": remarks(content)}
    return template.render(table=content, texts=texts, row_label=row_label, links=links or {}, **shown)
