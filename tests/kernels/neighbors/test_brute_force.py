"""Brute-force search against NumPy, bit for bit, and repeated searches of some queries."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels.neighbors import brute_force_search
from lcjax.kernels.neighbors.brute_force import search_again
from lcjax.kernels.neighbors.distance import ABSENT, Problem, pose
from tests.kernels.neighbors import problems


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_few_dimensions_match_numpy_bit_for_bit(k, x64):
    problems.check_hard_cases(brute_force_search, k, problems.dtype_of(x64))


def test_many_dimensions_match_numpy_bit_for_bit(x64):
    problems.check_many_dimensions(brute_force_search, problems.dtype_of(x64))


@given(palette=st.lists(st.floats(-2000, 2000, width=16), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_no_counter_example_against_numpy(palette, seed, x64):
    problems.check_palette(brute_force_search, palette, seed, 3, problems.dtype_of(x64))


def test_denormal_differences_count_as_zero(x64):
    problems.check_denormals(brute_force_search, problems.dtype_of(x64))


def test_exclude_self_leaves_out_the_own_row_only(x64):
    problems.check_exclude_self(brute_force_search, problems.dtype_of(x64))


@pytest.mark.slow
def test_grouping_never_changes_the_answer(x64):
    problems.check_grouping(brute_force_search, 3, 3, problems.dtype_of(x64))


def test_tiles_are_cut_by_memory():
    # 64 pairs per tile: several tiles of points and blocks of queries, the last of each padded.
    rng = np.random.default_rng(0)
    queries, points = rng.normal(size=(5, 2)), rng.normal(size=(150, 2))
    label, excluded = jnp.arange(150, dtype=jnp.int32).at[3].set(ABSENT), jnp.full(5, -1, jnp.int32)
    problem = Problem(jnp.asarray(queries), jnp.asarray(points), label, excluded)
    value, index = brute_force_search(problem, k=2, memory=64 * 8 * problem.queries.dtype.itemsize)
    points[3] = np.nan
    squares, expected = problems.reference(np.asarray(problem.queries), points.astype(problem.queries.dtype), 2)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(value, squares)


def test_only_doubtful_queries_are_searched_again(x64):
    rng = np.random.default_rng(1)
    queries, points = (rng.normal(size=(c, 2)).astype(problems.dtype_of(x64)) for c in (150, 30))
    problem, _ = pose(jnp.asarray(queries), jnp.asarray(points), exclude_self=False)
    doubtful = np.arange(150) % 7 != 0  # more than one round of 64
    wrong = np.full((150, 2), 9.0, queries.dtype), np.full((150, 2), 7, np.int32)
    results = search_again(problem, tuple(map(jnp.asarray, wrong)), jnp.asarray(doubtful), k=2, memory=2**20)
    for result, right, old in zip(results, problems.reference(queries, points, 2), wrong, strict=True):
        np.testing.assert_array_equal(result, np.where(doubtful[:, None], right, old))


@pytest.mark.slow
def test_lowers_for_every_platform():
    problems.check_lowering(brute_force_search, 3)
