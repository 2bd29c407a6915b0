"""Blocks of curves, and the choice among minima; the search as a whole is tested by fits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.curves.fit.global_search import map_blocks, search, starts_disagree, take_curves, tile_curves
from lcjax.curves.fit.objective import CurveData, box
from lcjax.curves.fit.residual_losses import relative
from lcjax.curves.forms import m3, power_law
from lcjax.kernels.compilation import jit_by_size
from lcjax.kernels.least_squares import LeastSquares


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_blocks_are_put_together_in_order(count):
    values = jnp.arange(2.0 * count).reshape(2, count)
    both = map_blocks(lambda index: (values[:, index], index), count, 3)
    np.testing.assert_array_equal(both[0], values)
    np.testing.assert_array_equal(both[1], np.arange(count))


def test_curves_lie_on_the_last_axis():
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.arange(3.0)}
    np.testing.assert_array_equal(take_curves(tree, jnp.array([2, 0]))["a"], [[2, 0], [5, 3]])
    tiled = tile_curves(tree, 2)
    np.testing.assert_array_equal(tiled["b"], [0, 1, 2, 0, 1, 2])
    assert tiled["a"].shape == (2, 6)


def minima(parameters, value):
    parameters, value = jnp.asarray(parameters), jnp.asarray(value)
    free = jnp.ones(parameters.shape, bool)
    return LeastSquares(parameters, value, jnp.zeros(()), free, value < jnp.inf, jnp.zeros(value.shape, int))


@pytest.mark.parametrize(
    ("exponent", "value", "expected"),
    [(0.5, 1.0, False), (0.53, 1.0, True), (0.53, 1.009, True), (0.53, 1.02, False), (0.51, 1.0, False)],
)
def test_starts_disagree_where_equal_minima_differ_beyond_the_data(exponent, value, expected):
    """At half + log 4 = 2.39 the logarithms differ by 2.39 times the difference of the exponents."""
    best = minima([[0.0], [np.log(0.5)]], [1.0])
    every = minima([[[0.0], [0.0]], np.log([[0.5], [exponent]])], [[1.0], [value]])
    verdict = jit_by_size(static_argnames="form")(starts_disagree)(power_law, every, best, jnp.zeros(1), jnp.ones(1))
    assert verdict.tolist() == [expected]


def test_the_best_minimum_is_selected():
    """Of a form with two starts, the best is the smallest of the minima, which are refined points of the grid."""
    z = jnp.linspace(-2.0, 2.0, 8)[:, None] * jnp.ones((1, 2))
    half, one = jnp.full(2, 2.0), jnp.ones((8, 2))
    y = m3.log_error(z, 0.0, 0.0, (jnp.log(0.7), jnp.asarray(-1.0)), 0.0)
    data = CurveData(z, y, one, jnp.zeros(2), None)
    lower, upper = box(m3, y, one > 0, half)
    every, best = jit_by_size()(lambda data: search(m3, relative, data, lower, upper, half, (None, None)))(data)
    assert every.value.shape == (2, 2)
    np.testing.assert_array_equal(best.value, np.min(every.value, axis=0))
    np.testing.assert_allclose(best.parameters[1:, 0], [np.log(0.7), -1.0], rtol=1e-3, atol=1e-3)
    index = np.argmin(every.value, axis=0)
    picked = jax.tree.map(lambda a: np.take_along_axis(np.asarray(a), index[None], axis=-2)[..., 0, :], every.value)
    np.testing.assert_array_equal(dataclasses.astuple(best)[1], picked)
