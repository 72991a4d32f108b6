"""docs/adding-a-network.md, followed to the letter."""

import json
import re
from pathlib import Path

import pytest
from howto import follow, run_commands
from project_copy import make_copy

PAGE = "docs/adding-a-network.md"
FILES = [
    "src/t2i_repro/models/projection.py",
    "src/t2i_repro/training/projection.py",
    "src/t2i_repro/models/families/projection.py",
    "papers/projection.yaml",
]


@pytest.mark.slow
def test_a_network_runs_from_its_declaration_to_a_table(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    assert follow(project / PAGE, copy) == FILES
    printed = run_commands(project / PAGE, copy)
    (run,) = copy.folder.glob("results/smoke/runs/cub-projection-gan-s0-*")
    record = json.loads((run / "record.json").read_text())
    assert record["spec"]["system"] == {"kind": "projection", "encoder": "damsm", "width": 8, "noise": 100}
    assert record["facts"]["parameters"].keys() == {"generator", "discriminator"}
    assert record["facts"]["steps"] == 20
    losses = (run / "losses.csv").read_text().splitlines()
    assert losses[0] == "step,d_loss,g_loss"
    found = re.search(r"^Projection GAN.*\n +rebuilt +(\d+\.\d+)", printed, re.MULTILINE)
    assert found, printed


def test_keys_that_do_not_fit_are_refused_by_the_declaration(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    follow(project / PAGE, copy)

    def refused(*settings: str) -> str:
        done = copy.run("t2i-repro", "plan", "--set", "papers=[projection]", *settings, check=False)
        assert done.returncode == 2
        return done.stderr

    overridden = refused("--set", "scales={smoke: {system: {projection: {width: 0}}}}")
    assert "params.yaml: scales: systems.projection-gan.width: 0 is less than the minimum of 1" in overridden
    assert "scales.smoke.system: found 'projector'; allowed: gan-int-cls, multi-stage, nested, one-stage" in refused(
        "--set", "scales={smoke: {system: {projector: {width: 4}}}}"
    )
    copy.edit("papers/projection.yaml", "encoder: damsm", "encoder: bert")
    assert "papers/projection.yaml: systems.projection-gan.encoder: found 'bert'; allowed: " in refused()
    copy.edit("papers/projection.yaml", "encoder: bert", "encoder: itm")
    copy.edit("papers/projection.yaml", "width: 64", "widths: 64")
    assert "unknown key 'widths' (value 64)" in refused()
