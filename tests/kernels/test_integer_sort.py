"""The integer-key sort against NumPy's, its derivative against a permutation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lcjax.kernels.integer_sort import ascending


@settings(max_examples=60)
@given(values=arrays(np.float32, st.tuples(st.just(2), st.just(5)), elements=st.floats(width=32)))
def test_the_order_is_numpys(values):
    np.testing.assert_array_equal(ascending(values), np.sort(values, axis=-1))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_every_precision_is_kept(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        values = jnp.asarray(np.random.default_rng(0).normal(size=(3, 401)), dtype).at[0, 3].set(jnp.nan)
        ordered = ascending(values)
        assert ordered.dtype == dtype
        np.testing.assert_array_equal(ordered.astype(float), np.sort(np.asarray(values.astype(float))))


def test_derivatives_follow_the_numbers_under_vmap_and_jit(x64):
    values, weight = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, 7)))
    slope = jax.jit(jax.vmap(jax.grad(lambda row, w: w @ ascending(row))))(values, weight)
    np.testing.assert_array_equal(slope, np.take_along_axis(np.asarray(weight), np.argsort(np.argsort(values)), 1))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32])
def test_tangents_move_with_their_numbers(dtype):
    values = jnp.asarray([[3.0, jnp.nan, -1.0], [0.0, 2.0, -jnp.inf]], dtype)
    change = jnp.arange(6.0, dtype=dtype).reshape(2, 3)
    ordered, moved = jax.jvp(ascending, (values,), (change,))
    np.testing.assert_array_equal(ordered, np.sort(values))
    np.testing.assert_array_equal(moved, [[2, 0, 1], [5, 3, 4]])


def test_empty_rows_stay_empty():
    assert ascending(jnp.zeros((2, 0))).shape == (2, 0)
