"""Points and queries sharded over a mesh: each device searches its own points, and one gather merges the results."""

import contextlib
from typing import SupportsIndex

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Num

from lcjax.kernels.arguments import Nested, as_count, as_real
from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.dispatch import choose_search
from lcjax.kernels.neighbors.distance import (
    ABSENT,
    Neighbors,
    Problem,
    finish,
    narrow,
    needs_double,
    pose,
    rescale,
    smallest,
    validate,
)
from lcjax.typing import Array

__all__ = ["sharded_neighbors"]


def sharded_neighbors(
    queries: Num[Array, "m d"] | Nested,
    points: Num[Array, "n _"] | Nested,
    k: SupportsIndex = 1,
    *,
    mesh: Mesh,
    query_axis: str | None = None,
    point_axis: str | None = None,
    exclude_self: bool = False,
    squared: bool = False,
    memory: SupportsIndex = 2**28,
) -> Neighbors:
    """Find nearest neighbors over a mesh, with the result of `nearest_neighbors` on one device, bit for bit.

    Every device searches its share of the points for its share of the queries; the k best of each are gathered along
    `point_axis` and merged by distance and index. Neither m nor n need be a multiple of the axes' sizes.

    Args:
        queries: m points in d dimensions.
        points: n points.
        k: neighbors per query.
        mesh: the devices, for instance `jax.make_mesh((4, 2), ("queries", "points"))`.
        query_axis: mesh axis over which queries are split; None to replicate them.
        point_axis: mesh axis over which points are split; None to replicate them.
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
    mesh = Mesh(mesh.devices, mesh.axis_names)
    queries, points = as_real(queries, "queries"), as_real(points, "points")
    k, memory = as_count(k, "k"), as_count(memory, "memory")
    double = needs_double(queries, points)
    with jax.enable_x64(True) if double else contextlib.nullcontext():
        result = _search(
            queries, points, k, mesh, query_axis, point_axis, exclude_self=exclude_self, squared=squared, memory=memory
        )
    return narrow(result, queries, points) if double else result


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
    queries, points, dtype = validate(queries, points, k, exclude_self)
    (m, d), n = queries.shape, points.shape[0]
    problem, valid = pose(queries, points, exclude_self=exclude_self)
    problem = rescale(problem)
    query_parts = mesh.shape[query_axis] if query_axis else 1
    point_parts = mesh.shape[point_axis] if point_axis else 1
    more_queries, more_points = -m % query_parts, -n % point_parts
    problem = Problem(
        jnp.pad(problem.queries, ((0, more_queries), (0, 0))),
        jnp.pad(problem.points, ((0, more_points), (0, 0))),
        jnp.pad(problem.label, (0, more_points), constant_values=ABSENT),
        jnp.pad(problem.excluded, (0, more_queries), constant_values=-1),
    )
    share = (n + more_points) // point_parts
    count = min(k, share)
    search = choose_search(share, d, count)

    def search_share(*problem: jax.Array) -> jax.Array:
        value, index = search(Problem(*problem), k=count, memory=memory)
        if point_axis is None:
            return index
        value = lax.all_gather(value, point_axis, axis=1, tiled=True)
        index = lax.all_gather(index, point_axis, axis=1, tiled=True)
        return smallest(value, index, k)[1]

    if m == 0:
        index = jnp.zeros((0, k), jnp.int32)
    else:
        rows, columns = PartitionSpec(query_axis), PartitionSpec(point_axis)
        parts = rows, columns, columns, rows
        sharded = jax.shard_map(search_share, mesh=mesh, in_specs=parts, out_specs=rows, check_vma=False)
        index = sharded(*problem)[:m]
    return finish(queries, points, index, valid, squared=squared, dtype=dtype, method="sharded_neighbors")
