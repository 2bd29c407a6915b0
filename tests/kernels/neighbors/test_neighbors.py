"""Every algorithm against a plain NumPy search, bit for bit, on data that breaks careless ones."""

import os
import subprocess
import sys

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial
from hypothesis import given, settings
from hypothesis import strategies as st

from lcjax.kernels import neighbors
from lcjax.kernels.neighbors import (
    line_neighbors,
    nearest_neighbors,
    products_neighbors,
    scan_neighbors,
    sharded_neighbors,
    tiles_neighbors,
    tree_neighbors,
)

GENERAL = (scan_neighbors, tiles_neighbors, products_neighbors, tree_neighbors)
M, N = 40, 300


def reference(queries, points, k, exclude_self=False):
    """Squared distances and indices by comparing every pair in NumPy, with denormal numbers flushed to zero."""

    def flushed(x):
        return np.where(np.abs(x) < np.finfo(queries.dtype).tiny, 0, x).astype(queries.dtype)

    with np.errstate(all="ignore"):
        squares = np.zeros((len(queries), len(points)), queries.dtype)
        for j in range(queries.shape[1]):
            squares += flushed(flushed(queries[:, None, j] - points[None, :, j]) ** 2)
    absent = ~np.isfinite(points).all(axis=1)[None, :] | ~np.isfinite(queries).all(axis=1)[:, None]
    if exclude_self:
        absent = absent | np.eye(len(points), dtype=bool)
    squares = np.where(absent, np.inf, squares)
    number = np.where(absent, len(points), np.arange(len(points)))
    order = np.lexsort((number, squares), axis=-1)[:, :k]
    number = np.take_along_axis(number, order, 1)
    squares = np.take_along_axis(squares, order, 1)
    return np.where(number == len(points), np.nan, squares), np.where(number == len(points), -1, number)


def check(algorithm, queries, points, k, exclude_self=False):
    squares, index = reference(queries, points, k, exclude_self)
    found = algorithm(queries, points, k, exclude_self=exclude_self, squared=True)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.distance, squares)
    assert found.distance.dtype == queries.dtype


def few_dimensions(rng, m, n, d):
    """Named hard cases, all of one shape so that each algorithm is compiled once."""
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
    asked = normal(size=(m, d))
    asked[1, 0], asked[2, -1] = np.nan, np.inf
    yield "broken rows", asked, broken


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("algorithm", GENERAL)
def test_few_dimensions_match_numpy_bit_for_bit(algorithm, k, x64):
    dtype = np.float64 if x64 else np.float32
    for name, queries, points in few_dimensions(np.random.default_rng(0), M, N, 3):
        try:
            check(algorithm, queries.astype(dtype), points.astype(dtype), k)
        except AssertionError as error:
            raise AssertionError(f"{algorithm.__name__} fails on {name!r}: {error}") from None


@pytest.mark.parametrize("k", [1, 4])
def test_one_dimension_matches_numpy_bit_for_bit(k, x64):
    dtype = np.float64 if x64 else np.float32
    rng = np.random.default_rng(1)
    for name, queries, points in few_dimensions(rng, M, N, 1):
        try:
            check(line_neighbors, queries.astype(dtype), points.astype(dtype), k)
        except AssertionError as error:
            raise AssertionError(f"line_neighbors fails on {name!r}: {error}") from None


@pytest.mark.parametrize("algorithm", [scan_neighbors, products_neighbors])
def test_many_dimensions_match_numpy_bit_for_bit(algorithm, x64):
    dtype = np.float64 if x64 else np.float32
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(1, 64))
    cases = {
        "normalised, 0.01 apart": [direction + 0.01 * rng.normal(size=(c, 64)) for c in (M, N)],
        "near-duplicates": [
            np.tile(rng.normal(size=(1, 64)), (c, 1)) + 1e-6 * rng.normal(size=(c, 64)) for c in (M, N)
        ],
        "offset": [rng.normal(size=(c, 64)) + 1e6 for c in (M, N)],
        "equal": [np.ones((c, 64)) for c in (M, N)],
        "huge": [1e30 * rng.normal(size=(c, 64)) for c in (M, N)],
    }
    cases["normalised, 0.01 apart"] = [
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in cases["normalised, 0.01 apart"]
    ]
    for name, (queries, points) in cases.items():
        try:
            check(algorithm, queries.astype(dtype), points.astype(dtype), 1)
        except AssertionError as error:
            raise AssertionError(f"{algorithm.__name__} fails on {name!r}: {error}") from None


@pytest.mark.parametrize("d", [65, 130])
def test_products_equal_the_search_of_every_pair(d):
    rng = np.random.default_rng(9)
    queries, points = rng.normal(size=(M, d)).astype(np.float32), rng.normal(size=(2500, d)).astype(np.float32)
    check(products_neighbors, queries, points, 2)


@pytest.mark.parametrize("algorithm", [*GENERAL, line_neighbors])
def test_denormal_differences_count_as_zero(algorithm, x64):
    dtype = np.float64 if x64 else np.float32
    tiny = np.finfo(dtype).tiny
    d = 1 if algorithm is line_neighbors else 2
    points = np.zeros((N, d), dtype)
    points[:, 0] = np.arange(N)[::-1] * (tiny / 512)
    found = algorithm(points[-2:], points, 2)
    np.testing.assert_array_equal(found.distance, 0)
    np.testing.assert_array_equal(found.index, [[0, 1], [0, 1]])


@pytest.mark.parametrize("algorithm", [*GENERAL, line_neighbors])
def test_exclude_self_leaves_out_the_own_row_only(algorithm, x64):
    dtype = np.float64 if x64 else np.float32
    d = 1 if algorithm is line_neighbors else 2
    points = np.random.default_rng(3).integers(0, 5, (60, d)).astype(dtype)
    check(algorithm, points, points, 2, exclude_self=True)


@pytest.mark.parametrize(("n", "m", "k"), [(1, 3, 1), (5, 0, 2), (33, 4, 33), (1025, 9, 2)])
@pytest.mark.parametrize("d", [1, 2, 9])
def test_shapes_at_the_edges(n, m, k, d, x64):
    dtype = np.float64 if x64 else np.float32
    rng = np.random.default_rng(4)
    queries, points = rng.normal(size=(m, d)).astype(dtype), rng.normal(size=(n, d)).astype(dtype)
    check(nearest_neighbors, queries, points, k)


@pytest.mark.parametrize("algorithm", [tiles_neighbors, products_neighbors, tree_neighbors])
def test_deep_structures_match_scipy(algorithm, x64):
    dtype = np.float64 if x64 else np.float32
    rng = np.random.default_rng(5)
    points, queries = rng.normal(size=(20_011, 3)).astype(dtype), rng.normal(size=(257, 3)).astype(dtype)
    distance, _ = scipy.spatial.KDTree(points.astype(np.float64)).query(queries.astype(np.float64), k=[1, 2])
    found = algorithm(queries, points, 2)
    np.testing.assert_allclose(found.distance, distance, rtol=4 * np.finfo(dtype).eps)
    pairs = np.linalg.norm(queries[:, None].astype(np.float64) - points[np.asarray(found.index)], axis=-1)
    np.testing.assert_allclose(pairs, distance, rtol=4 * np.finfo(dtype).eps)


def test_how_queries_are_grouped_never_changes_the_answer(x64):
    dtype = np.float64 if x64 else np.float32
    rng = np.random.default_rng(6)
    options = {"exclude_self": False, "squared": True}
    for algorithm, d, k in ((tiles_neighbors, 3, 3), (products_neighbors, 64, 1)):  # as above: compiled already
        points, queries = rng.normal(size=(N, d)).astype(dtype), rng.normal(size=(M, d)).astype(dtype)
        whole, part = (algorithm(asked, points, k, **options) for asked in (queries, queries[7:18]))
        np.testing.assert_array_equal(whole.index[7:18], part.index)
        np.testing.assert_array_equal(whole.distance[7:18], part.distance)
        small = algorithm(queries, points, k, **options, memory=2**17)
        np.testing.assert_array_equal(whole.distance, small.distance)
        np.testing.assert_array_equal(whole.index, small.index)


def test_half_precision_and_integers(x64):
    points = np.array([[0, 0], [3, 4], [3, 4]])
    for dtype, expected in ((np.float16, np.float16), (np.int32, np.float64 if x64 else np.float32)):
        found = nearest_neighbors(points[:1].astype(dtype), points.astype(dtype), 3)
        assert found.distance.dtype == expected
        np.testing.assert_array_equal(found.distance, [[0, 5, 5]])
        np.testing.assert_array_equal(found.index, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("queries", "points", "k", "numbers"),
    [
        (np.zeros((2, 3)), np.zeros((5, 3)), 6, "k=6 with n=5"),
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


@pytest.mark.parametrize("squared", [False, True])
def test_derivatives_match_central_differences(squared, x64):
    rng = np.random.default_rng(7)
    queries, points = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=(30, 3)))

    def total(queries, points):
        found = nearest_neighbors(queries, points, 2, squared=squared)
        return jnp.sum(found.distance * jnp.array([1.0, 0.3]))

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


def test_vmap_and_jit_give_what_a_loop_gives(x64):
    rng = np.random.default_rng(8)
    queries, points = jnp.asarray(rng.normal(size=(3, 9, 2))), jnp.asarray(rng.normal(size=(3, 200, 2)))
    for algorithm in (tiles_neighbors, products_neighbors):
        mapped = jax.vmap(lambda q, x, algorithm=algorithm: algorithm(q, x, 2))(queries, points)
        for i in range(3):
            single = jax.jit(algorithm, static_argnums=2)(queries[i], points[i], 2)
            np.testing.assert_array_equal(mapped.index[i], single.index)
            np.testing.assert_array_equal(mapped.distance[i], single.distance)


@settings(max_examples=15)
@given(
    data=hnp.arrays(np.float32, (31, 2), elements=st.floats(-1000, 1000, width=16)),
    asked=hnp.arrays(np.float32, (5, 2), elements=st.floats(-2000, 2000, width=16)),
)
def test_no_counter_example_against_numpy(data, asked, x64):
    dtype = np.float64 if x64 else np.float32
    data, asked = data.astype(dtype), asked.astype(dtype)
    for algorithm in GENERAL:
        check(algorithm, asked, data, 2)
    check(line_neighbors, asked[:, :1], data[:, :1], 2)


SHARDED = """
import jax, numpy as np
from lcjax.kernels.neighbors import nearest_neighbors, sharded_neighbors
from jax.sharding import NamedSharding, PartitionSpec as P
mesh = jax.make_mesh((2, 2), ("queries", "points"))
rng = np.random.default_rng(0)
for d, k, integers in ((3, 2, True), (12, 1, False)):
    draw = (lambda s: rng.integers(0, 5, s)) if integers else (lambda s: rng.normal(size=s))
    queries, points = draw((61, d)).astype("f4"), draw((2501, d)).astype("f4")
    points[3] = np.nan
    one = jax.jit(lambda q, x: nearest_neighbors(q, x, k))(queries, points)
    many = sharded_neighbors(queries, points, k, mesh=mesh, query_axis="queries", point_axis="points")
    assert np.array_equal(one.index, many.index), (d, k)
    assert np.array_equal(one.distance, many.distance), (d, k)
    placed = jax.device_put(queries[:60], NamedSharding(mesh, P("queries")))
    inside = jax.jit(jax.shard_map(lambda q: nearest_neighbors(q, points, k).distance, mesh=mesh,
                                   in_specs=P("queries"), out_specs=P("queries")))(placed)
    assert np.array_equal(one.distance[:60], inside), (d, k, "inside shard_map")
"""


def test_sharded_search_equals_one_device_bit_for_bit(x64):
    if x64:
        pytest.skip("the process it starts sets its own precision")
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def sharded_on_one_device(queries, points, k):
    return sharded_neighbors(queries, points, k, mesh=jax.make_mesh((1,), ("points",)), point_axis="points")


def test_every_public_search_is_in_the_test_of_lowering():
    lowered = {
        line_neighbors,
        nearest_neighbors,
        products_neighbors,
        scan_neighbors,
        sharded_neighbors,
        tiles_neighbors,
    }
    public = {getattr(neighbors, name) for name in neighbors.__all__ if name.endswith("_neighbors")}
    assert public - lowered == {tree_neighbors}  # runs on the host


def test_peak_memory_is_within_the_bound():
    rows = jax.ShapeDtypeStruct((100_000, 64), np.float32)
    analysis = products_neighbors.lower(rows, rows, memory=2**27).compile().memory_analysis()
    assert analysis.temp_size_in_bytes < 1e9


@pytest.mark.parametrize(
    ("algorithm", "d"),
    [
        (line_neighbors, 1),
        (nearest_neighbors, 3),
        (products_neighbors, 40),
        (scan_neighbors, 3),
        (sharded_on_one_device, 3),
        (tiles_neighbors, 3),
    ],
)
def test_lowers_for_every_platform(algorithm, d):
    rows = jax.ShapeDtypeStruct((1500, d), np.float32)
    exported = jax.export.export(jax.jit(lambda q, x: algorithm(q, x, 2)), platforms=("cpu", "cuda", "tpu"))(rows, rows)
    assert exported.platforms == ("cpu", "cuda", "tpu")
