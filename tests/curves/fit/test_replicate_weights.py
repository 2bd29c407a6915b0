"""Weights from repeats against SciPy's non-negative least squares."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from lcjax.curves.fit.exponent_prior import NOISE
from lcjax.curves.fit.replicate_weights import replicate_weights
from lcjax.kernels.compilation import jit_by_size

quick_weights = jit_by_size()(replicate_weights)
SIZE = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])


def expected_weights(size, replicates):
    count = (~np.isnan(replicates)).sum(0)
    mean = np.nanmean(replicates, 0)
    variance = np.where(count > 1, np.nanvar(replicates, 0) * count / np.maximum(count - 1, 1), 0) / mean**2
    design = np.stack([np.ones_like(size), size.min() / size], axis=1)
    root = np.sqrt(np.maximum(count - 1, 0))
    (v0, v1), _ = scipy.optimize.nnls(root[:, None] * design, root * variance)
    return 1 / ((v0 + v1 * size.min() / size) / count + (0.1 * 0.03) ** 2)


@pytest.mark.parametrize("trend", ["both", "falling", "rising"])
def test_variance_is_smoothed_over_sizes(trend, x64):
    """Positive coefficients, and each of them at its bound."""
    deviation = {"both": 0.2 * np.sqrt(0.3 + 100 / SIZE), "falling": 20 / SIZE, "rising": SIZE / 4e3}[trend]
    rng = np.random.default_rng(1)
    replicates = 2 * SIZE**-0.4 * (1 + deviation * rng.choice([-1, 1], p=[0.5, 0.5], size=(6, 5)))
    replicates[4:, 1] = np.nan
    columns = [jnp.asarray(a)[..., None] for a in (SIZE, np.nanmean(replicates, 0), replicates)]
    weights = quick_weights(*columns, jnp.ones((5, 1), bool))
    np.testing.assert_allclose(weights[:, 0], expected_weights(SIZE, replicates), rtol=1e-9 if x64 else 1e-3)


def test_weights_without_repeats_are_those_of_the_typical_noise(x64):
    single = np.full((3, 5, 1), np.nan)
    single[0] = 0.1
    columns = [jnp.asarray(a) for a in (SIZE[:, None], single[0], single)]
    weights = np.asarray(quick_weights(*columns, jnp.ones((5, 1), bool)))
    np.testing.assert_allclose(weights, np.full((5, 1), 1 / NOISE**2), rtol=1e-12 if x64 else 1e-6)


def test_absent_sizes_and_zero_errors_do_not_enter(x64):
    rng = np.random.default_rng(2)
    replicates = rng.uniform(0.1, 0.2, size=(4, 5))
    present = np.array([False, True, True, True, True])
    replicates[:, 4] = 0
    columns = [jnp.asarray(a)[..., None] for a in (SIZE, replicates.mean(0), replicates, present)]
    weights = np.asarray(quick_weights(*columns))[1:4, 0]
    np.testing.assert_allclose(weights, expected_weights(SIZE[1:4], replicates[:, 1:4]), rtol=1e-9 if x64 else 1e-3)
