"""KID against double loops and torch-fidelity; FID-infinity against exact lines and known Gaussians."""

from collections.abc import Callable

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics import kernel as module
from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.infinity import frechet_infinity
from t2i_repro.metrics.kernel import kernel_distance, kernel_distance_of_subsets


def by_definition(first: np.ndarray, second: np.ndarray) -> float:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    def within(rows: np.ndarray) -> float:
        return float(np.mean([kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]))

    return within(first) + within(second) - 2 * float(np.mean([kernel(x, y) for x in first for y in second]))


def sets(n: int = 23, m: int = 31, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)), rng.standard_normal((m, d)) * 1.3 + 0.2


@pytest.mark.parametrize("rows", [4, 1024])
def test_equals_its_definition(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    first, second = sets()
    assert kernel_distance(first, second).value == pytest.approx(by_definition(first, second), rel=1e-12)
    assert kernel_distance(second, first).value == pytest.approx(by_definition(first, second), rel=1e-12)


def test_errors_are_those_of_leaving_out_each_sample() -> None:
    first, second = sets()
    found = kernel_distance(first, second)
    without1 = np.array([by_definition(np.delete(first, i, 0), second) for i in range(len(first))])
    without2 = np.array([by_definition(first, np.delete(second, i, 0)) for i in range(len(second))])
    variance1, variance2 = (len(first) - 1) * without1.var(), (len(second) - 1) * without2.var()
    assert found.error_of_first == pytest.approx(np.sqrt(variance1), rel=1e-9)
    assert found.error == pytest.approx(np.sqrt(variance1 + variance2), rel=1e-9)


def test_error_is_the_spread_over_draws() -> None:
    rng = np.random.default_rng(1)
    draws = [kernel_distance(rng.standard_normal((150, 8)), rng.standard_normal((150, 8)) + 0.5) for _ in range(60)]
    spread = np.std([draw.value for draw in draws], ddof=1)
    assert np.mean([draw.error for draw in draws]) == pytest.approx(spread, rel=0.35)


def test_subsets_are_those_of_torch_fidelity() -> None:
    metric = pytest.importorskip("torch_fidelity.metric_kid")
    import torch

    first, second = sets(300, 260, 16)
    expected = metric.kid_features_to_metric(
        torch.from_numpy(first), torch.from_numpy(second), kid_subsets=7, kid_subset_size=100, verbose=False
    )
    mean, std = kernel_distance_of_subsets(first, second, subsets=7, size=100)
    assert mean == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)
    assert std == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-9)


def test_subset_of_everything_is_the_full_estimate() -> None:
    first, second = sets(25, 25)
    assert kernel_distance_of_subsets(first, second, subsets=2, size=25)[0] == pytest.approx(
        kernel_distance(first, second).value, rel=1e-12
    )


def test_order_changes_nothing_and_identical_sets_give_zero() -> None:
    first, second = sets()
    turned = first[::-1].copy()
    assert kernel_distance(turned, second).value == pytest.approx(kernel_distance(first, second).value, rel=1e-12)
    assert kernel_distance(first, turned).value == 0.0


def test_noise_raises_it() -> None:
    rng = np.random.default_rng(2)
    real, sample, noise = rng.standard_normal((3, 400, 16))
    values = [kernel_distance(real, sample + level * noise).value for level in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    assert abs(values[0]) < 4 * kernel_distance(real, sample).error


@pytest.mark.parametrize("function", [kernel_distance, kernel_distance_of_subsets])
def test_bad_features_are_refused(function: Callable) -> None:
    first, second = sets()
    with pytest.raises(ReproError, match="two different networks"):
        function(first, np.zeros((31, 4)), **({} if function is kernel_distance else {"size": 10}))
    with pytest.raises(ReproError, match="NaN"):
        function(np.full((23, 5), np.nan), second)
    with pytest.raises(
        ReproError, match="23 rows for subsets of 1000" if function is kernel_distance_of_subsets else "at least 3"
    ):
        function(first if function is kernel_distance_of_subsets else first[:2], second)


def test_infinity_reads_a_line_off_exactly() -> None:
    samples = np.random.default_rng(3).standard_normal((1000, 2))
    found = frechet_infinity(samples, samples, lambda subset, _: 3.0 + 700 / len(subset))
    assert found.value == pytest.approx(3, rel=1e-10)
    assert found.slope == pytest.approx(700, rel=1e-9)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert [size for size, _ in found.points][:: len(found.points) - 1] == [250, 1000]


def test_infinity_removes_the_bias_of_few_samples() -> None:
    rng = np.random.default_rng(4)
    reference = rng.standard_normal((60_000, 16))
    plain, extrapolated = [], []
    for _ in range(6):
        samples = rng.standard_normal((800, 16)) + 0.05
        plain.append(frechet_distance(samples, reference))
        extrapolated.append(frechet_infinity(samples, reference, points=6).value)
    truth = 16 * 0.05**2
    assert np.mean(plain) - truth > 0.05
    assert abs(np.mean(extrapolated) - truth) < 0.03


def test_infinity_depends_on_ids_not_on_order() -> None:
    samples, reference = sets(200, 300, 4)
    order = np.random.default_rng(5).permutation(200)
    ids = np.arange(200) + 7
    found = frechet_infinity(samples, reference, ids=ids).value
    assert frechet_infinity(samples[order], reference, ids=ids[order]).value == pytest.approx(found, rel=1e-9)
    with pytest.raises(ReproError, match="FID-infinity"):
        frechet_infinity(samples[:10], reference)
