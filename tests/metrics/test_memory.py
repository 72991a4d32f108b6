"""Memory of judging does not grow with the number of images: measured in processes of their own, at two sizes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_embed_and_score import World

from t2i_repro.spec.node import Node
from t2i_repro.spec.record import write_json

SIZES = 64, 512  # images of 256 px: 12 MB and 101 MB of pixels
LIMIT_MB = 1500

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss has other units elsewhere")


# Not ru_maxrss, which a process takes over from the one that started it.
PEAK = "import re; print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024)"
VERBS = """
import sys
from t2i_repro.cli import main
for verb in sys.argv[1:]:
    assert main([verb.split("-")[0], "--spec", f"{verb}.json"]) == 0
"""


def measured(program: str, *arguments: str) -> float:
    """Highest resident memory in MB of a process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-c", f"{program}\n{PEAK}", *arguments]
    done = subprocess.run(given, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


def test_memory_of_embedding_and_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embed, Inception Score and MS-SSIM, one after the other in one process."""
    monkeypatch.chdir(tmp_path)
    world, found = World(), []
    block = np.random.default_rng(0).integers(0, 256, (32, 256, 256, 3), dtype=np.uint8)
    for count in SIZES:
        images = np.concatenate([np.roll(block, k, axis=3) // (k % 5 + 1) for k in range(count // 32)])
        sample = world.sample(images, f"s{count}")
        looked = {"split": None, "network": world.network.name, "standin": True}
        embed = world.node("embed", f"e{count}", looked, images=sample, network=world.network)
        inception = {"protocol": "is:finetuned", "metric": "inception-score", "splits": 10, "images": count}
        pairs = {"protocol": "ms-ssim:pairs", "metric": "ms-ssim", "of": "all", "value": "mean", "pairs": 40}
        nodes: dict[str, Node] = {
            "embed": embed,
            "score-is": world.node("score", f"is{count}", inception, features=embed),
            "score-pairs": world.node("score", f"m{count}", {**pairs, "images": count}, images=sample),
        }
        for name, node in nodes.items():
            write_json(Path(f"{name}.json"), node.to_json())
        found.append(measured(VERBS, *nodes))
    assert found[1] - found[0] < 25
    assert found[1] < LIMIT_MB * 2 / 3


FRECHET = """
import sys
import numpy as np
from t2i_repro.metrics import frechet_distance, frechet_interval, kernel_distance
features = np.load("features.npy", mmap_mode="r")[: int(sys.argv[1])]
reference = np.load("reference.npy", mmap_mode="r")
frechet_distance(features, reference)
frechet_interval(features, reference, 4)
kernel_distance(features[:2000], reference[:500])
"""


def test_distances_read_features_a_block_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("features.npy", rng.standard_normal((24_000, 256), dtype=np.float32))
    np.save("reference.npy", rng.standard_normal((2000, 256), dtype=np.float32))
    few, many = (measured(FRECHET, str(count)) for count in (6000, 24_000))
    # The mapped file itself (18 MB more of it), and not its copy in float64 (37 MB more).
    assert many - few < 1.5 * 18_000 * 256 * 4 / 2**20
