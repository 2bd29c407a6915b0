"""The sharded search equals the search on one device, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.kernels.neighbors import nearest_neighbors, sharded_neighbors
from tests.problems import run_with_devices

EVERY_PAIR = """
import jax, numpy as np
from lcjax.kernels.neighbors import nearest_neighbors, sharded_neighbors
mesh = jax.make_mesh((2, 2), ("queries", "points"))
rng = np.random.default_rng(0)
queries, points = (rng.integers(0, 5, (c, 2)).astype("f4") for c in (33, 151))
points[3] = np.nan
one = nearest_neighbors(queries, points, 3)
for axes in ({"query_axis": "queries", "point_axis": "points"}, {"point_axis": "points"}, {"query_axis": "queries"}):
    many = sharded_neighbors(queries, points, 3, mesh=mesh, **axes)
    assert np.array_equal(one.index, many.index), axes
    assert np.array_equal(one.distance, many.distance), axes
alone = nearest_neighbors(points, points, 1, exclude_self=True, squared=True)
many = sharded_neighbors(points, points, 1, mesh=mesh, query_axis="queries", point_axis="points", exclude_self=True,
                         squared=True)
assert np.array_equal(alone.index, many.index)
assert np.array_equal(alone.distance, many.distance, equal_nan=True)
"""

EVERY_SEARCH = """
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


@pytest.mark.slow
def test_every_pair_over_four_devices_equals_one_device(x64):
    if not x64:
        pytest.skip("the process it starts sets its own precision")
    run_with_devices(4, EVERY_PAIR)


@pytest.mark.slow
def test_structures_over_four_devices_equal_one_device(x64):
    if x64:
        pytest.skip("the process it starts sets its own precision")
    run_with_devices(4, EVERY_SEARCH)


def test_a_mesh_of_one_device_and_no_queries():
    mesh = jax.make_mesh((1,), ("points",))
    points = jnp.asarray(np.random.default_rng(0).normal(size=(20, 2)))
    many = sharded_neighbors(points[:4], points, 2, mesh=mesh, point_axis="points")
    assert many.method == "sharded_neighbors"
    np.testing.assert_array_equal(many.index, nearest_neighbors(points[:4], points, 2).index)
    assert sharded_neighbors(points[:0], points, 2, mesh=mesh).index.shape == (0, 2)


def test_unknown_axes_are_named():
    with pytest.raises(ValueError, match=r"axes \('points',\), got axis 'rows'"):
        sharded_neighbors(jnp.zeros((1, 2)), jnp.eye(2), mesh=jax.make_mesh((1,), ("points",)), query_axis="rows")


@pytest.mark.slow
def test_lowers_for_every_platform():
    mesh = jax.make_mesh((1,), ("points",))
    rows = jax.ShapeDtypeStruct((1500, 3), np.float32)
    search = jax.jit(lambda q, x: sharded_neighbors(q, x, 2, mesh=mesh, point_axis="points"))
    exported = jax.export.export(search, platforms=("cpu", "cuda", "tpu"))(rows, rows)
    assert exported.platforms == ("cpu", "cuda", "tpu")
