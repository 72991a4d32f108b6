"""Memory of evaluation does not grow with the number of images: measured in processes of their own, at two sizes.

Growth is held against half of what the data take: the rest is room for any allocator.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_project import EvaluationProject

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import write_json

LIMIT_MB = 1500
MB = 2**20

Peak = Callable[..., float]


def test_the_measure_sees_what_is_held_even_for_a_moment(peak_memory: Peak) -> None:
    hold = "import sys, time\nheld = bytearray(b'1') * int(sys.argv[1])\ntime.sleep(0.1)\ndel held"
    assert 180 < peak_memory(hold, str(200 * MB)) - peak_memory(hold, "1") < 220


VERBS = """
import sys
from t2i_repro.cli import main
for verb in sys.argv[1:]:
    assert main([verb.split("-")[0], "--spec", f"{verb}.json"]) == 0
"""


@pytest.mark.slow
def test_memory_of_embedding_and_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peak_memory: Peak) -> None:
    """Embed, Inception Score and MS-SSIM, one after the other in one process; images of 256 px, 192 MB more of them."""
    monkeypatch.chdir(tmp_path)
    world, found, sizes = EvaluationProject(), [], (128, 1152)
    block = np.random.default_rng(0).integers(0, 256, (32, 256, 256, 3), dtype=np.uint8)
    for count in sizes:
        images = np.concatenate([np.roll(block, k, axis=3) // (k % 5 + 1) for k in range(count // 32)])
        sample = world.sample(images, f"s{count}")
        spec = {"split": None, "network": world.network.name, "standin": True}
        embed = world.node("embed", f"e{count}", spec, images=sample, network=world.network)
        inception = {"protocol": "is:finetuned", "metric": "inception-score", "splits": 10, "images": count}
        pairs = {"protocol": "ms-ssim:pairs", "metric": "ms-ssim", "of": "all", "value": "mean", "pairs": 40}
        nodes: dict[str, Node] = {
            "embed": embed,
            "score-is": world.node("score", f"is{count}", inception, features=embed),
            "score-pairs": world.node("score", f"m{count}", {**pairs, "images": count}, images=sample),
        }
        for name, node in nodes.items():
            write_json(Path(f"{name}.json"), node.to_json())
        found.append(peak_memory(VERBS, *nodes))
    assert found[1] - found[0] < (sizes[1] - sizes[0]) * images[0].nbytes / MB / 2
    assert found[1] < LIMIT_MB


ALONE = """
import sys
from pathlib import Path
import torch
from t2i_repro.metrics.standalone_features import StandaloneFeatures
from t2i_repro.metrics.extractors import FeatureExtractor
from t2i_repro.metrics.sources import open_source
from t2i_repro.metrics.standalone import score_all
weights = torch.randn(48, 1024, generator=torch.Generator().manual_seed(0))
def extract(images):
    features = images.flatten(1).float() @ weights / 1000
    return features, features[:, :512]
extractors = StandaloneFeatures({}, Path(), {})
extractors._opened["wide", "unit"] = FeatureExtractor("wide", extract, "0" * 64, True, True)
protocols = {"is:wide": {"metric": "inception-score", "network": "wide", "splits": 10}}
score_all(extractors, protocols, open_source(Path(sys.argv[1])), None, None, Path("store"))
"""


@pytest.mark.slow
def test_the_evaluator_alone_holds_no_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peak_memory: Peak
) -> None:
    """1,024 features and 512 probabilities of each image: 88 MB more of them."""
    monkeypatch.chdir(tmp_path)
    rng, sizes = np.random.default_rng(0), (5000, 20_000)
    for count in sizes:
        np.save(f"{count}.npy", rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8))
    few, many = (peak_memory(ALONE, f"{count}.npy") for count in sizes)
    assert many - few < (sizes[1] - sizes[0]) * (1024 + 512) * 4 / MB / 2


FRECHET = """
import sys
import numpy as np
from t2i_repro.metrics import frechet_distance, frechet_interval, kernel_distance
features = np.load("features.npy", mmap_mode="r")[: int(sys.argv[1])]
reference = np.load("reference.npy", mmap_mode="r")
frechet_distance(features, reference)
frechet_interval(features, reference)
kernel_distance(features[:2000], reference[:500])
"""


@pytest.mark.slow
def test_distances_read_features_a_block_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peak_memory: Peak
) -> None:
    monkeypatch.chdir(tmp_path)
    rng, sizes, dimensions = np.random.default_rng(0), (20_000, 120_000), 256
    np.save("features.npy", rng.standard_normal((sizes[1], dimensions), dtype=np.float32))
    np.save("reference.npy", rng.standard_normal((2000, dimensions), dtype=np.float32))
    few, many = (peak_memory(FRECHET, str(count)) for count in sizes)
    assert many - few < (sizes[1] - sizes[0]) * dimensions * 4 / MB / 2
