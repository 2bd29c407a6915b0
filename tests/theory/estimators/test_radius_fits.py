"""Fits of many curves on the host, row by row those of `fit_radius`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.theory.estimators.radius_fits import fit_radii

SIZE = np.array([40.0, 80.0, 160.0, 320.0])
GRID = np.array([40.0, 320.0, 5000.0])


def problem(dtype):
    """Return noisy curves, some with zeros and absent points, and two pairs of densities."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 2, 2, 2)) * 0.3 + np.eye(2)
    covariance = (factors @ np.swapaxes(factors, -1, -2)).astype(dtype)
    mean = (0.2 * rng.normal(size=(2, 2, 2))).astype(dtype)
    error = (0.4 * (SIZE / 40) ** -0.5 * np.exp(0.1 * rng.normal(size=(6, 4)))).astype(dtype)
    error[1, 3], error[2, 0] = 0.0, np.nan
    curves = lc.LearningCurve(SIZE.astype(dtype), error, (0.02 * error[0]).astype(dtype), test_count=np.asarray(200))
    return (
        curves,
        lc.Gaussian(mean[0], covariance[0]),
        lc.Gaussian(mean[1], covariance[1]),
        np.array([0, 1, 0, 1, 1, 0]),
    )


@pytest.mark.parametrize("law", [lc.laws.hypercube, pytest.param(lc.laws.poisson, marks=pytest.mark.slow)])
def test_rows_are_those_of_fit_radius(law, x64):
    dtype = np.float64 if x64 else np.float32
    curves, train, test, seed = problem(dtype)
    fits = fit_radii(curves, train, test, seed, law, sizes=GRID, target=0.05)

    @jax.jit
    def fit_row(error, seed):
        densities = jax.tree.map(lambda leaf: jnp.asarray(leaf)[seed], (train, test))
        fit = lc.fit_radius(dataclasses.replace(curves, error=error), *densities, law)
        return fit.radius, fit.converged, fit.predict(GRID.astype(dtype)), fit.size_for_error(0.05).value

    radius, converged, error, size = jax.vmap(fit_row)(curves.error, seed)
    assert fits.radius.dtype == fits.size.dtype == fits.error.dtype == dtype
    np.testing.assert_allclose(fits.radius, radius, rtol=1e-9 if x64 else 1e-4)
    np.testing.assert_allclose(fits.error, error, rtol=1e-9 if x64 else 1e-4)
    np.testing.assert_allclose(fits.size, size, rtol=1e-8 if x64 else 5e-4)
    np.testing.assert_array_equal(fits.converged, converged)


def test_curves_without_an_answer_are_nan_and_targets_out_of_reach_infinite():
    curves, train, test, seed = problem(np.float64)
    error = np.array(curves.error)
    error[0], error[1] = np.nan, 60.0
    fits = fit_radii(dataclasses.replace(curves, error=error), train, test, seed, sizes=GRID, target=1e-280)
    assert np.isnan(fits.radius).tolist() == [True, True, False, False, False, False]
    assert not fits.converged[:2].any()
    assert np.isnan(fits.error[0]).all()
    assert np.isinf(fits.size[2:]).all()
    singular = dataclasses.replace(train, covariance=np.zeros_like(train.covariance))
    assert np.isnan(fit_radii(curves, singular, test, seed, sizes=GRID).radius).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="law must be hypercube or poisson"):
        fit_radii(*problem(np.float64), lc.theory.binomial, sizes=GRID)
