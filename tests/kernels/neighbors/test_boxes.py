"""The search through boxes against NumPy and SciPy, and the plan of its cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
from hypothesis import given
from hypothesis import strategies as st

from lcjax.kernels.neighbors import box_search, nearest_neighbors
from lcjax.kernels.neighbors.boxes import MAX_BRANCHES, lower_bound, partition, plan, rough_order
from tests.kernels.neighbors import problems


@pytest.mark.parametrize("k", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_few_dimensions_match_numpy_bit_for_bit(k, x64):
    problems.check_hard_cases(box_search, k, problems.dtype_of(x64))


@given(palette=st.lists(st.floats(-2000, 2000, width=16), min_size=1, max_size=8), seed=st.integers(0, 2**31))
def test_no_counter_example_against_numpy(palette, seed, x64):
    problems.check_palette(box_search, palette, seed, 3, problems.dtype_of(x64))


def test_denormal_differences_count_as_zero(x64):
    problems.check_denormals(box_search, problems.dtype_of(x64))


def test_exclude_self_leaves_out_the_own_row_only(x64):
    problems.check_exclude_self(box_search, problems.dtype_of(x64))


@pytest.mark.slow
def test_grouping_never_changes_the_answer(x64):
    problems.check_grouping(box_search, 3, 3, problems.dtype_of(x64))


@pytest.mark.slow
def test_vmap_gives_what_a_loop_gives(x64):
    problems.check_transformations(box_search)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2])
def test_deep_trees_match_scipy(k, x64):
    dtype = problems.dtype_of(x64)
    rng = np.random.default_rng(5)
    points, queries = rng.normal(size=(20_011, 3)).astype(dtype), rng.normal(size=(257, 3)).astype(dtype)
    distance, _ = scipy.spatial.KDTree(points.astype(np.float64)).query(queries.astype(np.float64), k=range(1, k + 1))
    result = nearest_neighbors(queries, points, k, search=box_search)
    np.testing.assert_allclose(result.distance, distance, rtol=4 * np.finfo(dtype).eps)
    pairs = np.linalg.norm(queries[:, None].astype(np.float64) - points[np.asarray(result.index)], axis=-1)
    np.testing.assert_allclose(pairs, distance, rtol=4 * np.finfo(dtype).eps)


@given(n=st.integers(1, 10**7), d=st.integers(1, 9), cell=st.sampled_from([4, 16, 32, 128]))
def test_a_plan_has_room_and_cuts_every_dimension(n, d, cell):
    tree = plan(n, d, cell)
    assert tree.size >= n
    assert tree.branches <= MAX_BRANCHES
    assert tree.slabs**tree.cuts * tree.cell == tree.size
    assert tree.cuts % d == 0 or tree.branches <= 4
    # With one level less, where allowed, the points would not fit.
    if tree.levels > 1 and (tree.levels - 1) % d == 0:
        assert cell * MAX_BRANCHES ** (tree.levels - 1) < n


def test_plans_of_known_sizes():
    assert (plan(1, 3, 32).levels, plan(1, 3, 32).branches) == (1, 2)
    tree = plan(20_011, 3, 32)
    assert (tree.cell, tree.cuts, tree.levels, tree.branches, tree.slabs) == (32, 3, 3, 9, 9)
    tree = plan(3000, 2, 4)
    assert (tree.cuts, tree.levels, tree.branches, tree.slabs, tree.size) == (2, 2, 28, 28, 3136)


def test_cells_hold_neighboring_rows_and_absent_ones_come_last():
    points = jnp.asarray(np.random.default_rng(0).permutation(64)[:, None].astype(float))
    live = jnp.arange(64) != 10
    tree = plan(64, 1, 4)
    order = np.asarray(jax.jit(partition, static_argnums=2)(points, live, tree))
    assert len(order) == tree.size
    np.testing.assert_array_equal(np.sort(order[:64]), np.arange(64))
    assert order[63] == 10
    assert np.all(order[64:] == 64)
    values = np.asarray(points)[order[:63], 0]
    np.testing.assert_array_equal(values, np.sort(values))


def test_the_rough_order_ignores_an_offset():
    value = jnp.asarray([[3.0, 1.0, 2.0, 0.0], [4.0, 4.0, 5.0, 1.0]]) + 2.0**20
    live = jnp.asarray([[True, True, True, True], [True, True, False, True]])
    np.testing.assert_array_equal(jax.jit(rough_order)(value, live), [[3, 1, 2, 0], [3, 0, 1, 2]])


def test_bounds_are_distances_to_boxes():
    query = jnp.asarray([[[0.0, 5.0], [0.0, 2.0]]])  # one group: queries (0, 0) and (5, 2)
    box = jnp.asarray([[[1.0], [-1.0], [3.0], [1.0]]])  # [1, 3] x [-1, 1]
    np.testing.assert_array_equal(jax.jit(lower_bound)(query, box), [[[1.0, 5.0]]])


@pytest.mark.slow
def test_lowers_for_every_platform():
    problems.check_lowering(box_search, 3)
