"""The search by products against NumPy, bit for bit, and its memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels.neighbors import matmul_search, nearest_neighbors
from lcjax.kernels.neighbors.matmul import lowest
from tests.kernels.neighbors import problems


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_few_dimensions_match_numpy_bit_for_bit(k, x64):
    problems.check_hard_cases(matmul_search, k, problems.dtype_of(x64))


def test_many_dimensions_match_numpy_bit_for_bit(x64):
    problems.check_many_dimensions(matmul_search, problems.dtype_of(x64))


@given(palette=st.lists(st.floats(-2000, 2000, width=16), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_no_counter_example_against_numpy(palette, seed, x64):
    problems.check_palette(matmul_search, palette, seed, 3, problems.dtype_of(x64))


@pytest.mark.parametrize("d", [65, pytest.param(130, marks=pytest.mark.slow)])
def test_several_tiles_match_numpy_bit_for_bit(d):
    rng = np.random.default_rng(9)
    queries, points = rng.normal(size=(problems.M, d)), rng.normal(size=(2500, d))
    problems.check(matmul_search, queries.astype(np.float32), points.astype(np.float32), 2)


def test_denormal_differences_count_as_zero(x64):
    problems.check_denormals(matmul_search, problems.dtype_of(x64))


def test_exclude_self_leaves_out_the_own_row_only(x64):
    problems.check_exclude_self(matmul_search, problems.dtype_of(x64))


@pytest.mark.slow
def test_grouping_never_changes_the_answer(x64):
    problems.check_grouping(matmul_search, 64, 1, problems.dtype_of(x64))


@pytest.mark.slow
def test_vmap_gives_what_a_loop_gives(x64):
    problems.check_transformations(matmul_search)


@pytest.mark.parametrize("count", [1, 4, 13])
def test_the_lowest_rows_come_first(count):
    bound = np.random.default_rng(0).permutation(60).reshape(20, 3).astype(float)
    rows, beyond = jax.jit(lowest, static_argnums=1)(jnp.asarray(bound), count)
    order = np.argsort(bound, axis=0)
    np.testing.assert_array_equal(rows, order[:count].T)
    np.testing.assert_array_equal(beyond, np.sort(bound, axis=0)[count])


@pytest.mark.slow
def test_peak_memory_is_within_the_bound():
    rows = jax.ShapeDtypeStruct((100_000, 64), np.float32)
    search = jax.jit(functools.partial(nearest_neighbors, search=matmul_search, memory=2**27))
    assert search.lower(rows, rows).compile().memory_analysis().temp_size_in_bytes < 1e9


@pytest.mark.slow
def test_lowers_for_every_platform():
    problems.check_lowering(matmul_search, 40)
