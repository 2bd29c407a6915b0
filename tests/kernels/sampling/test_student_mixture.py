"""Factors of small matrices against NumPy; mixtures of Student distributions by importance sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels.sampling.student_mixture import TAILS, factor_covariance, fit_student_mixture


@pytest.mark.parametrize("count", [1, 2, 8])
def test_factor_and_inverse_are_those_of_numpy(x64, count):
    rng = np.random.default_rng(count)
    root = rng.normal(size=(5, count, count + 2))
    covariance = (root @ np.swapaxes(root, 1, 2)).astype(np.float64 if x64 else np.float32)
    factor, inverse = jax.jit(factor_covariance)(jnp.asarray(covariance))
    tolerance = 1e-10 if x64 else 1e-3
    expected = np.linalg.cholesky(covariance.astype(float))
    np.testing.assert_allclose(factor, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(inverse, np.linalg.inv(expected), rtol=10 * tolerance, atol=10 * tolerance)


def test_a_matrix_that_is_not_positive_definite_gives_nan():
    factor, _ = factor_covariance(jnp.array([[1.0, 2.0], [2.0, 1.0]]))
    assert np.isnan(factor).any()


def test_draws_have_the_density_of_a_bent_cloud_in_two_of_three_dimensions():
    """Weighted by the target over the mixture, draws have the target's moments, which needs both to be right."""
    count = 40_000
    keys = jax.random.split(jax.random.key(0), 5)
    used = jnp.array([True, False, True])
    a, b = jax.random.normal(keys[0], (2, 4_000))
    cloud = jnp.stack([a, jnp.zeros_like(a), 0.5 * a**2 + 0.3 * b], axis=1)
    mixture = fit_student_mixture(cloud, jnp.full(4_000, 1 / 4_000), used)
    np.testing.assert_allclose(mixture.weight, 0.25, atol=0.03)
    tails = list(jax.random.uniform(keys[1], (TAILS, count), minval=1e-7))
    z = mixture.sample(jax.random.uniform(keys[2], (count,)), tails, jax.random.normal(keys[3], (count, 3)))
    x, y = z[:, 0], z[:, 2]
    weight = np.asarray(jax.nn.softmax(-0.5 * (x**2 + ((y - 0.5 * x**2) / 0.3) ** 2) - mixture.log_density(z)))
    assert 1 / np.sum(weight**2) > 0.2 * count  # one component alone covers 0.12
    np.testing.assert_allclose(weight @ np.stack([x, x**2, y, x * y], axis=1), [0, 1, 0.5, 0], atol=0.05)


def test_a_cloud_at_one_point_keeps_finite_draws():
    mixture = fit_student_mixture(jnp.zeros((8, 2)), jnp.full(8, 0.125), jnp.array([True, True]))
    z = mixture.sample(jnp.linspace(0, 1, 5), [jnp.full(5, 0.5)] * TAILS, jnp.ones((5, 2)))
    assert np.isfinite(z).all()
    assert np.isfinite(mixture.log_density(z)).all()
