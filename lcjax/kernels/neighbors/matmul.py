"""Many dimensions: matrix products find the blocks of points that can hold a neighbour, direct differences decide."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.brute_force import redo
from lcjax.kernels.neighbors.distance import ABSENT, Neighbors, search_rows, smallest, squared_distance

__all__ = ["products_neighbors", "products_search"]

Array = jax.Array | np.ndarray
Pair = tuple[jax.Array, jax.Array]

SPARE = 2  # blocks looked at beyond k


def products_search(
    queries: Float[Array, "m d"],
    points: Float[Array, "n d"],
    number: Int[Array, "n"],
    exclude: Int[Array, "m"],
    *,
    k: int,
    memory: int,
) -> Pair:
    """Squared distance and index of the k nearest by tiled products; arguments and result as for `scan_search`.

    About their mean, |q - x|^2 = |q|^2 - 2 q.x + |x|^2, with an error of at most (2 d + 16) u (|q| + |x|)^2 in a
    dtype of unit roundoff u (Higham, 2002, Eq. 3.5, for the products, the centring and the direct sum). The least
    value of a block less this error bounds its direct distances from below. The k + 2 blocks with the lowest bounds
    are searched directly; where another bound does not exceed the k-th distance, the query is searched by `scan`.
    """
    (m, d), n = queries.shape, points.shape[0]
    itemsize = queries.dtype.itemsize
    # With many features looking at a block costs the most, and larger products pack their operands less often.
    block, across, most = (64, 1024, 512) if d <= 128 else (16, 2048, 1024)
    block = block if k <= 8 else 16
    wide = max(1, min(across // block, -(-n // block)))  # blocks in a tile
    tiles = -(-n // (block * wide))
    blocks = tiles * wide
    looks = min(k + SPARE, blocks)
    height = max(1, min(m, most, memory // (2 * itemsize * (blocks + block * wide))))
    rows = max(1, min(height, 2**20 // (looks * block * d), memory // (2 * itemsize * looks * block * d)))
    height = -(-height // rows) * rows
    chunks = -(-m // height)

    usable = (number != ABSENT)[:, None]
    centre = jnp.sum(jnp.where(usable, points, 0) / jnp.maximum(jnp.sum(usable), 1).astype(points.dtype), axis=0)
    tail = blocks * block - n
    names = jnp.pad(number, (0, tail), constant_values=ABSENT).reshape(blocks, block)
    near = jnp.pad(jnp.where(usable, points - centre, 0), ((0, tail), (0, 0)))
    half = jnp.sum(near**2, axis=1) / 2
    length = jnp.max(jnp.sqrt(2 * half).reshape(blocks, block), axis=1)
    half = jnp.where(names.reshape(-1) == ABSENT, jnp.inf, half)
    near, half = near.reshape(tiles, block * wide, d), half.reshape(tiles, block * wide)
    exact = jnp.swapaxes(jnp.pad(points, ((0, tail), (0, 0))).reshape(blocks, block, d), 1, 2)
    error = (2 * d + 16) * float(jnp.finfo(queries.dtype).eps) / 2

    def lower_bounds(query: jax.Array) -> jax.Array:
        query = query - centre
        square = jnp.sum(query**2, axis=1)

        def step(_: None, tile: Pair) -> tuple[None, jax.Array]:
            x, half = tile
            product = lax.dot_general(x, query, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)
            return None, jnp.min((half[:, None] - product).reshape(wide, block, height), axis=1)

        least = lax.scan(step, None, (near, half))[1].reshape(blocks, height)
        slack = error * (jnp.sqrt(square) + length[:, None]) ** 2
        return jnp.where(jnp.isfinite(slack), 2 * least + square - slack, -jnp.inf)

    def look(part: tuple[jax.Array, jax.Array, jax.Array]) -> Pair:
        query, ban, which = part
        label = names[which].reshape(rows, looks * block)
        label = jnp.where(label == ban[:, None], ABSENT, label)
        value = squared_distance(query[:, None, :, None], exact[which]).reshape(rows, looks * block)
        value = lax.optimization_barrier(jnp.where(label == ABSENT, jnp.inf, value))
        return smallest(value, label, k)

    def search(chunk: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        query, ban = chunk
        which, beyond = lowest(lax.optimization_barrier(lower_bounds(query)), looks)
        parts = query.reshape(-1, rows, d), ban.reshape(-1, rows), which.reshape(-1, rows, looks)
        value, index = lax.map(look, parts)
        value, index = value.reshape(height, k), index.reshape(height, k)
        return value, index, (beyond <= value[:, -1]) & (looks < blocks)

    extra = chunks * height - m
    padded = jnp.pad(queries, ((0, extra), (0, 0))).reshape(chunks, height, d)
    banned = jnp.pad(exclude, (0, extra)).reshape(chunks, height)
    value, index, doubtful = lax.map(search, (padded, banned))
    found = value.reshape(-1, k)[:m], index.reshape(-1, k)[:m]
    return redo(queries, points, number, exclude, found, doubtful.reshape(-1)[:m], k=k, memory=memory)


def lowest(bound: Float[Array, "b m"], count: int) -> Pair:
    """Rows of the lowest entries of each column, `(m, count)`, and the lowest of those that remain, `(m,)`."""
    bound = jnp.asarray(bound)
    if count > 12:
        low, which = lax.top_k(-bound.T, min(count + 1, bound.shape[0]))
        return which[:, :count], -low[:, -1]
    row = lax.broadcasted_iota(jnp.int32, bound.shape, 0)
    found = []
    for _ in range(count):
        first = jnp.min(jnp.where(bound == jnp.min(bound, axis=0), row, ABSENT), axis=0)
        found.append(first)
        bound = jnp.where(row == first, jnp.inf, bound)
    return jnp.stack(found, axis=1), jnp.min(bound, axis=0)


@jit(static_argnames=("k", "exclude_self", "squared", "memory"))
def products_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Nearest neighbours by tiled products, with the arguments and the result of `nearest_neighbors`.

    Examples:
        >>> import jax.numpy as jnp
        >>> products_neighbors(jnp.array([[0.0, 1.0]]), jnp.array([[2.0, 2.0], [-1.0, 0.0]])).index
        Array([[1]], dtype=int32)
    """
    return search_rows(
        products_search,
        queries,
        points,
        k,
        exclude_self=exclude_self,
        squared=squared,
        memory=memory,
        method="products",
    )
