"""Every pair, by direct differences, tile by tile: the search that needs no structure."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.distance import ABSENT, Neighbors, search_rows, smallest, squared_distance, varying

__all__ = ["redo", "scan_neighbors", "scan_search"]

Array = jax.Array | np.ndarray
Pair = tuple[jax.Array, jax.Array]


def scan_search(
    queries: Float[Array, "m d"],
    points: Float[Array, "n d"],
    number: Int[Array, "n"],
    exclude: Int[Array, "m"],
    *,
    k: int,
    memory: int,
) -> Pair:
    """Squared distance and index of the k nearest by comparing every pair; traceable.

    Args:
        queries: m finite points in the dtype of the computation.
        points: n finite points in the same dtype.
        number: index of each point, `ABSENT` for one that must not be found.
        exclude: index of the point that each query must not find, -1 for none.
        k: neighbours per query.
        memory: bytes that the temporaries may take.

    Returns:
        Squared distances `(m, k)`, inf where absent, and indices `(m, k)`, `ABSENT` where absent.
    """
    (m, d), n = queries.shape, points.shape[0]
    pairs = max(1, memory // (8 * queries.dtype.itemsize))
    width = min(n, 1024, pairs)
    height = max(1, min(m, 256, pairs // width))
    tiles, blocks = -(-n // width), -(-m // height)
    tail = tiles * width - n
    tiled = jnp.swapaxes(jnp.pad(points, ((0, tail), (0, 0))).reshape(tiles, width, d), 1, 2)
    numbers = jnp.pad(number, (0, tail), constant_values=ABSENT).reshape(tiles, width)

    def search_block(block: Pair) -> Pair:
        query, ban = block

        def step(best: Pair, tile: Pair) -> tuple[Pair, None]:
            x, label = tile
            label = jnp.where(label == ban[:, None], ABSENT, label)
            value = jnp.where(label == ABSENT, jnp.inf, squared_distance(query[:, :, None], x))
            value = lax.optimization_barrier(value)  # computed once, not once in each reduction
            value, label = smallest(value, label, min(k, width))
            return smallest(jnp.concatenate([best[0], value], 1), jnp.concatenate([best[1], label], 1), k), None

        nothing = jnp.full((height, k), jnp.inf, query.dtype), jnp.full((height, k), ABSENT)
        return lax.scan(step, varying(nothing, query, ban, tiled, numbers), (tiled, numbers))[0]

    extra = blocks * height - m
    padded = jnp.pad(queries, ((0, extra), (0, 0))).reshape(blocks, height, d)
    value, index = lax.map(search_block, (padded, jnp.pad(exclude, (0, extra)).reshape(blocks, height)))
    return value.reshape(-1, k)[:m], index.reshape(-1, k)[:m]


def redo(
    queries: Float[Array, "m d"],
    points: Float[Array, "n d"],
    number: Int[Array, "n"],
    exclude: Int[Array, "m"],
    found: Pair,
    doubtful: Bool[Array, "m"],
    *,
    k: int,
    memory: int,
) -> Pair:
    """Search the doubtful queries again by comparing every pair, a few at a time; the others keep what was found."""
    m = queries.shape[0]
    few = min(m, 64)
    doubtful = jnp.asarray(doubtful)

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        value, index, doubtful = state
        row = jnp.nonzero(doubtful, size=few, fill_value=m)[0]
        q = jnp.take(queries, row, axis=0, mode="clip")
        new = scan_search(q, points, number, jnp.take(exclude, row, mode="clip"), k=k, memory=memory)
        value, index = value.at[row].set(new[0], mode="drop"), index.at[row].set(new[1], mode="drop")
        return value, index, doubtful.at[row].set(False, mode="drop")

    return lax.while_loop(
        lambda state: jnp.any(state[2]), step, varying((*found, doubtful), queries, points, number, exclude)
    )[:2]


@jit(static_argnames=("k", "exclude_self", "squared", "memory"))
def scan_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Nearest neighbours by comparing every pair, with the arguments and the result of `nearest_neighbors`.

    Examples:
        >>> import jax.numpy as jnp
        >>> scan_neighbors(jnp.array([[0.0]]), jnp.array([[2.0], [-1.0]])).index
        Array([[1]], dtype=int32)
    """
    return search_rows(
        scan_search, queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory, method="scan"
    )
