"""A NumPy reference search, hard cases, and checks that every algorithm must pass."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.kernels.neighbors import kdtree_search, nearest_neighbors
from lcjax.kernels.neighbors.distance import ABSENT, pose

M, N = 40, 300  # queries and points: one shape, so that each algorithm is compiled once for each k


def dtype_of(x64):
    return np.float64 if x64 else np.float32


def reference(queries, points, k, exclude_self=False):
    """Compare every pair in NumPy, with denormal numbers flushed to zero; return squared distances and indices."""

    def flush(x):
        return np.where(np.abs(x) < np.finfo(queries.dtype).tiny, 0, x).astype(queries.dtype)

    with np.errstate(all="ignore"):
        squares = np.zeros((len(queries), len(points)), queries.dtype)
        for j in range(queries.shape[1]):
            squares += flush(flush(queries[:, None, j] - points[None, :, j]) ** 2)
    absent = ~np.isfinite(points).all(axis=1)[None, :] | ~np.isfinite(queries).all(axis=1)[:, None]
    if exclude_self:
        absent = absent | np.eye(*squares.shape, dtype=bool)
    squares = np.where(absent, np.inf, squares)
    number = np.where(absent, len(points), np.arange(len(points)))
    order = np.lexsort((number, squares), axis=-1)[:, :k]
    number = np.take_along_axis(number, order, 1)
    squares = np.take_along_axis(squares, order, 1)
    return np.where(number == len(points), np.nan, squares), np.where(number == len(points), -1, number)


@functools.cache
def compiled(search):
    return search if search is kdtree_search else jax.jit(search, static_argnames=("k", "memory"))


def solve(search, queries, points, k, *, exclude_self=False, memory=2**28):
    """Return the squared distances and indices of a single search, in the format of the reference."""
    problem, valid = pose(jnp.asarray(queries), jnp.asarray(points), exclude_self=False)
    if exclude_self:
        problem = problem._replace(excluded=jnp.arange(len(queries), dtype=jnp.int32))
    value, index = compiled(search)(problem, k=k, memory=memory)
    assert value.dtype == queries.dtype
    present = valid[:, None] & (index != ABSENT)
    return np.where(present, value, np.nan), np.where(present, index, -1)


def check(search, queries, points, k, *, exclude_self=False, name=""):
    """Compare a search with the reference, bit for bit."""
    squares, index = reference(queries, points, k, exclude_self)
    actual_squares, actual_index = solve(search, queries, points, k, exclude_self=exclude_self)
    np.testing.assert_array_equal(actual_index, index, err_msg=name)
    np.testing.assert_array_equal(actual_squares, squares, err_msg=name)


def few_dimensions(rng, m, n, d):
    """Yield named hard cases, all of one shape."""
    normal = rng.normal
    yield "offset", normal(size=(m, d)) + 1e6, normal(size=(n, d)) + 1e6
    yield "grid", rng.integers(0, 4, (m, d)), rng.integers(0, 4, (n, d))
    yield "duplicates", normal(size=(m, d)), np.repeat(normal(size=(n // 10, d)), 10, axis=0)
    yield "equal", np.ones((m, d)), np.ones((n, d))
    yield "sheet", *(normal(size=(c, d)) * np.where(np.arange(d) == d - 1, 1e-4, 1) for c in (m, n))
    yield "diagonal", *(normal(size=(c, 1)) + 1e-4 * normal(size=(c, d)) for c in (m, n))
    yield "cauchy", rng.standard_cauchy((m, d)), rng.standard_cauchy((n, d))
    yield "sorted", np.sort(normal(size=(m, d)), axis=0), np.sort(normal(size=(n, d)), axis=0)
    yield "zeros", np.where(normal(size=(m, d)) > 0, 0.0, -0.0), np.where(normal(size=(n, d)) > 0, 0.0, -0.0)
    yield "outside", normal(size=(m, d)) + 1e5, normal(size=(n, d))
    broken = normal(size=(n, d))
    broken[5, 0], broken[6, -1], broken[7] = np.nan, np.inf, -np.inf
    queries = normal(size=(m, d))
    queries[1, 0], queries[2, -1] = np.nan, np.inf
    yield "broken rows", queries, broken
    yield "no point", normal(size=(m, d)), np.full((n, d), np.nan)


def check_hard_cases(search, k, dtype, d=3):
    for name, queries, points in few_dimensions(np.random.default_rng(0), M, N, d):
        check(search, queries.astype(dtype), points.astype(dtype), k, name=name)


def check_many_dimensions(search, dtype):
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(1, 64))
    near = [direction + 0.01 * rng.normal(size=(c, 64)) for c in (M, N)]
    cases = {
        "normalised, 0.01 apart": [x / np.linalg.norm(x, axis=1, keepdims=True) for x in near],
        "near-duplicates": [
            np.tile(rng.normal(size=(1, 64)), (c, 1)) + 1e-6 * rng.normal(size=(c, 64)) for c in (M, N)
        ],
        "offset": [rng.normal(size=(c, 64)) + 1e6 for c in (M, N)],
        "equal": [np.ones((c, 64)) for c in (M, N)],
        "huge": [1e30 * rng.normal(size=(c, 64)) for c in (M, N)],
    }
    for name, (queries, points) in cases.items():
        check(search, queries.astype(dtype), points.astype(dtype), 1, name=name)


def check_palette(search, palette, seed, k, dtype, d=3):
    """Compare on rows of few distinct values, so that ties and nearly equal distances are frequent."""
    rng = np.random.default_rng(seed)
    queries, points = (rng.choice(np.asarray(palette, dtype), (c, d)) for c in (M, N))
    check(search, queries, points, k, name=f"{palette}, seed {seed}")


def check_denormals(search, dtype, d=3):
    points = np.zeros((N, d), dtype)
    points[:, 0] = np.arange(N)[::-1] * (np.finfo(dtype).tiny / 512)
    squares, index = solve(search, np.repeat(points[-2:], M // 2, axis=0), points, 3)
    np.testing.assert_array_equal(squares, 0)
    np.testing.assert_array_equal(index, [[0, 1, 2]] * M)


def check_exclude_self(search, dtype, d=3):
    points = np.random.default_rng(3).integers(0, 5, (N, d)).astype(dtype)
    check(search, points[:M], points, 3, exclude_self=True)


def check_grouping(search, d, k, dtype):
    """Check that neither the other queries of a call nor the memory limit changes a result."""
    rng = np.random.default_rng(6)
    points, queries = rng.normal(size=(N, d)).astype(dtype), rng.normal(size=(M, d)).astype(dtype)
    whole = solve(search, queries, points, k)
    np.testing.assert_equal(solve(search, queries[7:18], points, k), tuple(part[7:18] for part in whole))
    np.testing.assert_equal(solve(search, queries, points, k, memory=2**17), whole)


def check_transformations(search, d=3):
    """Check that a mapped search gives the results of separate searches."""
    rng = np.random.default_rng(8)
    queries, points = jnp.asarray(rng.normal(size=(3, M, d))), jnp.asarray(rng.normal(size=(3, N, d)))
    mapped = jax.vmap(lambda q, x: nearest_neighbors(q, x, 3, search=search))(queries, points)
    for i in range(3):
        single = nearest_neighbors(queries[i], points[i], 3, search=search)
        np.testing.assert_array_equal(mapped.index[i], single.index)
        np.testing.assert_array_equal(mapped.distance[i], single.distance)


def check_lowering(search, d):
    """Lower a search for every platform, with jax.export."""
    rows = jax.ShapeDtypeStruct((1500, d), np.float32)
    lowered = jax.jit(lambda q, x: nearest_neighbors(q, x, 2, search=search))
    assert jax.export.export(lowered, platforms=("cpu", "cuda", "tpu"))(rows, rows).platforms == ("cpu", "cuda", "tpu")
