"""Comparison of measurements against covariances of NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.answer.next_size import rank_measurements, select_measurement
from lcjax.kernels.compilation import jit_by_size

CANDIDATES = np.array([100.0, 400.0, 1600.0])
rank = jit_by_size()(rank_measurements)


@pytest.mark.parametrize("cost", [None, np.array([1.0, 1.0, 30.0])])
def test_gain_is_the_explained_variance_by_cost(cost, x64):
    rng = np.random.default_rng(0)
    log_error = rng.normal(size=(2, 50, 3)) * [0.05, 0.1, 0.2]
    log_size = 7 - 3 * log_error[..., 2] + 0.3 * rng.normal(size=(2, 50))
    noise = np.array([0.03, 0.1])
    plan = rank(
        *(jnp.asarray(a) for a in (CANDIDATES, np.exp(log_error), np.exp(log_size), noise)),
        None if cost is None else jnp.asarray(cost),
    )
    for b in range(2):
        for c in range(3):
            covariance = np.cov(log_size[b], log_error[b, :, c], bias=True)
            explained = covariance[0, 1] ** 2 / (covariance[1, 1] + noise[b] ** 2)
            expected = explained / (CANDIDATES if cost is None else cost)[c]
            np.testing.assert_allclose(plan.gain[b, c], expected, rtol=1e-9 if x64 else 1e-2)
    np.testing.assert_array_equal(plan.candidates, np.tile(CANDIDATES, (2, 1)))
    np.testing.assert_array_equal(plan.size, CANDIDATES[np.argmax(plan.gain, axis=-1)])


@pytest.mark.parametrize("xp", [np, jnp])
def test_candidates_surround_the_largest_size_and_draws_that_never_cross_count_as_the_horizon(xp):
    largest, noise = xp.asarray([100.0, 300.0]), xp.asarray([0.1, 0.1])
    slope = xp.asarray([0.1, 0.3, 0.5])

    def predict_draws(size):
        return (size[:, None, :] / largest[:, None, None]) ** -slope[:, None]

    never = xp.asarray([[xp.inf, 1e5, 1e4], [xp.inf, 3e5, 3e4]])
    plan = select_measurement(predict_draws, never, largest, noise)
    np.testing.assert_allclose(plan.candidates, np.asarray(largest)[:, None] * 2.0 ** np.arange(-2, 5))
    horizon = xp.where(xp.isinf(never), 1e6 * largest[:, None], never)
    expected = rank_measurements(plan.candidates, predict_draws(plan.candidates), horizon, noise)
    np.testing.assert_allclose(plan.gain, expected.gain, rtol=1e-6)
    assert np.all(np.isfinite(plan.gain))
