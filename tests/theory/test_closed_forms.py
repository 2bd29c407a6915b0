import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

import lcjax as lc
from lcjax.theory.closed_forms import equal_gaussians_error, scaled_gaussian_error
from lcjax.theory.expected_error import saturation_size

RATIO = np.array([0.5, 1.0, 1.001, 2.0, 30.0, 1e4])


def by_quadrature(ratio, spread, d, power):
    """Integrate the expected error over the distance from the mean, split where the hypercube law saturates."""
    if ratio <= 1:
        return 1.0
    kink = 2 * np.log(ratio)

    def below(r):
        q = (spread * r) ** 2
        density = 2 ** (1 - d / 2) / scipy.special.gamma(d / 2) * r ** (d - 1)
        return density * np.exp(-(r**2) / 2 + power * (q / 2 - np.log(ratio)) / d)

    edge = np.sqrt(kink) / spread
    edges = np.linspace(0, min(edge, 14 + edge * (spread**2 * power > d)), 8)
    inside = sum(
        scipy.integrate.quad(below, low, high, epsabs=0, epsrel=1e-12)[0] for low, high in itertools.pairwise(edges)
    )
    return inside + scipy.special.gammaincc(d / 2, kink / (2 * spread**2))


def references(x64, *arguments):
    return [by_quadrature(float(n), *arguments) for n in RATIO.astype(np.float64 if x64 else np.float32)]


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_equal_gaussians_match_quadrature(d, x64):
    actual = equal_gaussians_error(jnp.asarray(RATIO), d=d)
    np.testing.assert_allclose(actual, references(x64, 1.0, d, 1), rtol=1e-11 if x64 else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_equal_gaussians_match_the_contour_integral(d, x64):
    density = lc.Gaussian(jnp.zeros(d), jnp.eye(d))
    actual = equal_gaussians_error(jnp.asarray(RATIO), d=d)
    expected = lc.expected_error(RATIO * saturation_size(density, 0.3), density, density, 0.3)
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if x64 else 1e-5)


@pytest.mark.parametrize(("d", "power"), [(1, 1), (2, 2), pytest.param(1, 2, marks=pytest.mark.slow), (5, 1)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 1.185, 4.0])
def test_scaled_gaussians_match_quadrature(d, power, spread, x64):
    actual = scaled_gaussian_error(jnp.asarray(RATIO), spread, d=d, power=power)
    np.testing.assert_allclose(actual, references(x64, spread, d, power), rtol=1e-10 if x64 else 2e-5)


def test_large_sizes_follow_the_slower_exponent(x64):
    """min(p/d, 1/spread^2): Table 3's Udacity row has spread^2 > d."""
    ratio = jnp.asarray(np.exp([60.0, 61.0, 60.0, 60.0, 60.0, 60.0]))
    for d, spread in ((1, 1.6), (2, 1.0), (2, 2.5)):
        error = scaled_gaussian_error(ratio, spread, d=d)
        exponent = float(jnp.log(error[1] / error[0]))
        assert exponent == pytest.approx(-min(1 / d, 1 / spread**2), rel=0.05)


def test_saturated_derivatives_are_zero_not_nan():
    functions = [equal_gaussians_error, lambda n, d: scaled_gaussian_error(n, 1.3, d=d)]
    slopes = jax.jit(lambda n: [jax.grad(f)(n, d=d) for f in functions for d in (1, 3)])(jnp.asarray(0.9))
    assert [float(slope) for slope in slopes] == [0, 0, 0, 0]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="d=0"):
        equal_gaussians_error(jnp.ones(1), d=0)
    with pytest.raises(ValueError, match="power must be 1 or 2, got 0"):
        scaled_gaussian_error(jnp.ones(1), 1.0, d=1, power=0)
