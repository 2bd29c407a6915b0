"""Every pair by direct differences, tile by tile: the search without any structure."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool

from lcjax.kernels.neighbors.distance import (
    ABSENT,
    Problem,
    Ranked,
    evaluate_once,
    mark_varying,
    smallest,
    squared_distance,
)
from lcjax.typing import Array

__all__ = ["brute_force_search", "search_again"]


def brute_force_search(problem: Problem, *, k: int, memory: int) -> Ranked:
    """Search by comparing every pair; see `Search` for arguments and result.

    Examples:
        >>> import jax.numpy as jnp
        >>> from lcjax.kernels.neighbors import nearest_neighbors
        >>> nearest_neighbors(jnp.array([[0.0]]), jnp.array([[2.0], [-1.0]]), search=brute_force_search).index
        Array([[1]], dtype=int32)
    """
    queries, points, label, excluded = problem
    (m, d), n = queries.shape, points.shape[0]
    pairs = max(1, memory // (8 * queries.dtype.itemsize))
    width = min(n, 1024, pairs)
    height = max(1, min(m, 256, pairs // width))
    tiles, blocks = -(-n // width), -(-m // height)
    tail = tiles * width - n
    tiled = jnp.swapaxes(jnp.pad(points, ((0, tail), (0, 0))).reshape(tiles, width, d), 1, 2)
    labels = jnp.pad(label, (0, tail), constant_values=ABSENT).reshape(tiles, width)

    def search_block(block: Ranked) -> Ranked:
        query, exclude = block

        def step(best: Ranked, tile: Ranked) -> tuple[Ranked, None]:
            x, label = tile
            label = jnp.where(label == exclude[:, None], ABSENT, label)
            value = evaluate_once(jnp.where(label == ABSENT, jnp.inf, squared_distance(query[:, :, None], x)))
            value, label = smallest(value, label, min(k, width))
            return smallest(jnp.concatenate([best[0], value], 1), jnp.concatenate([best[1], label], 1), k), None

        nothing = jnp.full((height, k), jnp.inf, query.dtype), jnp.full((height, k), ABSENT)
        return lax.scan(step, mark_varying(nothing, query, exclude, tiled, labels), (tiled, labels))[0]

    extra = blocks * height - m
    queries = jnp.pad(queries, ((0, extra), (0, 0))).reshape(blocks, height, d)
    value, index = lax.map(search_block, (queries, jnp.pad(excluded, (0, extra)).reshape(blocks, height)))
    return value.reshape(-1, k)[:m], index.reshape(-1, k)[:m]


def search_again(problem: Problem, ranked: Ranked, doubtful: Bool[Array, " m"], *, k: int, memory: int) -> Ranked:
    """Replace the results of the doubtful queries by comparing every pair, a few queries at a time."""
    m = problem.queries.shape[0]
    few = min(m, 64)

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        value, index, doubtful = state
        row = jnp.nonzero(doubtful, size=few, fill_value=m)[0]
        queries = jnp.take(problem.queries, row, axis=0, mode="clip")
        excluded = jnp.take(problem.excluded, row, mode="clip")
        new = brute_force_search(problem._replace(queries=queries, excluded=excluded), k=k, memory=memory)
        value, index = value.at[row].set(new[0], mode="drop"), index.at[row].set(new[1], mode="drop")
        return value, index, doubtful.at[row].set(False, mode="drop")

    state = mark_varying((*ranked, jnp.asarray(doubtful)), *problem)
    value, index, _ = lax.while_loop(lambda state: jnp.any(state[2]), step, state)
    return value, index
