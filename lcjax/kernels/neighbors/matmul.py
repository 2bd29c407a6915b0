"""Many dimensions: matrix products select the blocks that can hold a neighbor, direct differences decide."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from lcjax.kernels.neighbors.brute_force import search_again
from lcjax.kernels.neighbors.distance import ABSENT, Problem, Ranked, evaluate_once, smallest, squared_distance
from lcjax.typing import Array

__all__ = ["matmul_search"]

SPARE = 2  # blocks searched directly beyond k


def matmul_search(problem: Problem, *, k: int, memory: int) -> Ranked:
    """Search by tiled products; see `Search` for arguments and result.

    About their mean, |q - x|^2 = |q|^2 - 2 q.x + |x|^2, with an error of at most (2 d + 16) u (|q| + |x|)^2 in a
    dtype of unit roundoff u (Higham, 2002, Eq. (3.5), for the products, the centring and the direct sum). The least
    value of a block less this error bounds its direct distances from below. The k + 2 blocks with the lowest bounds
    are searched directly; a query for which another bound does not exceed the k-th distance is searched by
    `brute_force_search`.

    Examples:
        >>> import jax.numpy as jnp
        >>> from lcjax.kernels.neighbors import nearest_neighbors
        >>> points = jnp.array([[2.0, 2.0], [-1.0, 0.0]])
        >>> nearest_neighbors(jnp.array([[0.0, 1.0]]), points, search=matmul_search).index
        Array([[1]], dtype=int32)
    """
    queries, points, label, excluded = problem
    (m, d), n = queries.shape, points.shape[0]
    itemsize = queries.dtype.itemsize
    # With many features the direct search of a block costs the most, and larger products pack operands less often.
    block, across, most = (64, 1024, 512) if d <= 128 else (16, 2048, 1024)
    block = block if k <= 8 else 16
    wide = max(1, min(across // block, -(-n // block)))  # blocks in a tile
    tiles = -(-n // (block * wide))
    blocks = tiles * wide
    direct = min(k + SPARE, blocks)
    height = max(1, min(m, most, memory // (2 * itemsize * (blocks + block * wide))))
    rows = max(1, min(height, 2**20 // (direct * block * d), memory // (2 * itemsize * direct * block * d)))
    height = -(-height // rows) * rows
    chunks = -(-m // height)

    usable = (label != ABSENT)[:, None]
    centre = jnp.sum(jnp.where(usable, points, 0) / jnp.maximum(jnp.sum(usable), 1).astype(points.dtype), axis=0)
    tail = blocks * block - n
    labels = jnp.pad(label, (0, tail), constant_values=ABSENT).reshape(blocks, block)
    near = jnp.pad(jnp.where(usable, points - centre, 0), ((0, tail), (0, 0)))
    half = jnp.sum(near**2, axis=1) / 2
    length = jnp.max(jnp.sqrt(2 * half).reshape(blocks, block), axis=1)
    half = jnp.where(labels.reshape(-1) == ABSENT, jnp.inf, half)
    near, half = near.reshape(tiles, block * wide, d), half.reshape(tiles, block * wide)
    exact = jnp.swapaxes(jnp.pad(points, ((0, tail), (0, 0))).reshape(blocks, block, d), 1, 2)
    error = (2 * d + 16) * float(np.finfo(queries.dtype).eps) / 2

    def lower_bounds(query: jax.Array) -> jax.Array:
        query = query - centre
        square = jnp.sum(query**2, axis=1)

        def step(_: None, tile: tuple[jax.Array, jax.Array]) -> tuple[None, jax.Array]:
            x, half = tile
            product = lax.dot_general(x, query, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST)
            return None, jnp.min((half[:, None] - product).reshape(wide, block, height), axis=1)

        least = lax.scan(step, None, (near, half))[1].reshape(blocks, height)
        slack = error * (jnp.sqrt(square) + length[:, None]) ** 2
        return jnp.where(jnp.isfinite(slack), 2 * least + square - slack, -jnp.inf)

    def search_blocks(part: tuple[jax.Array, jax.Array, jax.Array]) -> Ranked:
        query, exclude, which = part
        label = labels[which].reshape(rows, direct * block)
        label = jnp.where(label == exclude[:, None], ABSENT, label)
        value = squared_distance(query[:, None, :, None], exact[which]).reshape(rows, direct * block)
        return smallest(evaluate_once(jnp.where(label == ABSENT, jnp.inf, value)), label, k)

    def search_chunk(chunk: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        query, exclude = chunk
        which, beyond = lowest(evaluate_once(lower_bounds(query)), direct)
        parts = query.reshape(-1, rows, d), exclude.reshape(-1, rows), which.reshape(-1, rows, direct)
        value, index = lax.map(search_blocks, parts)
        value, index = value.reshape(height, k), index.reshape(height, k)
        return value, index, (beyond <= value[:, -1]) & (direct < blocks)

    extra = chunks * height - m
    queries = jnp.pad(queries, ((0, extra), (0, 0))).reshape(chunks, height, d)
    excluded = jnp.pad(excluded, (0, extra)).reshape(chunks, height)
    value, index, doubtful = lax.map(search_chunk, (queries, excluded))
    ranked = value.reshape(-1, k)[:m], index.reshape(-1, k)[:m]
    return search_again(problem, ranked, doubtful.reshape(-1)[:m], k=k, memory=memory)


def lowest(bound: Float[Array, "b m"], count: int) -> tuple[jax.Array, jax.Array]:
    """Return the rows of the lowest entries of each column, `(m, count)`, and the lowest remaining entry, `(m,)`."""
    bound = jnp.asarray(bound)
    if count > 12:
        low, which = lax.top_k(-bound.T, min(count + 1, bound.shape[0]))
        return which[:, :count], -low[:, -1]
    row = lax.broadcasted_iota(jnp.int32, bound.shape, 0)
    rows = []
    for _ in range(count):
        rows.append(jnp.min(jnp.where(bound == jnp.min(bound, axis=0), row, ABSENT), axis=0))
        bound = jnp.where(row == rows[-1], jnp.inf, bound)
    return jnp.stack(rows, axis=1), jnp.min(bound, axis=0)
