"""The automatic choice of a search, its results for extreme shapes and dtypes, and under transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels.neighbors import (
    box_search,
    brute_force_search,
    kdtree_search,
    matmul_search,
    nearest_neighbors,
    sorted_line_search,
)
from lcjax.kernels.neighbors.dispatch import choose_search
from tests.kernels.neighbors import problems


@pytest.mark.parametrize(
    ("n", "d", "k", "search"),
    [
        (1024, 3, 1, brute_force_search),
        (1025, 3, 1, box_search),
        (2000, 3, 500, brute_force_search),
        (2000, 3, 499, matmul_search),
        (1025, 1, 1, sorted_line_search),
        (1025, 1, 256, sorted_line_search),
        (10_000, 5, 64, box_search),
        (10_000, 5, 65, matmul_search),
        (200_000, 6, 1, matmul_search),
        (200_001, 6, 1, box_search),
        (200_001, 8, 1, box_search),
        (200_001, 9, 1, matmul_search),
        (0, 0, 1, brute_force_search),
    ],
)
def test_shapes_choose_the_search(n, d, k, search):
    assert choose_search(n, d, k) is search


@pytest.mark.parametrize(
    ("n", "m", "k", "d", "search"),
    [
        (1, 3, 1, 2, brute_force_search),
        (5, 0, 2, 2, brute_force_search),
        (33, 4, 33, 1, brute_force_search),
        pytest.param(1025, 9, 2, 1, sorted_line_search, marks=pytest.mark.slow),
        (1025, 9, 2, 2, kdtree_search),
        pytest.param(1025, 9, 64, 8, kdtree_search, marks=pytest.mark.slow),
        pytest.param(1025, 9, 65, 2, matmul_search, marks=pytest.mark.slow),
        pytest.param(1025, 9, 2, 9, matmul_search, marks=pytest.mark.slow),
        pytest.param(33, 4, 33, 9, brute_force_search, marks=pytest.mark.slow),
    ],
)
def test_edges_of_shapes_match_numpy(n, m, k, d, search, x64):
    rng = np.random.default_rng(4)
    queries, points = (rng.normal(size=(c, d)).astype(problems.dtype_of(x64)) for c in (m, n))
    nearest = nearest_neighbors(queries, points, k, squared=True)
    squares, index = problems.reference(queries, points, k)
    np.testing.assert_array_equal(nearest.index, index)
    np.testing.assert_array_equal(nearest.distance, squares)
    assert nearest.distance.dtype == queries.dtype
    assert nearest.method == search.__name__


def test_no_queries_and_traced_arrays_need_no_tree():
    points = jnp.zeros((1025, 2))
    assert nearest_neighbors(points[:0], points, 2).index.shape == (0, 2)
    for d, search in ((2, box_search), (1, sorted_line_search), (9, matmul_search)):
        rows = jax.ShapeDtypeStruct((1025, d), points.dtype)
        assert jax.eval_shape(nearest_neighbors, rows, rows).method == search.__name__
    line, many = jnp.zeros((1025, 1)), jnp.zeros((1025, 9))
    assert nearest_neighbors(line[:0], line).method == "sorted_line_search"
    assert nearest_neighbors(many[:0], many).method == "matmul_search"
    assert nearest_neighbors(points[:0], points, 65).method == "matmul_search"
    assert nearest_neighbors(many[:0, :8], many[:, :8], 64).method == "kdtree_search"
    assert nearest_neighbors(points[:0, :2], points[:1024]).method == "brute_force_search"


def test_half_precision_and_integers(x64):
    points = np.array([[0, 0], [3, 4], [3, 4]])
    for dtype, expected in ((np.float16, np.float16), (np.int32, np.float64 if x64 else np.float32)):
        nearest = nearest_neighbors(points[:1].astype(dtype), points.astype(dtype), 3)
        assert nearest.distance.dtype == expected
        np.testing.assert_array_equal(nearest.distance, [[0, 5, 5]])
        np.testing.assert_array_equal(nearest.index, [[0, 1, 2]])


def test_a_users_own_search_is_used():
    def first_points(problem, *, k, memory):
        m = len(problem.queries)
        return jnp.zeros((m, k)), jnp.broadcast_to(jnp.arange(k, dtype=jnp.int32), (m, k))

    nearest = nearest_neighbors(jnp.zeros((2, 1)), jnp.array([[3.0], [1.0], [0.0]]), 2, search=first_points)
    assert nearest.method == "first_points"
    np.testing.assert_array_equal(nearest.index, [[0, 1], [0, 1]])
    np.testing.assert_array_equal(nearest.distance, [[3, 1], [3, 1]])


def test_lowers_for_every_platform():
    problems.check_lowering(None, 3)
