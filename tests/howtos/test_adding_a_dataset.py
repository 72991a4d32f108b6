"""docs/adding-a-dataset.md, followed to the letter."""

import re
from pathlib import Path

import pytest
from howto import follow, run_commands
from project_copy import make_copy


@pytest.mark.slow
def test_a_dataset_is_an_entry_and_a_layout_one_new_file(project: Path, tmp_path: Path) -> None:
    page = project / "docs/adding-a-dataset.md"
    copy = make_copy(project, tmp_path, fakes=False)
    added = follow(page, copy)
    assert added == ["params.yaml", "src/t2i_repro/data/layouts/jsonl.py", "params.yaml", "papers/shapes.yaml"]
    printed = run_commands(page, copy)
    rebuilt = dict(re.findall(r"^(My birds|Shapes|SSA-GAN) +–\n +rebuilt +(\S+)", printed, re.MULTILINE))
    assert rebuilt.keys() == {"My birds", "Shapes", "SSA-GAN"}
    assert (rebuilt["My birds"], rebuilt["Shapes"]) == ("180", "180")
    assert float(rebuilt["SSA-GAN"]) > 0
