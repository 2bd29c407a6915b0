"""The power law of the best model's size against NumPy's line through logarithms."""

import jax.numpy as jnp
import numpy as np

from lcjax.curves.model_size import fit_model_size


def test_model_size_law_is_a_line_in_logarithms(x64):
    rng = np.random.default_rng(1)
    size = 10.0 ** np.arange(3, 9)
    parameters = 40 * size**0.72 * np.exp(0.1 * rng.normal(size=6))
    x, y = np.log(size), np.log(parameters)
    (slope, level), covariance = np.polyfit(x, y, 1, cov=True)
    law = fit_model_size(jnp.append(jnp.asarray(size), jnp.nan), jnp.append(jnp.asarray(parameters), 1.0))
    tolerance = 1e-9 if x64 else 1e-3
    np.testing.assert_allclose(law.exponent, slope, rtol=tolerance)
    np.testing.assert_allclose(law.scale, np.exp(level), rtol=tolerance)
    np.testing.assert_allclose(law.exponent_error, covariance[0, 0] ** 0.5, rtol=tolerance)
    np.testing.assert_allclose(law.predict(jnp.asarray(size)), np.exp(level + slope * x), rtol=tolerance)


def test_few_sizes_and_batches():
    size = jnp.array([[1e3, 1e4, 1e5], [1e3, 1e5, jnp.nan], [1e3, jnp.nan, jnp.nan]])
    law = fit_model_size(size, 5 * size**0.6)
    np.testing.assert_allclose(law.exponent[:2], 0.6, rtol=1e-4)
    assert np.isnan(law.exponent_error).tolist() == [False, True, True]
    assert np.isnan(law.exponent[2])
    np.testing.assert_allclose(law.predict(jnp.array([1e3, 1e4]))[1], 5 * np.array([1e3, 1e4]) ** 0.6, rtol=1e-3)
