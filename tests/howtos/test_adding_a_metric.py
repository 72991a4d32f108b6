"""docs/adding-a-metric.md, followed to the letter."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from howto import follow, run_commands
from project_copy import Copy, make_copy

PAGE = "docs/adding-a-metric.md"

SCORE = """
import sys
import numpy as np
from pathlib import Path
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.inputs import MetricInputs
from t2i_repro.metrics.registry import metrics
samples, real = (Features(Path(), {}, np.load(name), None, None) for name in ("samples.npy", "real.npy"))
print(metrics()["coverage"].score(MetricInputs(features=samples, reference=real), {"k": 1}).value)
"""


@pytest.mark.slow
def test_a_metric_runs_from_its_declaration_to_a_table(project: Path, tmp_path: Path) -> None:
    copy = make_copy(project, tmp_path, fakes=False)
    added = follow(project / PAGE, copy)
    assert added == ["src/t2i_repro/metrics/definitions/coverage.py", "params.yaml", "papers/coverage.yaml"]
    printed = run_commands(project / PAGE, copy)
    (score,) = (
        content
        for path in copy.folder.glob("results/smoke/metrics/*/metric.json")
        if (content := json.loads(path.read_text()))["metric"] == "coverage"
    )
    assert score["protocol"] == "coverage:standin"
    assert 0 <= score["uncertainty"]["low"] <= score["value"] <= score["uncertainty"]["high"] <= 100
    assert score["details"]["k"] == 5
    assert score["n"] == 60
    (table,) = copy.folder.glob("results/smoke/tables/coverage-table1-*/table.json")
    cell = json.loads(table.read_text())["rows"][0]["cells"]["coverage"]["rebuilt"]
    assert cell["value"] == score["value"]
    assert re.search(rf"rebuilt .*{re.escape(cell['text'])}", printed), printed


@pytest.fixture
def extended(project: Path, tmp_path: Path) -> Copy:
    copy = make_copy(project, tmp_path, fakes=False)
    follow(project / PAGE, copy)
    return copy


def test_its_declaration_is_all_that_others_know_of_it(extended: Copy) -> None:
    """Real images at 0, 1, 2, 10: each is covered up to the distance of its nearest, 1, 1, 1 and 8."""
    np.save(extended.folder / "real.npy", np.array([[0.0], [1.0], [2.0], [10.0]]))
    for sample, expected in ((0.0, 50), (3.0, 50), (1.0, 75), (50.0, 0)):
        np.save(extended.folder / "samples.npy", np.array([[sample]]))
        path = {"PYTHONPATH": str(extended.folder / "src")}
        assert float(extended.run("python", "-c", SCORE, **path).stdout) == expected
    extended.edit("params.yaml", "{metric: coverage, ", "{metric: coverage, neighbours: 5, ")
    refused = extended.run("t2i-repro", "plan", "--set", "papers=[coverage]", check=False, **path)
    assert refused.returncode == 2
    assert "protocols.coverage:tf: unknown key 'neighbours' (value 5); allowed: divide, k, metric" in refused.stderr
