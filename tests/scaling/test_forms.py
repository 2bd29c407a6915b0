"""The scaling law in internal coordinates against its formula."""

import jax.numpy as jnp
import numpy as np

from lcjax.scaling.forms import log_error, natural_parameters


def test_coordinates_describe_the_formula():
    u = jnp.log(jnp.array([0.3, 0.5, 0.2, 0.4, 0.25]))
    reference = jnp.log(jnp.array([1e4, 2e5, 3.0]))
    names = natural_parameters(u, reference)
    assert list(names) == ["offset", "model_scale", "model_exponent", "data_scale", "data_exponent"]
    offset, a, alpha, b, beta = (float(value) for value in names.values())
    np.testing.assert_allclose([offset, alpha, beta], [0.9, -0.4, -0.25], rtol=1e-5)
    model_size, data_size = np.array([1e3, 1e5]), np.array([1e6, 1e4])
    inside = log_error(tuple(u), jnp.log(model_size / 1e4), jnp.log(data_size / 2e5))
    expected = offset + a * model_size**alpha + b * data_size**beta
    np.testing.assert_allclose(3.0 * np.exp(inside), expected, rtol=1e-5)
