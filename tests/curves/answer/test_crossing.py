"""Crossings of curves with targets, against interpolation by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.curves.answer.crossing import first_crossing, largest_rise, worst_from_here
from lcjax.kernels.compilation import jit_by_size


def test_the_first_crossing_is_interpolated_in_logarithms(x64):
    size = np.geomspace(10, 1e5, 9)
    falling, double_descent = 2 * size**-0.5, np.array([0.9, 0.5, 0.2, 0.4, 0.6, 0.3, 0.1, 0.05, 0.01])
    flat = np.full(9, 0.3)
    error = jnp.asarray(np.stack([falling, double_descent, flat, flat]))
    target = jnp.asarray([0.05, 0.3, 0.1, 0.3])
    crossing = jit_by_size()(first_crossing)(jnp.asarray(size), error, target)
    between = np.exp(np.interp(np.log(0.3), np.log([0.2, 0.5]), np.log(size[[2, 1]])))
    expected = [(0.05 / 2) ** -2, between, np.inf, size[0]]
    np.testing.assert_allclose(crossing, expected, rtol=1e-9 if x64 else 1e-4)


def test_the_lasting_crossing_is_that_of_the_largest_error_from_there_to_the_largest_size(x64):
    rng = np.random.default_rng(0)
    size, largest = np.geomspace(10, 1e5, 12), np.array([3000.0, 400.0])
    error = rng.uniform(0.1, 0.9, (2, 12))
    worst = np.asarray(worst_from_here(jnp.asarray(size), jnp.asarray(error), jnp.asarray(largest)))
    for b in range(2):
        inside = size <= largest[b]
        for i in range(12):
            expected = error[b, i:][inside[i:]].max() if inside[i] else error[b, i]
            np.testing.assert_allclose(worst[b, i], expected, rtol=1e-6)
    np.testing.assert_allclose(worst_from_here(size, error, largest), worst, rtol=1e-6)


def test_the_rise_is_the_largest_over_all_pairs(x64):
    error = np.random.default_rng(1).uniform(0.1, 0.9, (5, 9))
    pairs = [max(np.log(e[j] / e[i]) for i in range(9) for j in range(i, 9)) for e in error]
    np.testing.assert_allclose(largest_rise(error), pairs, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(largest_rise)(jnp.asarray(error)), pairs, rtol=1e-9 if x64 else 1e-4)
