"""What is said of a figure, beside the picture itself."""

from dataclasses import dataclass, field
from typing import Any

from t2i_repro.core.artefact import Node


@dataclass(frozen=True)
class Told:
    """``alt``: the figure in words, for those who do not see it. ``notes``: sentences below it, the first from
    `heading`. ``rows``: what each row shows, for machines. ``best``: the file that shows it best on a screen."""

    alt: str
    notes: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: str = "figure.png"


def heading(node: Node) -> str:
    """The first note of every figure: scale, data, runs."""
    spec = node.spec
    runs = dict.fromkeys(
        given.path.rsplit("/", 1)[-1] for role, given in node.inputs.items() if role.split("/")[0] == "run"
    )
    return "; ".join([spec["scale_label"], spec["data_label"], *([", ".join(runs)] if runs else [])]) + "."


def registry_notes(node: Node) -> list[str]:
    """Notes that follow from the registry: its own, and the systems that are printed only."""
    notes = [node.spec["note"]] if "note" in node.spec else []
    absent = [column["label"] for column in node.spec.get("systems", []) if "system" not in column]
    if absent:
        notes.append(f"Printed only, no run of ours: {', '.join(absent)}.")
    return notes
