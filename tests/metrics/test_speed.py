"""Speed relative to the libraries: ratios of CPU seconds of alternating runs, which a busy machine slows alike.

No wall time is asserted. Bounds are far below what is measured (docs/metrics.md, "Speed"): they hold on other
processors and fail when the optimisation that a function rests on is lost.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from library_inception import library_inception
from scipy import linalg

from t2i_repro.metrics.frechet import frechet_from_moments
from t2i_repro.metrics.inception_tf import InceptionTF

pytestmark = pytest.mark.heavy
ROUNDS = 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ratio(theirs: Callable[[], object], ours: Callable[[], object]) -> float:
    """Median over rounds of their CPU seconds to ours, after one round that does not count."""
    found = []
    for _ in range(ROUNDS + 1):
        seconds = []
        for function in (theirs, ours):
            before = time.process_time()
            function()
            seconds.append(time.process_time() - before)
        found.append(seconds[0] / seconds[1])
    return statistics.median(found[1:])


@torch.no_grad()
def test_inception_beside_the_library() -> None:
    """Against batches of 4, its fastest on CPUs."""
    network = library_inception()
    ours = InceptionTF(copy.deepcopy(network), torch.device("cpu"))
    images = torch.randint(0, 256, (16, 3, 256, 256), dtype=torch.uint8)
    assert ratio(lambda: [network(part) for part in images.split(4)], lambda: ours(images)) > 1.3


def test_frechet_beside_the_matrix_root() -> None:
    rng = np.random.default_rng(0)
    features = [rng.standard_normal((3000, 1024)) * scale for scale in (1.0, 1.2)]
    means = [given.mean(axis=0) for given in features]
    one, other = (np.cov(given, rowvar=False) for given in features)

    def ours() -> float:
        return frechet_from_moments(means[0], one, means[1], other)

    def theirs() -> float:
        traces = np.trace(one) + np.trace(other) - 2 * np.trace(linalg.sqrtm(one @ other).real)
        return float(((means[0] - means[1]) ** 2).sum() + traces)

    assert ours() == pytest.approx(theirs(), rel=1e-8)
    assert ratio(theirs, ours) > 3
