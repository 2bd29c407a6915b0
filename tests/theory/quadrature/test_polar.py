import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from lcjax.theory.quadrature.polar import polar_mean


@functools.cache
def compiled(value):
    return jax.jit(functools.partial(polar_mean, value))


def square(r):
    return r**2


def capped(r):
    return jnp.minimum(r, 1.0)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_mean_square_is_the_trace_and_the_shift(d, x64):
    rng = np.random.default_rng(d)
    mixing = rng.normal(size=(d, d)) / 10 + np.eye(d)
    covariance, shift = mixing @ mixing.T, rng.normal(size=d) / 2
    mean = compiled(square)(jnp.asarray(np.array([0.5, 2.0])), jnp.asarray(covariance), jnp.asarray(shift))
    np.testing.assert_allclose(mean, np.trace(covariance) + shift @ shift, rtol=1e-9 if x64 else 1e-5)


@pytest.mark.parametrize("d", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_kink_at_a_panel_costs_no_accuracy(d, x64):
    mean = compiled(capped)(jnp.asarray(np.array([1.0])), jnp.asarray(np.eye(d)), jnp.asarray(np.zeros(d)))
    expected = scipy.stats.chi(d).expect(lambda r: min(r, 1.0), lb=0, ub=1, epsabs=1e-13) + scipy.stats.chi(d).sf(1)
    np.testing.assert_allclose(mean, expected, rtol=1e-10 if x64 else 1e-5)


def test_four_dimensions_are_too_many():
    with pytest.raises(ValueError, match="d <= 3, got d=4"):
        polar_mean(square, jnp.ones(1), jnp.eye(4), jnp.zeros(4))
