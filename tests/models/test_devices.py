"""Jobs that compute take a card of their own."""

import os
import subprocess
import sys
from pathlib import Path

from t2i_repro.core.cards import PRETENDED, VISIBLE

JOB = f"""
import fcntl, os, sys, tempfile
from pathlib import Path
from t2i_repro.models.state import pick_device
assert pick_device() is pick_device()
print(os.environ["{VISIBLE}"])
(lock,) = Path(tempfile.gettempdir()).glob("t2i-repro-cards-*/*.lock")
try:
    fcntl.flock(lock.open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("held")
"""


def test_picking_a_device_takes_one_card_once(tmp_path: Path) -> None:
    environment = {**os.environ, PRETENDED: "card-a,card-b", "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", JOB], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["card-a", "held"], done.stderr
