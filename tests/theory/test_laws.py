import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

import lcjax as lc
from lcjax.theory.laws import log_ball_volume, mean_uniform_norm, saturation_log_intensity
from lcjax.theory.spacings import expected_gap, gap_statistics


def test_mean_uniform_norm_in_closed_form():
    assert mean_uniform_norm(1) == pytest.approx(0.5, abs=1e-15)
    assert mean_uniform_norm(2) == pytest.approx((math.sqrt(2) + math.asinh(1)) / 3, abs=2e-15)
    assert mean_uniform_norm(3) == pytest.approx(
        math.sqrt(3) / 4 + math.log(2 + math.sqrt(3)) / 2 - math.pi / 24, abs=2e-15
    )
    for d, value in ((4, 1.121899618715861), (5, 1.262406635036252), (8, 1.611273556101529)):
        assert mean_uniform_norm(d) == pytest.approx(value, abs=2e-15)
    large = math.sqrt(400 / 3) * (1 - 1 / 4000 - 13 / (280 * 400**2))
    assert mean_uniform_norm(400) == pytest.approx(large, rel=2e-9)


@pytest.mark.parametrize("d", [2, 4, 6])
def test_mean_uniform_norm_by_quadrature_over_the_cube(d):
    x, w = np.polynomial.legendre.leggauss(14)
    x, w = (x + 1) / 2, w / 2
    squares, weights = np.zeros(1), np.ones(1)
    for _ in range(d - 1):
        squares, weights = (squares[:, None] + x**2).ravel(), (weights[:, None] * w).ravel()
    expected = d / (d + 1) * weights @ np.sqrt(1 + squares)
    assert mean_uniform_norm(d) == pytest.approx(expected, rel=1e-9)


def test_ball_volume():
    for d, volume in ((1, 2.0), (2, math.pi), (3, 4 / 3 * math.pi), (8, math.pi**4 / 24)):
        assert math.exp(log_ball_volume(d)) == pytest.approx(volume, rel=1e-14)


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("power", [1, 2])
def test_hypercube_is_the_mean_over_the_cube(d, power, x64):
    """min(1, E psi^p / delta^p) with psi uniform over [0, a/2]^d, or over half of the corrected gap at d = 1."""
    intensity = np.array([1e-3, 0.2, 1.0, 5.0, 1e4])
    side = (2 if d == 1 else 1) * intensity ** (-1 / d)  # in units of the radius
    x, w = np.polynomial.legendre.leggauss(12)
    grid = np.stack(np.meshgrid(*[(x + 1) / 2] * d, indexing="ij"), -1)
    weights = np.prod(np.stack(np.meshgrid(*[w / 2] * d, indexing="ij"), -1), -1)
    moment = np.sum(weights * np.linalg.norm(grid, axis=-1) ** power)
    expected = np.minimum(1, moment * (side / 2) ** power)
    actual = lc.laws.hypercube(jnp.log(jnp.asarray(intensity)), d=d, power=power)
    # The tensor rule itself leaves 1e-4 at the corner, where the norm is not smooth; powers are exact.
    rtol = (1e-4 if power == 1 and d > 1 else 1e-12) if x64 else max(2e-6, 1e-4 * (d > 1))
    np.testing.assert_allclose(actual, expected, rtol=rtol)


@pytest.mark.parametrize("d", [1, 2, 3, 8])
@pytest.mark.parametrize("power", [1, 2])
def test_poisson_is_the_integral_of_the_survival_function(d, power, x64):
    intensity = np.array([1e-12, 1e-3, 0.3, 0.5, 2.0, 40.0, 1e5])
    volume = math.exp(log_ball_volume(d))
    expected = [
        scipy.integrate.quad(
            lambda v, n=n: np.exp(-n * volume * v**d) * power * v ** (power - 1),
            0,
            min(1, (45 / (n * volume)) ** (1 / d)),  # exp(-45) is past all digits
            epsabs=0,
            epsrel=1e-12,
        )[0]
        for n in intensity
    ]
    actual = lc.laws.poisson(jnp.log(jnp.asarray(intensity)), d=d, power=power)
    np.testing.assert_allclose(actual, expected, rtol=1e-11 if x64 else 5e-6)


def test_mean_distances_of_the_two_laws_differ_by_a_known_factor(x64):
    for d, factor in ((2, 0.765), (3, 0.867), (4, 0.922)):
        ratio = lc.laws.hypercube(jnp.asarray(60.0), d=d) / lc.laws.poisson(jnp.asarray(60.0), d=d)
        exact = mean_uniform_norm(d) / 2 / (math.gamma(1 + 1 / d) * math.exp(-log_ball_volume(d) / d))
        assert exact == pytest.approx(factor, abs=5e-4)
        assert ratio == pytest.approx(exact, rel=1e-10 if x64 else 2e-5)


@pytest.mark.parametrize("law", [lc.laws.hypercube, lc.laws.poisson])
def test_law_derivatives_match_central_differences(law, x64):
    if not x64:
        pytest.skip("differences need double precision")
    at = jnp.array([-30.0, -2.0, -0.7, 0.3, 3.0, 20.0]) + 1e-3
    for d in (1, 4):
        derivative = jax.vmap(jax.grad(lambda t, d=d: law(t, d=d)))(at)
        h = 1e-5
        differences = (law(at + h, d=d) - law(at - h, d=d)) / (2 * h)
        np.testing.assert_allclose(derivative, differences, rtol=1e-6, atol=1e-11)
    limit = law(jnp.array([-jnp.inf, jnp.nan]), d=2)
    assert limit[0] == 1
    assert jnp.isnan(limit[1])


def test_saturation_is_where_the_law_leaves_one(x64):
    for d in (1, 2, 7):
        for power in (1, 2):
            at = saturation_log_intensity(d, power=power)
            errors = lc.laws.hypercube(jnp.asarray([at - 1e-3, at + 1e-3]), d=d, power=power)
            assert errors[0] == 1
            assert errors[1] == pytest.approx(math.exp(-1e-3 * power / d), rel=1e-5)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_variance_of_neighbouring_gaps_is_close_to_their_squared_mean(k, x64):
    """Eq. (3) of the paper: Var/E is close to E; exactly k/(k+1) of it for independent points."""
    points = jax.random.normal(jax.random.key(0), (200_000,))
    statistics = gap_statistics(points[jnp.abs(points) < 1], k=k)
    ratio = np.asarray(statistics.ratio, np.float64)[:: 2 * k + 1]  # windows that do not overlap
    standard_error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - k / (k + 1)) < 5 * standard_error
    corrected = np.asarray(statistics.corrected / statistics.mean, np.float64)
    np.testing.assert_allclose(corrected.mean(), 1 + statistics.ratio.mean(), rtol=1e-5)


def test_gap_statistics_match_numpy(x64):
    points = np.random.default_rng(0).normal(size=40)
    gaps = np.lib.stride_tricks.sliding_window_view(np.diff(np.sort(points)), 5)
    statistics = gap_statistics(jnp.asarray(points), k=2)
    rtol = 1e-10 if x64 else 2e-4
    np.testing.assert_allclose(statistics.mean, gaps.mean(1), rtol=rtol)
    np.testing.assert_allclose(statistics.variance, gaps.var(1), rtol=rtol)
    np.testing.assert_allclose(statistics.corrected, (gaps**2).sum(1) / gaps.sum(1), rtol=rtol)


def test_expected_gap_is_twice_the_mean_gap_after_correction():
    size, density = jnp.array([100.0]), jnp.array([0.25])
    assert expected_gap(size, density)[0] == 2 * expected_gap(size, density, corrected=False)[0] == pytest.approx(0.08)
    # psi = rho' / 4 is the paper's distance at d = 1
    np.testing.assert_allclose(
        expected_gap(size, density) / 4, lc.laws.hypercube(jnp.log(size * density), d=1), rtol=1e-6
    )


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="d=0"):
        mean_uniform_norm(0)
    with pytest.raises(ValueError, match="power must be 1 or 2, got 3"):
        lc.laws.hypercube(jnp.zeros(1), d=2, power=3)
    with pytest.raises(ValueError, match="k=5 with n=10"):
        gap_statistics(jnp.arange(10.0), k=5)
