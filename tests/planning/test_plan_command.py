"""`t2i-repro plan`: how many trainings the tables rest on."""

from pathlib import Path

import pytest

from t2i_repro.planning.command import filled
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_papers


@pytest.mark.parametrize(
    ("paper", "expected"),
    [
        # Table 1 has 5 systems of ours, Table 2 two more, Table 3 five more; COCO's column is left out.
        ("ssa-gan", (12, 5 + 4 + 6, 10 + 8 + 12)),
        # Table 3 counts a dataset's images: no training. Stage-I of StackGAN fills no cell itself.
        ("icsd-gan", (9, 7 + 4, 14 + 8)),
        # Table 3 evaluates encoders.
        ("gr-gan", (0, 0, 0)),
    ],
)
def test_rows_that_share_a_configuration_share_a_training(
    project: Path, paper: str, expected: tuple[int, int, int]
) -> None:
    planner = Planner(project, {"papers": [paper], "scales": {"smoke": {"datasets": ["cub"]}}, "data_root": None})
    assert filled(planner) == expected


def test_the_documentation_has_the_count_of_all_papers(project: Path) -> None:
    papers = list(load_papers(project))
    scales = {"smoke": {"datasets": ["cub", "oxford", "coco"]}}
    trainings, rows, cells = filled(Planner(project, {"papers": papers, "scales": scales, "data_root": None}))
    said = f"{trainings} GAN trainings fill {cells} cells of {rows} table rows"
    assert said in (project / "docs/architecture.md").read_text()
