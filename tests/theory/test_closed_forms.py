import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import lcjax as lc
from lcjax.theory.closed_forms import equal_gaussians_error, scaled_gaussian_error
from lcjax.theory.expected_error import saturation_size

RATIO = np.array([0.5, 1.0, 1.001, 2.0, 30.0, 1e4, 1e9])


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_equal_gaussians_match_the_contour_integral(d, x64):
    density = lc.Gaussian(jnp.zeros(d), jnp.eye(d))
    actual = equal_gaussians_error(jnp.asarray(RATIO), d=d)
    expected = lc.expected_error(RATIO * saturation_size(density, 0.3), density, density, 0.3)
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if x64 else 1e-5)


@pytest.mark.parametrize(("d", "power"), [(1, 1), (1, 2), (2, 2), (5, 1)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 1.185, 4.0])
def test_scaled_gaussians_match_quadrature(d, power, spread, x64):
    ratio = RATIO[2:]

    def error(n):
        kink = 2 * np.log(n)

        def below(r):
            q = (spread * r) ** 2
            density = 2 ** (1 - d / 2) / scipy.special.gamma(d / 2) * r ** (d - 1)
            return density * np.exp(-(r**2) / 2 + power * (q / 2 - np.log(n)) / d)

        edge = np.sqrt(kink) / spread
        edges = np.linspace(0, min(edge, 14 + edge * (spread**2 * power > d)), 8)
        inside = sum(
            scipy.integrate.quad(below, low, high, epsabs=0, epsrel=1e-12)[0] for low, high in itertools.pairwise(edges)
        )
        return inside + scipy.special.gammaincc(d / 2, kink / (2 * spread**2))

    expected = [error(float(n)) for n in ratio.astype(np.float64 if x64 else np.float32)]
    actual = scaled_gaussian_error(jnp.asarray(ratio), spread, d=d, power=power)
    np.testing.assert_allclose(actual, expected, rtol=1e-10 if x64 else 2e-5)


@given(ratio=st.floats(1.01, 1e6), d=st.sampled_from([1, 2, 3, 6]))
def test_spread_one_is_the_equal_case(ratio, d):
    scaled = scaled_gaussian_error(jnp.asarray(ratio), 1.0, d=d)
    np.testing.assert_allclose(scaled, equal_gaussians_error(jnp.asarray(ratio), d=d), rtol=2e-5)


def test_large_sizes_follow_the_slower_exponent(x64):
    """min(p/d, 1/spread^2): Table 3's Udacity row has spread^2 > d."""
    for d, spread in ((1, 1.6), (2, 1.0), (2, 2.5)):
        ratio = jnp.exp(jnp.array([60.0, 61.0]))
        error = scaled_gaussian_error(ratio, spread, d=d)
        exponent = float(jnp.log(error[1] / error[0]))
        assert exponent == pytest.approx(-min(1 / d, 1 / spread**2), rel=0.05)


def test_saturated_derivatives_are_zero_not_nan():
    for function in (equal_gaussians_error, lambda n, d: scaled_gaussian_error(n, 1.3, d=d)):
        for d in (1, 3):
            assert jax.grad(lambda n, d=d, function=function: function(n, d=d))(jnp.asarray(0.9)) == 0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="d=0"):
        equal_gaussians_error(jnp.ones(1), d=0)
    with pytest.raises(ValueError, match="power must be 1 or 2, got 0"):
        scaled_gaussian_error(jnp.ones(1), 1.0, d=1, power=0)
