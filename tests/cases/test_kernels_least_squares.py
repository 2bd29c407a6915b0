"""Least squares with nan in the data, and in every unit of the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels.least_squares import least_squares

X = jnp.linspace(0, 4, 20)
BOX = jnp.full(2, jnp.inf)
NAN = {
    "nan y": ((X, (3 * X).at[2].set(jnp.nan)), jnp.array([1.0, 1.0]), -BOX),
    "inf y": ((X, (3 * X).at[2].set(jnp.inf)), jnp.array([1.0, 1.0]), -BOX),
    "nan start": ((X, 3 * X), jnp.array([jnp.nan, 1.0]), -BOX),
    "nan bound": ((X, 3 * X), jnp.array([1.0, 1.0]), jnp.array([jnp.nan, -jnp.inf])),
    "empty box": ((X, 3 * X), jnp.array([1.0, 1.0]), jnp.array([jnp.inf, 0.0])),
}


def line(u, data):
    return u[0] + u[1] * data[0] - data[1]


def decay(u, data):
    return u[0] * jnp.exp(-u[1] * data[0]) - data[1]


@pytest.mark.parametrize("name", NAN)
def test_nan_is_no_minimum(name):
    data, start, lower = NAN[name]
    upper = BOX if name != "empty box" else jnp.zeros(2)
    fit = least_squares(line, start, data, lower, upper, steps=100)
    assert not fit.converged
    assert np.isnan(fit.parameters).all()


@pytest.mark.slow
def test_nan_in_one_problem_of_a_batch_stays_there():
    y = jnp.stack([3 * X, (3 * X).at[2].set(jnp.nan)], axis=1)
    box = jnp.full((2, 2), jnp.inf)
    fit = least_squares(line, jnp.ones((2, 2)), (X[:, None], y), -box, box, steps=100)
    assert fit.converged.tolist() == [True, False]
    np.testing.assert_allclose(fit.parameters[:, 0], [0, 3], atol=1e-5)


@pytest.mark.slow
def test_derivative_at_nan_is_nan():
    def slope(y):
        return least_squares(line, jnp.ones(2), (X, y), -BOX, BOX, steps=100, newton=True).parameters[1]

    assert np.isnan(jax.grad(slope)((3 * X).at[2].set(jnp.nan))).all()


@pytest.mark.parametrize("scale", [1, 1e-2, 1e-4, 1e-6, 1e3, 1e4, 1e6, 1e12])
def test_the_fit_does_not_depend_on_the_unit(scale):
    y = 2 * scale * jnp.exp(-1.5 * X)
    fit = least_squares(decay, jnp.array([scale, 1.0]), (X, y), -BOX, BOX, steps=100)
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, [2 * scale, 1.5], rtol=1e-3)


@pytest.mark.parametrize("scale", [1e4, 1e-6])
def test_a_straight_line_in_any_unit(scale):
    data, want = (
        ((X * scale, 3 * X + 1), [1, 3 / scale]) if scale > 1 else ((X, scale * (3 * X + 1)), [scale, 3 * scale])
    )
    fit = least_squares(line, jnp.zeros(2), data, -BOX, BOX, steps=100)
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, want, rtol=1e-3)


@pytest.mark.slow
def test_arguments_of_other_kinds():
    data = np.array([0.0, 1.0, 2.0], ">f8"), np.array([1.0, 4.0, 7.0])
    box = [np.inf, np.inf]
    fit = least_squares(line, [0, 0], data, [-np.inf, -np.inf], box, steps=np.int64(20))
    np.testing.assert_allclose(fit.parameters, [1, 3], rtol=1e-5)
    with pytest.raises(ValueError, match="float16"):
        least_squares(
            line, np.zeros(2, "f2"), (X.astype("float16"),) * 2, -BOX.astype("float16"), np.ones(2, "f2"), steps=1
        )
    with pytest.raises(ValueError, match="steps=-1"):
        least_squares(line, [0, 0], data, box, box, steps=-1)
    with pytest.raises(ValueError, match="start must hold numbers"):
        least_squares(line, ["a", "b"], data, box, box, steps=1)
