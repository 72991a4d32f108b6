"""Twenty disturbances of every kind that machines know; `make chaos` does more."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]


def test_disturbed_runs_end_in_the_bytes_of_a_quiet_one(tmp_path: Path) -> None:
    driver, log = Path(__file__).with_name("chaos.py"), tmp_path / "chaos.log"
    command = [sys.executable, driver, "--disturbances", "20", "--seed", "3", "--log", log]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log.read_text()}"
    found = re.match(r"20 disturbances, (\d+) restarts, 0 wrong, 0 lost of (\d+) artefacts\n", done.stdout)
    assert found, done.stdout
    assert int(found[1]) >= 20
    assert int(found[2]) > 15
