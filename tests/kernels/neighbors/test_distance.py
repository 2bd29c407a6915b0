"""Squared distances against NumPy, bit for bit; the order of ties; wrong arguments; the derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from lcjax.kernels.neighbors import nearest_neighbors
from lcjax.kernels.neighbors.distance import ABSENT, extreme, finish, pose, smallest, squared_distance, validate
from tests.kernels.neighbors import problems


@pytest.mark.parametrize("d", [1, 32, 33, 70])
def test_squared_distances_have_numpys_bits(d, x64):
    a, b = np.random.default_rng(0).normal(size=(2, d, 50)).astype(problems.dtype_of(x64))
    expected = np.zeros(50, a.dtype)
    for j in range(d):
        expected += (a[j] - b[j]) ** 2
    np.testing.assert_array_equal(jax.jit(squared_distance)(a, b), expected)


SMALLEST = jax.jit(smallest, static_argnums=(2, 3))


@given(seed=st.integers(0, 2**31), k=st.sampled_from([1, 3, 9]), axis=st.sampled_from([0, 1]))
def test_the_smallest_come_by_value_and_index(seed, k, axis):
    rng = np.random.default_rng(seed)
    value = rng.choice([0.0, 1.0, 2.0, np.inf], (12, 12))
    index = np.stack([rng.permutation(12) for _ in range(12)]).astype(np.int32)
    index = np.where(np.isinf(value), ABSENT, index if axis else index.T)
    order = np.lexsort((index, value), axis=axis)[:k] if axis == 0 else np.lexsort((index, value), axis=1)[:, :k]
    values, indices = SMALLEST(value, index, k, axis)
    np.testing.assert_array_equal(values, np.take_along_axis(value, order, axis))
    np.testing.assert_array_equal(indices, np.take_along_axis(index, order, axis))


@pytest.mark.parametrize("n", [1, 8, 9])
def test_extremes_keep_the_axis(n):
    x = np.random.default_rng(0).normal(size=(3, n, 2)).astype(np.float32)
    np.testing.assert_array_equal(extreme(lax.min, x, 1), x.min(axis=1, keepdims=True))
    np.testing.assert_array_equal(extreme(lax.max, x, 1), x.max(axis=1, keepdims=True))


@pytest.mark.parametrize("exclude_self", [False, True])
def test_a_problem_has_only_finite_rows(exclude_self):
    rows = jnp.array([[1.0, 2.0], [jnp.nan, 0.0], [jnp.inf, 1.0]], jnp.float32)
    problem, valid = pose(rows, rows, exclude_self=exclude_self)
    np.testing.assert_array_equal(problem.queries, [[1, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(problem.points, [[1, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(problem.label, [0, ABSENT, ABSENT])
    np.testing.assert_array_equal(problem.excluded, [0, 1, 2] if exclude_self else [-1, -1, -1])
    np.testing.assert_array_equal(valid, [True, False, False])


@pytest.mark.parametrize("kind", [np.float16, jnp.bfloat16, np.float32, np.int32])
def test_work_is_at_least_single_precision(kind, x64):
    queries, points, dtype = validate(np.zeros((1, 2), kind), np.zeros((3, 2), kind), 3, False)
    assert dtype == (problems.dtype_of(x64) if kind is np.int32 else kind)
    assert queries.dtype == points.dtype == (problems.dtype_of(x64) if kind is np.int32 else np.float32)


@pytest.mark.parametrize(
    ("queries", "points", "k", "numbers"),
    [
        (np.zeros((2, 3)), np.zeros((5, 3)), 6, "k <= 5, got k=6 with n=5"),
        (np.zeros((2, 3)), np.zeros((5, 3)), 0, "k=0"),
        (np.zeros((2, 3)), np.zeros((5, 2)), 1, r"\(2, 3\) and \(5, 2\)"),
        (np.zeros((2, 0)), np.zeros((5, 0)), 1, r"\(5, 0\)"),
        (np.zeros((2, 1), complex), np.zeros((5, 1)), 1, "complex"),
    ],
)
def test_wrong_arguments_are_named(queries, points, k, numbers):
    with pytest.raises(ValueError, match=numbers):
        nearest_neighbors(queries, points, k)


def test_exclude_self_needs_one_set():
    with pytest.raises(ValueError, match="m=2, n=5"):
        nearest_neighbors(np.zeros((2, 3)), np.zeros((5, 3)), exclude_self=True)
    with pytest.raises(ValueError, match=r"k <= 4, got k=5"):
        nearest_neighbors(np.zeros((5, 3)), np.zeros((5, 3)), 5, exclude_self=True)


@pytest.mark.parametrize("searched", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("squared", [False, True])
def test_derivatives_match_central_differences(squared, searched, x64):
    rng = np.random.default_rng(7)
    queries, points = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=(30, 3)))
    index = problems.reference(np.asarray(queries), np.asarray(points), 2)[1]

    @jax.jit
    def total(queries, points):
        if searched:
            distance = nearest_neighbors(queries, points, 2, squared=squared).distance
        else:
            options = {"squared": squared, "dtype": queries.dtype, "method": ""}
            distance = finish(queries, points, index, jnp.ones(5, bool), **options).distance
        return jnp.sum(distance * jnp.array([1.0, 0.3]))

    step = 1e-5 if x64 else 1e-2
    direction = [jnp.asarray(rng.normal(size=x.shape)) for x in (queries, points)]
    _, slope = jax.jvp(total, (queries, points), tuple(direction))
    ahead = total(*(x + step * v for x, v in zip((queries, points), direction, strict=True)))
    behind = total(*(x - step * v for x, v in zip((queries, points), direction, strict=True)))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-7 if x64 else 2e-3)
    gradient = jax.grad(total, (0, 1))(queries, points)
    dotted = sum(jnp.vdot(g, v) for g, v in zip(gradient, direction, strict=True))
    np.testing.assert_allclose(dotted, slope, rtol=1e-12 if x64 else 1e-4)


def test_derivative_is_zero_at_coincidence_and_never_nan():
    points = jnp.array([[1.0, 2.0], [jnp.nan, 0.0], [4.0, 2.0]])
    gradient = jax.grad(lambda q: jnp.nansum(nearest_neighbors(q, points, 3).distance))(points)
    np.testing.assert_array_equal(gradient, [[-1, 0], [0, 0], [1, 0]])
