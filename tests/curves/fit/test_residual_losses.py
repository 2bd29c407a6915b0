"""Residual losses against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.residual_losses import absolute, huber, relative
from lcjax.kernels.compilation import jit_by_size

quick_huber = jit_by_size()(huber)
LOGS = np.log([0.3, 0.2, 0.5, 0.11]), np.log([0.2, 0.21, 0.5, 0.3])


def test_relative_and_absolute_are_differences(x64):
    prediction, error = map(jnp.asarray, LOGS)
    np.testing.assert_allclose(relative(prediction, error), LOGS[0] - LOGS[1], rtol=1e-5)
    np.testing.assert_allclose(absolute(prediction, error), np.exp(LOGS[0]) - np.exp(LOGS[1]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("r", [-2.0, -0.11, -0.05, 0.0, 0.09, 0.5])
def test_half_the_square_of_huber_is_hubers_function(r):
    value = quick_huber(jnp.asarray(r), jnp.asarray(0.0))
    expected = 0.5 * r**2 if abs(r) <= 0.1 else 0.1 * (abs(r) - 0.05)
    np.testing.assert_allclose(0.5 * value**2, expected, rtol=1e-5, atol=1e-9)
    assert np.sign(value) == np.sign(r)


def test_derivatives_of_huber_are_finite_at_zero_and_bounded():
    slope = jit_by_size()(jax.vmap(jax.grad(lambda r: 0.5 * huber(r, jnp.zeros(())) ** 2)))(
        jnp.array([0.0, 0.05, 1.0, -7.0])
    )
    np.testing.assert_allclose(slope, [0.0, 0.05, 0.1, -0.1], rtol=1e-5)
