"""What a record says of memory is of its own process."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = "from t2i_repro.core.record import peak_memory_mb; held = b'1' * int({held} * 2**20); print(peak_memory_mb())"
PARENT = f"""
import subprocess, sys
held = bytearray(b"1") * (600 * 2**20)
child = {CHILD.format(held=0)!r}
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout)
"""


def told(program: str) -> float:
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="ru_maxrss is all there is elsewhere")
def test_the_peak_is_not_taken_over_from_who_started_the_process() -> None:
    assert told(PARENT) < 300


def test_the_peak_sees_what_is_held() -> None:
    assert told(CHILD.format(held=400)) > 300
