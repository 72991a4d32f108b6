"""SIGKILL at any moment, start again: the same bytes in the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_no_trace(tmp_path: Path) -> None:
    """Weights, optimisers, average, step, log, TensorBoard events, grids and exported weights of every run."""
    path = os.pathsep.join([str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, HERE.parent / "helpers/kill_driver.py", tmp_path, "7", "20"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["kills"] >= 20
    assert len(set(seen["resumed_from"])) > 2, "kills before the first checkpoint prove nothing"
    assert set(seen["expected"]) >= {"checkpoint.pt", "generator.pt", "losses.csv", "grids/step-000010.png"}
    assert set(seen["expected"]) >= {"generator-2.pt", "generator-3.pt", "text_encoder-2.pt", "text_encoder-3.pt"}
    for found in seen["found"]:
        assert found == seen["expected"]
