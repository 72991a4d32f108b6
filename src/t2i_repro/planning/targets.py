"""What people ask for by name: a paper, a table, a figure, a cell or a claim, as nodes of a plan."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.claims import Arithmetic, Call, Expression, Logic, Relation, cells_of, parse

RANKING = ("rank", "best", "highest", "lowest")  # functions that compare a cell with its whole column
GRAMMAR = (
    "a paper (ssa-gan), a table or figure (ssa-gan-table2, ssa-gan-fig5), a cell (ssa-gan-table2/id0/fid), "
    "a claim (ssa-gan/coco-fid), or data, encoders, checkpoints, report"
)


def papers_of(targets: Iterable[str], papers: Iterable[str]) -> list[str] | None:
    """The papers that targets are of; None if one of them is none's, so that all chosen ones are planned."""
    found: dict[str, None] = {}
    known = sorted(papers, key=len, reverse=True)
    for target in targets:
        first = target.split("/")[0]
        paper = next((name for name in known if first == name or first.startswith(f"{name}-")), None)
        if paper is None:
            return None
        found[paper] = None
    return list(found)


def nodes_of(planner: Planner, target: str) -> list[Node]:
    """The nodes that a target stands for. Raises ReproError naming what there is, or why nothing is built for it."""
    if target in planner.targets:
        return [planner.targets[target]]
    first, *parts = target.split("/")
    shown = {node.name: node for node in planner.nodes.values() if node.kind in ("table", "figure")}
    if not parts and first in planner.params["papers"]:
        return [node for node in shown.values() if node.spec["paper"] == first]
    if not parts and first in shown:
        return [shown[first]]
    if len(parts) == 2 and first in shown and shown[first].kind == "table":
        return cell(planner, shown[first], target, *parts)
    if len(parts) == 1 and first in planner.registry:
        return claim(planner, first, parts[0])
    allowed = [*planner.params["papers"], *shown, *planner.targets]
    near = get_close_matches(first, allowed, n=3, cutoff=0.5)
    raise ReproError(f"found {target!r}; expected {GRAMMAR}" + (f"; did you mean {', '.join(near)}?" if near else ""))


def cell(planner: Planner, table: Node, target: str, row: str, column: str) -> list[Node]:
    spec: dict[str, Any] = table.spec
    for name, part in ((row, "rows"), (column, "columns")):
        if name not in spec[part]:
            raise ReproError(f"{target}: {part}: found {name!r}; allowed: {', '.join(spec[part])}")
    inputs = planner.inputs_of(table)
    found = [node for role, node in inputs.items() if role.rpartition("/")[0] == f"{row}/{column}"]
    if not found:
        raise ReproError(f"{target}: {spec['missing'].get(f'{row}/{column}', 'nothing is printed there')}")
    return found


def claim(planner: Planner, paper: str, claim_id: str) -> list[Node]:
    """The scores that a claim is about, with those of the columns in which it ranks; printed cells are left out."""
    claims = planner.registry[paper].get("claims", {})
    if claim_id not in claims:
        raise ReproError(f"papers/{paper}.yaml: claims: found {claim_id!r}; allowed: {', '.join(claims) or 'none'}")
    tables = {
        node.spec["table"]: planner.inputs_of(node)
        for node in planner.nodes.values()
        if node.kind == "table" and node.spec["paper"] == paper
    }
    found: dict[str, Node] = {}
    condition = parse(claims[claim_id]["check"])
    ranked = set(ranked_columns(condition))
    for ref in cells_of(condition):
        for role, node in tables[ref.table].items():
            row, column, _ = role.split("/")
            if column == ref.column and (row == ref.row or (ref.table, column) in ranked):
                found[node.record] = node
    if not found:
        raise ReproError(f"{paper}/{claim_id}: all its cells are only printed: no system of ours rebuilds them")
    return list(found.values())


def ranked_columns(expression: Expression) -> Iterator[tuple[str, str]]:
    """(table, column) of the cells that a claim compares with all others of their column."""
    match expression:
        case Call() if expression.name in RANKING:
            yield from ((ref.table, ref.column) for ref in cells_of(expression))
        case Call():
            for argument in expression.arguments:
                yield from ranked_columns(argument)
        case Arithmetic() | Relation():
            yield from ranked_columns(expression.left)
            yield from ranked_columns(expression.right)
        case Logic():
            for part in expression.parts:
                yield from ranked_columns(part)
