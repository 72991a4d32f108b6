"""The guard of people's trained runs: no refactoring changes the name of an artefact."""

from pathlib import Path

from t2i_repro.planning.plan import Planner

NAMES = Path(__file__).with_name("names-at-650de1c.txt")


def test_results_built_by_an_earlier_version_are_found(project: Path) -> None:
    """Every name but the report's, whose page changes, is as commit 650de1c planned it: kind, name and digest.

    A line may change only where the meaning of a result does; then its component's revision goes up.
    """
    planned = {Path(node.spec_file).name for node in Planner(project).nodes.values() if node.kind != "report"}
    assert planned == set(NAMES.read_text(encoding="utf-8").split())
