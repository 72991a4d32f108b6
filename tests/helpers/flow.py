"""The verbs of the flow, called as the command line calls them, on small nodes built by hand."""

from importlib import import_module
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import KINDS, Input, Node
from t2i_repro.core.record import building

HOW = {"checkpoint_every": 1000, "grid_every": 1000, "log_every": 10}


def build(folder: Path, kind: str, spec: dict[str, Any], inputs: dict[str, Node] | None = None, **how: int) -> Node:
    """Build a node in ``folder``; its inputs are nodes built there before."""
    given = {role: Input(str(folder / node.kind), node.digest, node.kind) for role, node in (inputs or {}).items()}
    node = Node(kind, kind, "test", spec, given, runtime={**HOW, **how})
    with building(node, folder / kind) as work:
        import_module(KINDS[node.kind].module).run(node, folder / kind, work)
    return node
