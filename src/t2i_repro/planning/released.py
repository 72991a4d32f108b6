"""The parameters that this project ships for the papers' own scale, and how a plan differs from them.

`released.json` holds a *recipe* for every score of the papers: the specs of the score and of all that it is built
from, without seeds and without the identity of raw files, which are counted instead (data/released.py). No edit of
params.yaml or papers/, and no ``--set``, changes that file: a number whose recipe is another one is not comparable with
print, and the differences say why. It also holds what each cell prints and measures.

``make released`` (shipping.py) writes it from params.yaml and papers/.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import digest
from t2i_repro.metrics.comparison import COMPARABLE_SCALE, unique
from t2i_repro.planning.graph import Graph
from t2i_repro.registry.papers import measured_in

FILE = Path(__file__).with_name("released.json")
# Of a spec, not of a recipe: seeds, the identity of raw files, and of what others made.
OWN = ("seed", "manifest", "content", "checkpoint", "provenance")
PRINTED = ("printed", "protocol", "dataset", "system", "network", "real", "better")
MOST = 6  # differences of one artefact that are listed one by one


class Recipes:
    """Recipes of a graph's nodes, each by its digest."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[str, dict[str, Any]] = {}
        self._of: dict[str, str] = {}

    def of(self, node: Node) -> str:
        """Digest of a node's recipe."""
        if node.digest not in self._of:
            inputs = {role: self.of(source) for role, source in sorted(self.graph.inputs_of(node).items())}
            recipe = {"kind": kind_of(node), "spec": spec_of(node), "inputs": inputs}
            name = digest(recipe)
            self.known.setdefault(name, recipe)
            self._of[node.digest] = name
        return self._of[node.digest]


def kind_of(node: Node) -> str:
    """The kind of a recipe: a run trained elsewhere has that of a training."""
    return "train" if node.kind == "import-run" else node.kind


def spec_of(node: Node) -> dict[str, Any]:
    own = (*OWN, "captions") if node.kind == "import-samples" else OWN  # of samples: the file of their captions
    return {key: value for key, value in node.spec.items() if key not in own}


def chain(graph: Graph, node: Node) -> Iterator[Node]:
    """A node and all that it is built from, each once."""
    seen, pending = {node.digest}, [node]
    while pending:
        current = pending.pop()
        yield current
        for source in graph.inputs_of(current).values():
            if source.digest not in seen:
                seen.add(source.digest)
                pending.append(source)


def score_key(graph: Graph, score: Node) -> str:
    """The name of a score without the seed of its run: what it is called in `released.json`."""
    if any(node.kind == "import-run" for node in chain(graph, score)):
        return score.name.replace("-outside-", "-", 1)
    return re.sub(r"-s[0-9]+(?=-)", "", score.name, count=1)


def describe(row: dict[str, Any], column: dict[str, Any], column_id: str) -> dict[str, Any]:
    """What a cell prints, and of what."""
    measured = {**row, **measured_in(row, column), "printed": row["printed"].get(column_id)}
    return {key: measured[key] for key in PRINTED if measured.get(key) is not None}


@cache
def read_released() -> dict[str, Any]:
    """The shipped recipes."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return {**content, "version": digest(content)}


def compare(graph: Graph) -> None:
    """Note in every score and table of a plan at the papers' scale how it differs from what is shipped.

    It is part of `runtime`, not of the digests: those cover all that it follows from but the shipped values.
    """
    if graph.params["scale"] != COMPARABLE_SCALE:
        return
    comparison = Comparison(graph, read_released())
    for node in graph.nodes.values():
        if node.kind == "score":
            node.runtime.update(comparison.of_score(node))
        elif node.kind == "table":
            node.runtime.update(comparison.of_table(node))


class Comparison:
    """The scores and tables of a plan, compared with the shipped ones."""

    def __init__(self, graph: Graph, released: dict[str, Any]) -> None:
        self.graph, self.released = graph, released
        self.recipes = Recipes(graph)
        self.shipped_scores = {*released["scores"].values()}
        self.shipped_scores |= {cell["outside"] for cell in released["cells"].values() if "outside" in cell}

    def of_score(self, node: Node) -> dict[str, Any]:
        """For `runtime` of a score: `changed` parameters, the folders of its `data`, and the `release`."""
        changed: list[str] = []
        if self.recipes.of(node) not in self.shipped_scores:
            expected = self.released["scores"].get(score_key(self.graph, node))
            changed = [f"{node.name}: not among the scores that this project ships"]
            if expected is not None:
                changed = self.differences(node, expected)
            elif any(source.kind == "import-samples" for source in chain(self.graph, node)):
                changed = []  # of a row, whose cells are compared
        folders: dict[tuple[Any, ...], dict[str, str]] = {}
        for source in chain(self.graph, node):
            if source.kind == "prepare" and not source.inputs:
                key = (source.spec["manifest"], source.spec["layout"], source.spec.get("year"))
                folders.setdefault(key, {})[source.folder] = source.digest
        data = [{"year": year, "folders": found} for (_, _, year), found in folders.items()]
        return {"changed": changed, "data": data, "release": self.released["version"]}

    def of_table(self, table: Node) -> dict[str, Any]:
        """For `runtime` of a table: what `changed` in each cell that has a score, and the `release`."""
        changed: dict[str, list[str]] = {}
        scores = self.graph.inputs_of(table)
        for role, score in scores.items():
            row_id, column_id, _ = role.split("/")
            row, column = table.spec["rows"][row_id], table.spec["columns"][column_id]
            name = f"{table.spec['paper']}/{table.spec['table']}/{row_id}/{column_id}"
            cell = f"{row_id}/{column_id}"
            changed[cell] = unique(
                [*changed.get(cell, []), *self.of_cell(name, describe(row, column, column_id), score)]
            )
        return {"changed": {cell: reasons for cell, reasons in changed.items() if reasons}} | {
            "release": self.released["version"]
        }

    def of_cell(self, name: str, about: dict[str, Any], score: Node) -> list[str]:
        """How a cell and its score differ from the shipped ones."""
        known = self.released["cells"].get(name)
        if known is None:
            return [f"{name}: not among the cells that this project ships (`make released` adds those of a new paper)"]
        found = [
            f"{name}: {key} is {about.get(key)}, shipped as {known.get(key)}"
            for key in PRINTED
            if about.get(key) != known.get(key)
        ]
        outside = any(source.kind == "import-samples" for source in chain(self.graph, score))
        expected = known.get("outside" if outside else "score")
        if not found and expected is None:
            found.append(f"{name}: shipped without a score")
        return found or self.differences(score, expected)

    def differences(self, node: Node, expected: str, seen: set[tuple[str, str]] | None = None) -> list[str]:
        """How a node and what it is built from differ from a shipped recipe, its nearest inputs first."""
        seen = set() if seen is None else seen
        if self.recipes.of(node) == expected or (node.digest, expected) in seen:
            return []
        seen.add((node.digest, expected))
        recipe = self.released["recipes"][expected]
        if kind_of(node) != recipe["kind"]:
            return [f"{node.name}: kind is {kind_of(node)}, shipped as {recipe['kind']}"]
        place = node.kind if node.kind != "train" else re.sub(r"-s[0-9]+$", "", node.name)
        found = [f"{place}: {text}" for text in changes(spec_of(node), recipe["spec"])]
        if len(found) > MOST:
            found[MOST:] = [f"{place}: {len(found) - MOST} more differences"]
        inputs = self.graph.inputs_of(node)
        for role in sorted(inputs.keys() | recipe["inputs"].keys()):
            if role == "raw":  # stand-in data, which are named as such
                continue
            if role not in inputs or role not in recipe["inputs"]:
                found.append(f"{place}: input {role} is {'missing' if role not in inputs else 'new'}")
            else:
                found += self.differences(inputs[role], recipe["inputs"][role], seen)
        return unique(found)


def changes(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """`epochs is 1, shipped as 200`, for every value of a spec that differs."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            yield from changes(found.get(key, "not set"), expected.get(key, "not set"), f"{path}.{key}".lstrip("."))
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for index, (one, other) in enumerate(zip(found, expected, strict=True), 1):
            yield from changes(one, other, f"{path}.{index}")
    elif found != expected:
        yield f"{path} is {short(found)}, shipped as {short(expected)}"


def short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
