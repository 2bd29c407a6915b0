"""Points and queries sharded over a mesh of devices: each searches its own points, one gather merges."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.dispatch import traced_search
from lcjax.kernels.neighbors.distance import ABSENT, Neighbors, finish, finite_rows, prepare, smallest

__all__ = ["sharded_neighbors"]

Array = jax.Array | np.ndarray


def sharded_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    mesh: Mesh,
    query_axis: str | None = None,
    point_axis: str | None = None,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Nearest neighbours over a mesh, with the result of `nearest_neighbors` on one device, bit for bit.

    Every device searches its share of the points for its share of the queries, and the k best of each are gathered
    along `point_axis` and merged by distance and index. Neither m nor n need be a multiple of the axes' sizes.

    Args:
        queries: m points in d dimensions.
        points: n points.
        k: neighbours per query.
        mesh: the devices, for instance `jax.make_mesh((4, 2), ("queries", "points"))`.
        query_axis: name of the mesh axis over which queries are split, or `None`.
        point_axis: name of the mesh axis over which points are split, or `None`.
        exclude_self: as for `nearest_neighbors`.
        squared: return squared distances.
        memory: bytes that the temporaries of one device may take.

    Returns:
        `Neighbors`, differentiable like that of `nearest_neighbors`.

    Raises:
        ValueError: as for `nearest_neighbors`, or the mesh has no axis of that name.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> mesh = jax.make_mesh((1,), ("points",))
        >>> sharded_neighbors(jnp.zeros((1, 2)), jnp.eye(2), mesh=mesh, point_axis="points").index.tolist()
        [[0]]
    """
    for axis in (query_axis, point_axis):
        if axis is not None and axis not in mesh.axis_names:
            raise ValueError(f"The mesh has axes {mesh.axis_names}, got axis {axis!r}.")
    return _search(
        _automatic(queries),
        _automatic(points),
        k,
        Mesh(mesh.devices, mesh.axis_names),
        query_axis,
        point_axis,
        exclude_self=exclude_self,
        squared=squared,
        memory=memory,
    )


def _automatic(x: Array) -> Array:
    """The array with its shards in place, on a mesh whose axes the compiler propagates (not explicit ones)."""
    sharding = None if isinstance(x, jax.core.Tracer) else getattr(x, "sharding", None)
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return x
    return jax.device_put(x, NamedSharding(Mesh(sharding.mesh.devices, sharding.mesh.axis_names), sharding.spec))


@jit(static_argnames=("k", "mesh", "query_axis", "point_axis", "exclude_self", "squared", "memory"))
def _search(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int,
    mesh: Mesh,
    query_axis: str | None,
    point_axis: str | None,
    *,
    exclude_self: bool,
    squared: bool,
    memory: int,
) -> Neighbors:
    queries, points, dtype = prepare(queries, points, k, exclude_self)
    (m, d), n = queries.shape, points.shape[0]
    q, valid = finite_rows(lax.stop_gradient(queries))
    x, usable = finite_rows(lax.stop_gradient(points))
    query_parts = mesh.shape[query_axis] if query_axis else 1
    point_parts = mesh.shape[point_axis] if point_axis else 1
    more_queries, more_points = -m % query_parts, -n % point_parts
    q = jnp.pad(q, ((0, more_queries), (0, 0)))
    x = jnp.pad(x, ((0, more_points), (0, 0)))
    number = jnp.where(usable, jnp.arange(n, dtype=jnp.int32), ABSENT)
    number = jnp.pad(number, (0, more_points), constant_values=ABSENT)
    exclude = jnp.arange(m, dtype=jnp.int32) if exclude_self else jnp.full(m, -1, jnp.int32)
    exclude = jnp.pad(exclude, (0, more_queries), constant_values=-1)
    share = min(k, x.shape[0] // point_parts)
    search = traced_search(x.shape[0] // point_parts, d, share)[0]

    def one_device(q: jax.Array, x: jax.Array, number: jax.Array, exclude: jax.Array) -> jax.Array:
        value, index = search(q, x, number, exclude, k=share, memory=memory)
        if point_axis is None:
            return index
        value = lax.all_gather(value, point_axis, axis=1, tiled=True)
        index = lax.all_gather(index, point_axis, axis=1, tiled=True)
        return smallest(value, index, k)[1]

    if m == 0:
        index = jnp.zeros((0, k), jnp.int32)
    else:
        rows, columns = PartitionSpec(query_axis), PartitionSpec(point_axis)
        index = jax.shard_map(
            one_device, mesh=mesh, in_specs=(rows, columns, columns, rows), out_specs=rows, check_vma=False
        )(q, x, number, exclude)[:m]
    return finish(queries, points, index, valid, squared=squared, dtype=dtype, method="sharded")
