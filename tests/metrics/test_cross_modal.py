"""CMD: its equations, scalings and properties."""

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics.cross_modal import (
    Protocol,
    cross_modal_distance,
    cross_modal_from_moments,
    cross_modal_interval,
    cross_modal_noise_floor,
)
from t2i_repro.metrics.frechet import frechet_distance, frechet_from_moments
from t2i_repro.metrics.moments import Moments


def clouds(fake: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors around three directions; ``fake`` moves generated ones from the real ones (0) to the text (1)."""
    rng = np.random.default_rng(seed)
    real, text = np.eye(12)[0], np.eye(12)[0] + np.eye(12)[1]
    centres = real + fake * (text - real), real, text
    points = [
        centre + 0.2 * rng.standard_normal((count, 12)) for centre, count in zip(centres, (500, 700, 900), strict=True)
    ]
    return tuple(given / np.linalg.norm(given, axis=1)[:, None] for given in points)


def test_equation_10() -> None:
    f, r, t = clouds(0.4)
    found = cross_modal_distance(5 * f, r, t.astype(np.float64) * 0.1)
    assert found.fake_real == pytest.approx(frechet_distance(f, r), rel=1e-9)
    bias = frechet_distance(f, t) - frechet_distance(r, t)
    assert found.bias == pytest.approx(bias, rel=1e-9)
    assert bias < 0
    assert found.itdis == pytest.approx(abs(bias), rel=1e-9)
    assert found.cmd == pytest.approx(found.fake_real + abs(bias), rel=1e-9)


def by_equation_12(f: Moments, r: Moments, t: Moments, as_printed: bool) -> float:
    """The expanded form. Its second case, Dis(f, l) < Dis(r, l), prints Tr(eps_f + ...); the expansion has eps_r."""
    linalg = pytest.importorskip("scipy.linalg")
    ft, rt, fr = (np.trace(linalg.sqrtm(a.covariance @ b.covariance).real) for a, b in ((f, t), (r, t), (f, r)))
    if frechet_of(f, t) >= frechet_of(r, t):
        return float(2 * ((f.mean - r.mean) @ (f.mean - t.mean) + np.trace(f.covariance) - ft + rt - fr))
    trace = np.trace((f if as_printed else r).covariance)
    return float(2 * ((r.mean - f.mean) @ (r.mean - t.mean) + trace + ft - rt - fr))


def frechet_of(one: Moments, other: Moments) -> float:
    return frechet_from_moments(one.mean, one.covariance, other.mean, other.covariance)


@pytest.mark.parametrize("fake", [0.4, -0.4])
def test_equation_12_is_equation_10_but_for_a_misprint(fake: float) -> None:
    f, r, t = (Moments.of(cloud) for cloud in clouds(fake))
    found = cross_modal_from_moments(f, r, t)
    assert (found.bias > 0) == (fake < 0)
    assert by_equation_12(f, r, t, as_printed=False) == pytest.approx(found.cmd, rel=1e-9)
    misprint = 0 if found.bias > 0 else 2 * np.trace(f.covariance - r.covariance)
    assert by_equation_12(f, r, t, as_printed=True) == pytest.approx(found.cmd + misprint, rel=1e-9)
    assert found.bias > 0 or abs(misprint) > 1e-3 * found.cmd


@pytest.mark.parametrize("fake", [0.4, -0.4])
def test_released_scaling_weighs_the_text_part_ten_times_less(fake: float) -> None:
    """100 Dis + 10 (signed ITDis): exact for covariances with N, nearly so with N - 1."""
    f, r, t = clouds(fake)
    unit, code = cross_modal_distance(f, r, t), cross_modal_distance(f, r, t, "grgan-code")
    assert code.fake_real == pytest.approx(100 * unit.fake_real, rel=1e-9)
    assert code.cmd == code.fake_real + code.itdis
    assert code.itdis == code.bias
    assert code.itdis == pytest.approx(10 * unit.bias, abs=100 / 500)
    whole = [
        Moments(len(given), given.mean(0), np.cov(given, rowvar=False, bias=True) * (len(given) - 1))
        for given in (f, r, t)
    ]
    unit, code = cross_modal_from_moments(*whole), cross_modal_from_moments(*whole, "grgan-code")
    assert code.cmd == pytest.approx(100 * unit.fake_real + 10 * unit.bias, rel=1e-9)
    assert np.sign(code.itdis) == np.sign(-fake)


def test_moments_of_any_scale() -> None:
    f, r, t = clouds(0.4)
    shipped = Moments.of(10 * f), Moments.of(10 * r), Moments.of(t)
    found = cross_modal_from_moments(*shipped, "grgan-code", scale=(10, 1))
    assert found.cmd == pytest.approx(cross_modal_distance(f, r, t, "grgan-code").cmd, rel=1e-9)
    assert cross_modal_from_moments(*shipped, scale=(10, 1)).cmd == pytest.approx(
        cross_modal_distance(f, r, t).cmd, rel=1e-9
    )
    tens = cross_modal_distance(f, r, t, Protocol(10, 10, signed=False))
    assert tens.cmd == pytest.approx(100 * cross_modal_distance(f, r, t).cmd, rel=1e-9)


def test_identical_sets_give_zero_and_noise_raises_it() -> None:
    _, r, t = clouds(0)
    assert cross_modal_distance(r, r[::-1], t).cmd == 0.0
    noise = np.random.default_rng(1).standard_normal(r.shape)
    values = [cross_modal_distance(r + level * noise, r, t).cmd for level in (0, 0.1, 0.2, 0.4)]
    assert values == sorted(values)


def test_interval_and_noise_floor() -> None:
    f, r, t = clouds(0.4)
    interval = cross_modal_interval(f, r, t)
    assert interval.value == pytest.approx(cross_modal_distance(f, r, t).cmd, rel=1e-9)
    others = [cross_modal_interval(clouds(0.4, seed)[0], r, t) for seed in range(1, 31)]
    spread = np.std([other.value for other in others], ddof=1)
    assert np.mean([other.error for other in others]) == pytest.approx(spread, rel=0.35)
    few, many = cross_modal_noise_floor(r, t, 300), cross_modal_noise_floor(r, t, 3000)
    assert 0 < many.mean < few.mean < interval.value


def test_bad_input_is_refused() -> None:
    f, r, t = clouds(0)
    with pytest.raises(ReproError, match="eq10-unit, grgan-code"):
        cross_modal_distance(f, r, t, "eq10")
    with pytest.raises(ReproError, match="captions: row 0 is zero"):
        cross_modal_distance(f, r, 0 * t)
    with pytest.raises(ReproError, match="dimensions"):
        cross_modal_distance(f, r, t[:, :5])


def test_large_sets_are_read_by_blocks_to_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = clouds(0.4)
    for protocol in ("eq10-unit", "grgan-code"):
        whole = cross_modal_distance(*sets, protocol)
        with monkeypatch.context() as patched:
            patched.setattr("t2i_repro.metrics.cross_modal.LARGE", 100)
            patched.setattr("t2i_repro.metrics.moments.ROWS", 64)
            parts = cross_modal_distance(*sets, protocol)
            same = cross_modal_distance(sets[1][::-1], sets[1], sets[2], protocol)
            broken = sets[0].copy()
            broken[130] = 0
            with pytest.raises(ReproError, match="generated images: row 130 is zero"):
                cross_modal_distance(broken, *sets[1:], protocol)
        for field in ("cmd", "itdis", "fake_real", "fake_text", "real_text", "bias"):
            assert getattr(parts, field) == pytest.approx(getattr(whole, field), rel=1e-9)
        assert (same.cmd, same.fake_real, same.itdis) == (0, 0, 0)
