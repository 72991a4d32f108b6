"""Words and rules of comparability with print (docs/metrics.md). Needs neither torch nor NumPy."""

from collections.abc import Iterable, Sequence
from typing import Any

COMPARABLE_SCALE = "paper"  # of params.yaml: the only scale whose numbers are comparable with printed ones
OLD = "scored before data and parameters were checked against the papers'; remove its folder and score it again"
UNPLANNED = "the spec has no comparison with the shipped parameters; run `t2i-repro plan` again"


def checked(metric: dict[str, Any]) -> dict[str, Any]:
    """A `metric.json`. One of an earlier version, which called every number at the papers' scale comparable, is not."""
    if metric["comparable"] and not metric.get("release"):
        return {**metric, "comparable": False, "obstacles": [OLD]}
    return metric


def is_outdated(table: dict[str, Any]) -> bool:
    """Whether a `table.json` has cells that an earlier version, which did not check data, called comparable."""
    cells = [cell["rebuilt"] for row in table["rows"] for cell in row["cells"].values()]
    unchecked = table["scale"] == COMPARABLE_SCALE and not table.get("release")
    return unchecked and any(cell and cell["comparable"] for cell in cells)


def why_not(obstacles: Sequence[str]) -> str:
    """`smoke scale, stand-in data`; `paper scale, but: sample: images is 100, shipped as 30000`."""
    if any(obstacle.endswith(" scale") for obstacle in obstacles):
        return ", ".join(obstacles)
    return f"paper scale, but: {'; '.join(obstacles)}"


def unique(reasons: Iterable[str]) -> list[str]:
    """The distinct reasons in their order."""
    return list(dict.fromkeys(reasons))
