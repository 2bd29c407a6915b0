"""Neighbors of large integers, large offsets and small numbers; of lists, foreign byte orders and explicit meshes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import NamedSharding, PartitionSpec

from lcjax.kernels.neighbors import (
    box_search,
    brute_force_search,
    kdtree_search,
    matmul_search,
    nearest_neighbors,
    sharded_neighbors,
)  # fmt: skip
from lcjax.kernels.neighbors.host import host_neighbors

RNG = np.random.default_rng(0)
POINTS, QUERIES = (RNG.normal(size=size).astype("f4") for size in ((3000, 4), (50, 4)))


def test_integers_of_64_bits_do_not_wrap():
    nearest = nearest_neighbors(np.array([[2**40]]), np.array([[0], [2**40 + 1], [2**31]]))
    assert (nearest.index.item(), nearest.distance.item()) == (1, 1.0)
    assert nearest.distance.dtype == jnp.float32


@pytest.mark.slow
def test_integers_of_64_bits_in_a_tree():
    cloud = np.vstack([np.arange(4000).reshape(2000, 2), [[2**40, 2**40 + 7]]])
    nearest = nearest_neighbors(np.full((1, 2), 2**40), cloud)
    assert (nearest.index.item(), nearest.distance.item()) == (2000, 7.0)


@pytest.mark.slow
def test_large_offsets_keep_their_differences():
    seconds = 1.7e9 + 2 * np.arange(9.0)[:, None]
    nearest = nearest_neighbors(np.array([[1.7e9 + 4.5]]), seconds)
    assert (nearest.index.item(), nearest.distance.item()) == (2, 0.5)
    nearest = nearest_neighbors(jnp.array([[2**30]]), jnp.array([[2**30 + 3], [2**30 + 1]]))
    assert (nearest.index.item(), nearest.distance.item()) == (1, 1.0)


def test_neighbors_do_not_depend_on_the_unit():
    for scale in (1e-15, 1e-22, 1e25):
        check_unit(scale, brute_force_search)


@pytest.mark.slow
@pytest.mark.parametrize("search", [box_search, matmul_search, kdtree_search], ids=lambda search: search.__name__)
@pytest.mark.parametrize("scale", [1e-15, 1e-19, 1e-20, 1e-22, 1e25])
def test_no_search_depends_on_the_unit(scale, search):
    check_unit(scale, search)


def check_unit(scale, search):
    want = nearest_neighbors(QUERIES, POINTS, search=search)
    scaled = nearest_neighbors(QUERIES * np.float32(scale), POINTS * np.float32(scale), search=search)
    np.testing.assert_array_equal(scaled.index, want.index)
    np.testing.assert_allclose(scaled.distance, want.distance * np.float32(scale), rtol=1e-6)


def test_host_and_device_agree_in_small_units():
    queries, points = QUERIES * np.float32(1e-22), POINTS[:200] * np.float32(1e-22)
    host, device = host_neighbors(queries, points), nearest_neighbors(queries, points)
    np.testing.assert_array_equal(host.index, device.index)
    np.testing.assert_array_equal(host.distance, device.distance)


@pytest.mark.slow
def test_a_huge_outlier_leaves_the_others_alone():
    points = np.vstack([POINTS[:200], np.full((1, 4), 3e38, "f4")])
    want = nearest_neighbors(QUERIES, POINTS[:200])
    nearest = nearest_neighbors(QUERIES, points)
    np.testing.assert_array_equal(nearest.index, want.index)
    np.testing.assert_array_equal(nearest.distance, want.distance)


@pytest.mark.slow
def test_derivative_in_a_small_unit():
    points = jnp.array([[3e-22, 4e-22]])
    slope = jax.grad(lambda query: nearest_neighbors(query, points).distance.sum())(jnp.zeros((1, 2)))
    np.testing.assert_allclose(slope, [[-0.6, -0.8]], rtol=1e-5)


def test_lists_and_foreign_byte_orders():
    assert nearest_neighbors([[0.0, 0.0]], [[3.0, 4.0]]).distance.item() == 5
    assert nearest_neighbors(np.zeros((1, 2), ">f4"), np.array([[3, 4]], ">f4"), np.int64(1)).distance.item() == 5


@pytest.mark.slow
def test_other_kinds_of_arrays():
    assert nearest_neighbors([[0.0, 0.0]], [[3.0, 4.0]], search=brute_force_search).distance.item() == 5
    assert nearest_neighbors(np.ones((1, 2), ">f4"), np.ones((2000, 2), ">f4")).index.item() == 0
    assert nearest_neighbors(np.ones((1, 2), "f2"), np.zeros((3, 2), "f2")).distance.dtype == jnp.float16
    assert nearest_neighbors(np.zeros((0, 2), "f4"), np.ones((3, 2), "f4")).index.shape == (0, 1)


def test_explicit_meshes():
    mesh = jax.make_mesh((1,), ("rows",))
    queries, points = (jax.device_put(x, NamedSharding(mesh, PartitionSpec("rows"))) for x in (QUERIES, POINTS[:200]))
    want = nearest_neighbors(QUERIES, POINTS[:200]).index
    np.testing.assert_array_equal(nearest_neighbors(queries, points).index, want)


@pytest.mark.parametrize("compiled", [False, True])
def test_explicit_meshes_in_the_context_of_the_caller(compiled):
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
    want = nearest_neighbors(QUERIES, POINTS[:200]).index
    with jax.set_mesh(mesh):
        queries, points = (jax.device_put(x, PartitionSpec("rows")) for x in (QUERIES, POINTS[:200]))
        search = jax.jit(nearest_neighbors) if compiled else nearest_neighbors
        np.testing.assert_array_equal(search(queries, points).index, want)


@pytest.mark.slow
def test_explicit_meshes_are_split():
    mesh = jax.make_mesh((1,), ("rows",))
    queries, points = (jax.device_put(x, NamedSharding(mesh, PartitionSpec("rows"))) for x in (QUERIES, POINTS[:200]))
    want = nearest_neighbors(QUERIES, POINTS[:200]).index
    sharded = sharded_neighbors(queries, points, mesh=mesh, point_axis="rows")
    np.testing.assert_array_equal(sharded.index, want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": True}, "k=True"),
        ({"k": 1.0}, "k must be a whole number at least 1, got 1.0"),
        ({"memory": -5}, "memory=-5"),
        ({"search": "kdtree"}, "search must be a function"),
        ({"points": [["a", "b"]]}, "points must hold numbers"),
        ({"points": [[1.0, 2.0], [3.0]]}, "points must be an array of numbers"),
        ({"points": np.ma.masked_array(np.ones((2, 2)), [[0, 0], [0, 1]])}, "points has masked entries"),
        ({"queries": np.ones((1, 2), complex)}, "queries must hold real numbers"),
        ({"points": np.zeros((0, 2))}, "n=0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(options, message):
    arguments = {"queries": np.zeros((1, 2)), "points": np.ones((3, 2)), **options}
    with pytest.raises(ValueError, match=message):
        untyped(nearest_neighbors)(**arguments)


def test_symbolic_sizes_are_refused_by_name():
    shape = jax.ShapeDtypeStruct(export.symbolic_shape("m, 3"), jnp.float32)
    with pytest.raises(ValueError, match=r"queries has the symbolic shape \(m, 3\)"):
        export.export(jax.jit(lambda queries: nearest_neighbors(queries, jnp.ones((4, 3))).index))(shape)


def untyped(function):
    """Return the function without the run-time type checks of the tests."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function
