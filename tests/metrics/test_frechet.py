"""Frechet distance against exact answers, on every path: samples, Cholesky, QR, eigenvectors."""

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import frechet_distance, frechet_from_moments
from t2i_repro.metrics.moments import Moments


def rotation(dimensions: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dimensions, dimensions)))[0]


def crossed(scales: np.ndarray, repeats: int, mean: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Points +-scale along every axis, turned and moved: their covariance is known exactly."""
    points = np.concatenate([np.diag(scales), -np.diag(scales)] * repeats)
    return points @ turn.T + mean


def variance(scales: np.ndarray, repeats: int) -> np.ndarray:
    return 2 * repeats * scales**2 / (2 * repeats * len(scales) - 1)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("empty", [0, 12], ids=["full rank", "rank deficient"])
@pytest.mark.parametrize("repeats", [(1, 2), (2, 2)])
def test_shared_axes_have_an_exact_distance(offset: float, empty: int, repeats: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    scales1, scales2 = rng.uniform(0.5, 3, 24), rng.uniform(0.5, 3, 24)
    scales1[:empty] = 0
    turn = rotation(24, 2)
    mean1, mean2 = rng.standard_normal(24) + offset, rng.standard_normal(24) + offset
    expected = np.sum((mean1 - mean2) ** 2) + np.sum(
        (np.sqrt(variance(scales1, repeats[0])) - np.sqrt(variance(scales2, repeats[1]))) ** 2
    )
    first, second = crossed(scales1, repeats[0], mean1, turn), crossed(scales2, repeats[1], mean2, turn)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-10)


def test_fewer_samples_than_dimensions_is_exact() -> None:
    rng = np.random.default_rng(3)
    turn = rotation(200, 4)[:, :24]
    scales1, scales2 = rng.uniform(0.5, 3, 24), rng.uniform(0.5, 3, 24)
    scales2[:10] = 0
    mean = np.full(200, 7.0)
    expected = np.sum((np.sqrt(variance(scales1, 1)) - np.sqrt(variance(scales2, 1))) ** 2)
    first, second = crossed(scales1, 1, mean, turn), crossed(scales2, 1, mean, turn)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-10)
    many = crossed(scales2, 20, mean, turn)
    expected = np.sum((np.sqrt(variance(scales1, 1)) - np.sqrt(variance(scales2, 20))) ** 2)
    assert frechet_distance(first, many) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_moments_that_do_not_commute(condition: float) -> None:
    """S2 = M S1 M has tr (S1 S2)^(1/2) = tr(S1 M)."""
    rng = np.random.default_rng(5)
    turn = rotation(40, 6)
    covariance = turn @ np.diag(np.geomspace(1, 1 / condition, 40)) @ turn.T
    middle = rng.standard_normal((40, 40))
    middle = middle @ middle.T / 40 + np.eye(40)
    other = middle @ covariance @ middle
    expected = np.trace(covariance) + np.trace(other) - 2 * np.trace(covariance @ middle)
    found = frechet_from_moments(np.zeros(40), covariance, np.zeros(40), other)
    assert found == pytest.approx(expected, rel=1e-9)


def test_rank_deficient_moments() -> None:
    turn = rotation(30, 7)
    variances = np.where(np.arange(30) < 15, np.linspace(1, 2, 30), 0.0)
    covariance = turn @ np.diag(variances) @ turn.T
    found = frechet_from_moments(np.zeros(30), covariance, np.ones(30), 4 * covariance)
    assert found == pytest.approx(30 + variances.sum(), rel=1e-10)
    assert frechet_from_moments(np.zeros(3), np.zeros((3, 3)), np.ones(3), np.eye(3)) == pytest.approx(6, rel=1e-12)


def test_one_dimension() -> None:
    first, second = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    expected = (2 - 3) ** 2 + (2 - np.sqrt(2.5)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(300, 20), (15, 40)])
def test_identical_sets_give_exactly_zero_in_any_order(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(8).standard_normal(shape).astype(np.float32)
    assert frechet_distance(features, features.copy()) == 0.0
    assert frechet_distance(features, features[np.random.default_rng(9).permutation(len(features))]) == 0.0
    moments = Moments.of(features)
    assert frechet_from_moments(moments.mean, moments.covariance, moments.mean, moments.covariance) == 0.0


def test_units_that_never_fire_and_copies_change_nothing() -> None:
    rng = np.random.default_rng(10)
    first, second = rng.standard_normal((300, 20)), rng.standard_normal((400, 20)) * 1.5
    plain = frechet_distance(first, second)
    dead1, dead2 = np.full((300, 5), 2.0), np.full((400, 5), 2.0)
    assert frechet_distance(np.hstack([first, dead1]), np.hstack([second, dead2])) == pytest.approx(plain, rel=1e-12)
    # A column twice counts twice: turning the two into (sqrt(2) column, 0) leaves the distance alone.
    twice = [np.hstack([given, given[:, :3]]) for given in (first, second)]
    merged = [np.hstack([given[:, :3] * np.sqrt(2), given[:, 3:]]) for given in (first, second)]
    assert frechet_distance(*twice) == pytest.approx(frechet_distance(*merged), rel=1e-10)


def test_agrees_with_scipy_where_scipy_is_accurate() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(11)
    first, second = rng.standard_normal((500, 32)), rng.standard_normal((400, 32)) @ rng.standard_normal((32, 32))
    one, other = Moments.of(first), Moments.of(second)
    root = linalg.sqrtm(one.covariance @ other.covariance).real
    expected = np.sum((one.mean - other.mean) ** 2) + np.trace(one.covariance + other.covariance - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-11)
    found = frechet_from_moments(one.mean, one.covariance, other.mean, other.covariance)
    assert found == pytest.approx(expected, rel=1e-11)


def test_noise_raises_the_distance() -> None:
    rng = np.random.default_rng(12)
    real, sample = rng.standard_normal((400, 16)), rng.standard_normal((400, 16))
    distances = [frechet_distance(real, sample + level * rng.standard_normal((400, 16))) for level in (0, 0.5, 1, 2)]
    assert distances == sorted(distances)
    assert distances[0] < 0.5 < 5 < distances[-1]


def test_moments_merge_exactly_however_they_are_cut() -> None:
    features = np.random.default_rng(13).standard_normal((10000, 6)) + 1e4
    whole = np.cov(features - 1e4, rowvar=False)
    cut = Moments.of(features[:17]).merge(Moments.of(features[17:9000])).merge(Moments.of(features[9000:]))
    for moments in (cut, Moments.of(features)):
        assert moments.count == 10000
        np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(moments.covariance, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (np.zeros((1, 4)), "at least 2 rows"),
        (np.zeros(4), r"\[N, d\]"),
        (np.array([[0.0, 1.0], [np.nan, 1.0]]), "row 1 holds NaN"),
        (np.zeros((5, 3)), "3 and of 2 dimensions"),
    ],
)
def test_bad_features_are_refused(features: np.ndarray, says: str) -> None:
    with pytest.raises(ReproError, match=says):
        frechet_distance(features, np.random.default_rng(0).standard_normal((5, 2)))


def test_ill_conditioned_moments_agree_with_singular_values() -> None:
    """Where eigenvalues stand in for singular values (condition 1e4 and 1e8 of the product), no digit is lost."""
    for condition in (1e2, 1e4):
        turns = rotation(300, 8), rotation(300, 9)
        first, second = (turn @ np.diag(np.geomspace(1, 1 / condition, 300)) @ turn.T for turn in turns)
        factors = [np.linalg.cholesky((given + given.T) / 2) for given in (first, second)]
        root = np.linalg.svd(factors[0].T @ factors[1], compute_uv=False).sum()
        expected = np.trace(first) + np.trace(second) - 2 * root
        found = frechet_from_moments(np.zeros(300), first, np.zeros(300), second)
        assert found == pytest.approx(expected, rel=1e-12)
