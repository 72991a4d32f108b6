"""docs/adding-a-text-encoder.md, followed to the letter."""

import json
import re
from pathlib import Path

import pytest
from howto import follow, run_commands
from project_copy import make_copy

PAGE = "docs/adding-a-text-encoder.md"
FILES = [
    "src/t2i_repro/models/text_encoders/bag_of_words.py",
    "src/t2i_repro/models/encoders/bag_of_words.py",
    "src/t2i_repro/sampling/bag_of_words.py",
    "src/t2i_repro/training/bag_of_words.py",
    "params.yaml",
    "papers/bag-of-words.yaml",
]


@pytest.mark.slow
def test_a_text_encoder_runs_from_its_declaration_to_a_table(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    assert follow(project / PAGE, copy) == FILES
    printed = run_commands(project / PAGE, copy)
    (encoder,) = copy.folder.glob("results/smoke/encoders/cub-bag-of-words-*")
    trained = json.loads((encoder / "record.json").read_text())
    assert (trained["kind"], trained["spec"]["encoder"]) == ("text-encoder", "bag-of-words")
    assert (encoder / "encoder.pt").exists()
    (run,) = copy.folder.glob("results/smoke/runs/cub-bag-gan-s0-*")
    record = json.loads((run / "record.json").read_text())
    assert record["inputs"]["text"]["digest"] == trained["digest"]
    found = re.search(r"^Bag of words.*\n +rebuilt +(\d+\.\d+)", printed, re.MULTILINE)
    assert found, printed


def test_its_parameters_are_checked_by_the_declaration(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    follow(project / PAGE, copy)

    def refused() -> str:
        done = copy.run("t2i-repro", "plan", "--set", "papers=[bag-of-words]", check=False)
        assert done.returncode == 2
        return done.stderr

    copy.edit("params.yaml", "backbone: imagenet", "backbones: imagenet")
    assert "bag_of_words: unknown key 'backbones' (value 'imagenet'); allowed: backbone, batch" in refused()
    copy.edit("params.yaml", "bag_of_words:", "bag_of_word:")
    assert "unknown key 'bag_of_word'" in refused()
