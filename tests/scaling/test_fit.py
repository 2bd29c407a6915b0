"""Fits of a scaling law: exact recovery, bootstrap, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.scaling.fit import ScalingFit, fit_scaling_law

N, D = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(3, 7), 10.0 ** np.arange(3, 8)))
TRUTH = {"offset": 0.5, "model_scale": 20.0, "model_exponent": -0.4, "data_scale": 30.0, "data_exponent": -0.3}
EXACT = 0.5 + 20 * N**-0.4 + 30 * D**-0.3


@functools.cache
def fit_with_draws(x64, noise):
    """Fit the law with 60 draws, in the current precision."""
    error = EXACT * np.exp(noise * np.random.default_rng(0).normal(size=N.size))
    return fit_scaling_law(*map(jnp.asarray, (N, D, error)), key=jax.random.key(0), draws=60)


def test_an_exact_law_is_recovered(x64):
    exact = fit_with_draws(x64, 0)
    assert bool(exact.converged)
    assert exact.residual_sum.dtype == (jnp.float64 if x64 else jnp.float32)
    for name, value in TRUTH.items():
        np.testing.assert_allclose(exact.parameters[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(exact.predict(N, D), EXACT, rtol=1e-6)
    assert exact.residual_sum < 1e-12
    np.testing.assert_allclose(exact.parameter_draws["model_exponent"], -0.4, rtol=1e-3)


def test_draws_of_a_noisy_law_hold_the_truth(x64):
    noisy = fit_with_draws(x64, 0.02)
    residual = np.log(noisy.predict(N, D)) - np.log(EXACT)
    assert np.sqrt(np.mean(residual**2)) < 0.02
    assert 0.2 * N.size * 0.02**2 < noisy.residual_sum < 2 * N.size * 0.02**2
    for name, value in TRUTH.items():
        draws = np.asarray(noisy.parameter_draws[name])
        assert draws.shape == (60,)
        assert np.std(draws) > 0
        assert np.quantile(draws, 0.01) - 2 * np.std(draws) < value < np.quantile(draws, 0.99) + 2 * np.std(draws)


def test_wrong_arguments_raise():
    five = jnp.ones(5)
    with pytest.raises(ValueError, match=r"five runs.*\(4,\)"):
        fit_scaling_law(*[jnp.ones(4)] * 3)
    with pytest.raises(ValueError, match="draws=3"):
        fit_scaling_law(five, five, five, draws=3)
    with pytest.raises(ValueError, match="draws=-1"):
        fit_scaling_law(five, five, five, draws=-1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="no bootstrap draws"):
        _ = ScalingFit(jnp.zeros(5), jnp.zeros(3), jnp.zeros(()), jnp.asarray(True)).parameter_draws
