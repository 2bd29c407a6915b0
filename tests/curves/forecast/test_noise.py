"""Noise models against direct formulas in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from lcjax.curves.forecast.condensed import condense
from lcjax.curves.forecast.noise import NOISE, SHAPE, NoiseModels, krige, log_likelihood, quadratic_forms

SIZE = np.array([100.0, 200.0, 350.0, 800.0, 1600.0])
ERROR = np.array([0.5, 0.37, 0.33, 0.2, 0.16])
COUNT = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
MODELS = NoiseModels(
    *np.array([[0.0, 2.0, 5.0], [1.0, 0.5, 1.5], [0.5, 0.0, 0.0], [1.0, 0.0, 0.5], [0, 0, 1]]), np.array([0.01, 0.05])
)
TIME = np.log(SIZE / SIZE[-1])


def correlated(j, distance):
    a = distance / MODELS.length[j]
    kernel = (1 + np.sqrt(3) * a) * np.exp(-np.sqrt(3) * a) if MODELS.smooth[j] else np.exp(-a)
    return MODELS.ratio[j] * kernel


def covariance(j):
    v = np.log(ERROR / ERROR[-1])
    white = np.exp(-2 * MODELS.power[j] * v + MODELS.discount[j] * abs(TIME)) / COUNT
    return np.diag(white) + correlated(j, abs(TIME[:, None] - TIME))


@pytest.fixture
def curve():
    return condense(jnp.asarray(SIZE), jnp.asarray(ERROR), jnp.asarray(COUNT), points=7)


RESIDUAL = np.array([0.02, -0.03, 0.01, 0.015, -0.01])


def test_the_level_and_the_variance_are_integrated_out(curve, x64):
    """The likelihood is the integral of normal densities over the level and the variance, by quadrature."""
    form, log_determinant = quadratic_forms(MODELS, curve)
    padded = np.pad(RESIDUAL, (0, 2))
    square = np.einsum("n,jnm,m->j", padded, np.asarray(form, float), padded)
    degrees = jnp.asarray(2 * SHAPE + len(SIZE) - 1)
    each = log_likelihood(MODELS, log_determinant, jnp.asarray(square)[None], degrees)
    constants = []
    for j in range(3):
        inverse, (_, log_det) = np.linalg.inv(covariance(j)), np.linalg.slogdet(covariance(j))
        for q, scale in enumerate(MODELS.scale):

            def at(log_variance, j=j, scale=scale, inverse=inverse, log_det=log_det):
                s2 = np.exp(log_variance)
                total = inverse.sum()
                level = inverse.sum(0) @ RESIDUAL / total
                r = RESIDUAL - level
                normal = -0.5 * (log_det + len(r) * np.log(s2) + r @ inverse @ r / s2) + 0.5 * np.log(s2 / total)
                prior = SHAPE * np.log(SHAPE * scale**2) - (SHAPE + 1) * np.log(s2) - SHAPE * scale**2 / s2
                return np.exp(normal + prior + log_variance)

            value, _ = scipy.integrate.quad(at, -20, 5, limit=400)
            constants.append(np.log(value) - float(each[0, 2 * j + q]))
    np.testing.assert_allclose(constants, constants[0], rtol=1e-6 if x64 else 1e-3)


def test_kriging_is_that_of_the_linear_system(curve, x64):
    at = np.array([-1.0, 0.0, 1.0])
    kriging = krige(MODELS, curve, jnp.asarray(at))
    for j in range(3):
        system = np.block([[covariance(j), np.ones((5, 1))], [np.ones((1, 5)), np.zeros((1, 1))]])
        cross = correlated(j, abs(at[:, None] - TIME))
        right = np.concatenate([cross, np.ones((3, 1))], axis=1)
        solution = np.linalg.solve(system, right.T)
        tolerance = {"rtol": 1e-8, "atol": 1e-10} if x64 else {"rtol": 1e-3, "atol": 1e-4}
        np.testing.assert_allclose(kriging.gain[j][:, :5], solution[:5].T, **tolerance)
        np.testing.assert_array_equal(kriging.gain[j][:, 5:], 0.0)
        spread = MODELS.ratio[j] - np.einsum("am,ma->m", solution, right)
        np.testing.assert_allclose(kriging.spread[j], np.maximum(spread, 0), **tolerance)


def test_all_default_models_are_positive_definite(curve):
    form, log_determinant = quadratic_forms(NOISE, curve)
    assert np.all(np.isfinite(form))
    assert np.all(np.isfinite(log_determinant))
    np.testing.assert_allclose(np.asarray(form, float).sum(axis=2), 0.0, atol=1e-3)  # the level has no weight
