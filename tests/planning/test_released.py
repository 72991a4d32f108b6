"""The parameters that the project ships for the papers' scale."""

import json
from pathlib import Path

from t2i_repro.planning.released import FILE, read_released
from t2i_repro.planning.shipping import as_lines, shipped


def test_the_shipped_parameters_are_those_of_params_and_papers(project: Path) -> None:
    """Run `make released` after a change of params.yaml or papers/ that is meant."""
    content = as_lines(shipped(project))
    assert json.loads(content) == json.loads(FILE.read_bytes())
    assert content == FILE.read_bytes()


def test_every_score_has_its_recipe() -> None:
    released = read_released()
    recipes = released["recipes"]
    wanted = {*released["scores"].values()}
    wanted |= {cell[key] for cell in released["cells"].values() for key in ("score", "outside") if key in cell}
    wanted |= {name for recipe in recipes.values() for name in recipe["inputs"].values()}
    assert wanted == {*recipes}
    for recipe in recipes.values():
        assert not recipe["spec"].keys() & {"seed", "manifest"}
