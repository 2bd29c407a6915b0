"""Central intervals against NumPy's quantiles."""

import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.intervals import central_interval

DRAWS = np.random.default_rng(0).normal(size=(3, 11, 2))


@pytest.mark.parametrize(("interpolate", "methods"), [(True, ("linear", "linear")), (False, ("lower", "higher"))])
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_limits_are_quantiles(level, interpolate, methods, x64):
    limits = central_interval(jnp.asarray(DRAWS), level, axis=1, interpolate=interpolate)
    for limit, quantile, method in zip(limits, (0.5 - level / 2, 0.5 + level / 2), methods, strict=True):
        np.testing.assert_allclose(limit, np.quantile(DRAWS, quantile, axis=1, method=method), rtol=1e-6)


def test_the_last_axis_is_reduced_and_draws_are_interpolated_by_default():
    low, high = central_interval(jnp.array([1.0, 2.0, 3.0, 4.0]), 0.5)
    assert (float(low), float(high)) == (1.75, 3.25)
