"""Intervals and noise floors against formulas and simulation."""

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.hashing import hashed_order
from t2i_repro.metrics.moments import Moments
from t2i_repro.metrics.uncertainty import (
    frechet_interval,
    frechet_noise_floor,
    frechet_to,
    jackknife_of_moments,
    noise_floor,
    wilson,
)


def test_wilson() -> None:
    stats = pytest.importorskip("scipy.stats")
    for hits, count in ((0, 10), (3, 10), (10, 10), (20_346, 30_000)):
        expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
        assert wilson(hits, count) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1
    for hits, count in ((1, 0), (5, 4), (-1, 4)):
        with pytest.raises(ReproError, match="proportion"):
            wilson(hits, count)


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    stats = pytest.importorskip("scipy.stats")
    samples = np.random.default_rng(0).standard_normal((600, 1))
    found = jackknife_of_moments(lambda moments: float(moments.mean[0]), samples)
    assert found.value == pytest.approx(samples.mean(), rel=1e-12)
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert found.error == pytest.approx(samples.std() / np.sqrt(600), rel=0.4)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 19) * found.error, rel=1e-4)
    # As many groups as the samples allow: the usual error of the mean, to its own sampling error.
    fine = jackknife_of_moments(lambda moments: float(moments.mean[0]), samples, 300)
    assert fine.error == pytest.approx(samples.std() / np.sqrt(600), rel=0.1)


def test_jackknife_finds_bias() -> None:
    samples = np.random.default_rng(1).standard_normal((400, 1))
    found = jackknife_of_moments(lambda moments: float(moments.scatter[0, 0]) / moments.count, samples)
    assert found.bias == pytest.approx(-samples.var() / 400, rel=0.3)


def test_jackknife_of_moments_leaves_one_group_out_at_a_time() -> None:
    """Against its definition: the statistic of all rows but a group's."""
    rng, groups = np.random.default_rng(2), 7
    samples, reference = rng.standard_normal((700, 6)), Moments.of(rng.standard_normal((900, 6)) * 1.2)
    distance = frechet_to(reference)
    found = jackknife_of_moments(distance, samples, groups)
    group = np.empty(700, dtype=int)
    group[hashed_order(None, 700, "jackknife")] = np.arange(700) % groups
    left_out = np.array([distance(Moments.of(samples[group != one])) for one in range(groups)])
    value = distance(Moments.of(samples))
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.error == pytest.approx(np.sqrt((groups - 1) * left_out.var()), rel=1e-6)
    assert found.bias == pytest.approx((groups - 1) * (left_out.mean() - value), rel=1e-6)


def test_frechet_interval_tells_spread_and_bias() -> None:
    rng = np.random.default_rng(3)
    reference = rng.standard_normal((20_000, 8))
    draws = [rng.standard_normal((500, 8)) * 1.1 + 0.1 for _ in range(40)]
    intervals = [frechet_interval(draw, reference) for draw in draws]
    values = np.array([interval.value for interval in intervals])
    assert values[0] == frechet_distance(draws[0], reference)
    assert np.mean([interval.error for interval in intervals]) == pytest.approx(values.std(ddof=1), rel=0.3)
    truth = frechet_distance(rng.standard_normal((200_000, 8)) * 1.1 + 0.1, reference)
    assert np.mean([interval.bias for interval in intervals]) == pytest.approx(values.mean() - truth, rel=0.35)
    covered = [interval.low <= values.mean() <= interval.high for interval in intervals]
    assert np.mean(covered) >= 0.85


def test_order_of_samples_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    samples, ids, order = rng.standard_normal((200, 3)), np.arange(200) * 2 + 1, rng.permutation(200)

    def spread(moments: Moments) -> float:
        return float(np.trace(moments.covariance))

    one = jackknife_of_moments(spread, samples, ids=ids)
    other = jackknife_of_moments(spread, samples[order], ids=ids[order])
    assert other.error == pytest.approx(one.error, rel=1e-9)
    assert jackknife_of_moments(spread, samples).error != pytest.approx(one.error, rel=1e-9)


@pytest.mark.parametrize(("samples", "rank"), [(400, 10), (400, 6), (8, 10)], ids=["many", "rank-deficient", "few"])
def test_noise_floor_is_what_direct_draws_give(samples: int, rank: int) -> None:
    rng = np.random.default_rng(7)
    features = rng.standard_normal((1000, rank)) @ rng.standard_normal((rank, 10)) + 5
    truth = Moments.of(features)
    floor = frechet_noise_floor(features, samples, repeats=60)
    root = np.linalg.svd(features - truth.mean, full_matrices=False)
    factor = root.S[:rank, None] * root.Vh[:rank] / np.sqrt(999)
    direct = [
        frechet_to(truth)(Moments.of(truth.mean + rng.standard_normal((samples, rank)) @ factor)) for _ in range(60)
    ]
    error = np.std(direct) / np.sqrt(60)
    assert floor.mean == pytest.approx(np.mean(direct), abs=5 * error)
    assert floor.std == pytest.approx(np.std(direct), rel=0.5)
    assert floor == noise_floor(frechet_to(truth), truth, samples, repeats=60)


def test_noise_floor_falls_with_the_number_of_samples() -> None:
    features = np.random.default_rng(8).standard_normal((1000, 10))
    few, many = frechet_noise_floor(features, 500), frechet_noise_floor(features, 5000)
    assert many.mean == pytest.approx(few.mean / 10, rel=0.2)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ReproError, match="2 samples in each"):
        jackknife_of_moments(lambda moments: 0.0, np.zeros((30, 2)), groups=20)
    with pytest.raises(ReproError, match="confidence"):
        jackknife_of_moments(lambda moments: 0.0, np.zeros((60, 2)), confidence=95)
    with pytest.raises(ReproError, match="noise floor"):
        frechet_noise_floor(np.random.default_rng(9).standard_normal((30, 2)), 1)
