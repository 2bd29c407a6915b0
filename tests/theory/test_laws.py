import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

import lcjax as lc
from lcjax.theory.laws import log_ball_volume, mean_uniform_norm, saturation_log_intensity


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


@pytest.mark.parametrize(
    ("d", "power"),
    [
        (1, 1),
        (3, 2),
        (8, 1),
        *(pytest.param(*v, marks=pytest.mark.slow) for v in ((1, 2), (2, 1), (2, 2), (3, 1), (8, 2))),
    ],
)
def test_poisson_is_the_integral_of_the_survival_function(d, power, x64):
    intensity = np.array([1e-12, 1e-3, 0.3, 0.5, 2.0, 40.0, 1e5])
    volume = math.exp(log_ball_volume(d))
    expected = [
        scipy.integrate.quad(
            lambda v, n=n: np.exp(-n * volume * v**d) * power * v ** (power - 1),
            0,
            min(1, (45 / (n * volume)) ** (1 / d)),  # exp(-45) is below all digits
            epsabs=0,
            epsrel=1e-12,
        )[0]
        for n in intensity
    ]
    actual = lc.laws.poisson(jnp.log(jnp.asarray(intensity)), d=d, power=power)
    np.testing.assert_allclose(actual, expected, rtol=1e-11 if x64 else 5e-6)


def test_mean_distances_of_the_two_laws_differ_by_a_known_factor(x64):
    for d, factor in ((2, 0.765), (3, 0.867), (4, 0.922)):
        exact = mean_uniform_norm(d) / 2 / (math.gamma(1 + 1 / d) * math.exp(-log_ball_volume(d) / d))
        assert exact == pytest.approx(factor, abs=5e-4)
        if d == 3:
            ratio = lc.laws.hypercube(jnp.asarray(60.0), d=d) / lc.laws.poisson(jnp.asarray(60.0), d=d)
            assert ratio == pytest.approx(exact, rel=1e-10 if x64 else 2e-5)


@pytest.mark.parametrize(
    ("law", "d"),
    [
        (lc.laws.hypercube, 4),
        (lc.laws.poisson, 4),
        *(pytest.param(law, 1, marks=pytest.mark.slow) for law in (lc.laws.hypercube, lc.laws.poisson)),
    ],
)
def test_law_derivatives_match_central_differences(law, d, x64):
    if not x64:
        pytest.skip("differences need double precision")
    at, h = np.array([-30.0, -2.0, -0.7, 0.3, 3.0, 20.0]) + 1e-3, 1e-5
    derivative = jax.jit(jax.vmap(jax.grad(lambda t: law(t, d=d))))(jnp.asarray(at))
    high, low = (np.asarray(law(jnp.asarray(at + sign * h), d=d)) for sign in (1, -1))
    np.testing.assert_allclose(derivative, (high - low) / (2 * h), rtol=1e-6, atol=1e-11)
    limit = law(jnp.asarray([-np.inf, np.nan, 0, 0, 0, 0]), d=d)
    assert limit[0] == 1
    assert jnp.isnan(limit[1])


def test_saturation_is_where_the_law_leaves_one(x64):
    for d in (1, 2, 7):
        for power in (1, 2):
            at = saturation_log_intensity(d, power=power)
            errors = lc.laws.hypercube(jnp.asarray([at - 1e-3, at + 1e-3]), d=d, power=power)
            assert errors[0] == 1
            assert errors[1] == pytest.approx(math.exp(-1e-3 * power / d), rel=1e-5)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="d=0"):
        mean_uniform_norm(0)
    with pytest.raises(ValueError, match="power must be 1 or 2, got 3"):
        lc.laws.hypercube(jnp.zeros(1), d=2, power=3)
