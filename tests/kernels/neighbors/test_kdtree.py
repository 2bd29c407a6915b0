"""The search by SciPy's tree against NumPy, bit for bit: ties and doubtful rows are searched again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels.neighbors import kdtree_search, nearest_neighbors
from tests.kernels.neighbors import problems


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_few_dimensions_match_numpy_bit_for_bit(k, x64):
    problems.check_hard_cases(kdtree_search, k, problems.dtype_of(x64))


@given(palette=st.lists(st.floats(-2000, 2000, width=16), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_no_counter_example_against_numpy(palette, seed, x64):
    problems.check_palette(kdtree_search, palette, seed, 3, problems.dtype_of(x64))


def test_denormal_differences_count_as_zero(x64):
    problems.check_denormals(kdtree_search, problems.dtype_of(x64))


def test_exclude_self_leaves_out_the_own_row_only(x64):
    problems.check_exclude_self(kdtree_search, problems.dtype_of(x64))


def test_deep_trees_match_scipy(x64):
    dtype = problems.dtype_of(x64)
    rng = np.random.default_rng(5)
    points, queries = rng.normal(size=(20_011, 3)).astype(dtype), rng.normal(size=(257, 3)).astype(dtype)
    distance, index = scipy.spatial.KDTree(points.astype(np.float64)).query(queries.astype(np.float64), k=[1, 2])
    result = nearest_neighbors(queries, points, 2, search=kdtree_search)
    np.testing.assert_allclose(result.distance, distance, rtol=4 * np.finfo(dtype).eps)
    if x64:
        np.testing.assert_array_equal(result.index, index)


@pytest.mark.slow
def test_many_doubtful_rows_of_many_points_match_numpy(x64):
    rng = np.random.default_rng(4)
    points, queries = (rng.integers(0, 9, (c, 3)).astype(problems.dtype_of(x64)) for c in (3000, 90))
    problems.check(kdtree_search, queries, points, 2)


def test_traced_arrays_are_refused():
    with pytest.raises(ValueError, match="needs concrete arrays, got traced ones"):
        jax.jit(lambda x: nearest_neighbors(x, x, search=kdtree_search).index)(jnp.zeros((3, 2)))
