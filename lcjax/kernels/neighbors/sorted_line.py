"""One dimension: points and queries sorted together once; the neighbours are the places around each query."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.kernels.neighbors.brute_force import redo
from lcjax.kernels.neighbors.distance import ABSENT, Neighbors, extreme, search_rows, smallest

__all__ = ["line_neighbors", "line_search"]

Array = jax.Array | np.ndarray
Pair = tuple[jax.Array, jax.Array]


def line_search(
    queries: Float[Array, "m 1"],
    points: Float[Array, "n 1"],
    number: Int[Array, "n"],
    exclude: Int[Array, "m"],
    *,
    k: int,
    memory: int,
) -> Pair:
    """Squared distance and index of the k nearest in one dimension; arguments and result as for `scan_search`.

    The k nearest lie among the k sorted values on either side (k + 1 where a point is excluded). Runs of equal
    values are in the order of their indices, and a run that the left window cuts is entered from its start. Distances
    of different values can round to the same number: where that could decide, the query is searched again by `scan`.
    """
    m, n = queries.shape[0], points.shape[0]
    value = jnp.where(number == ABSENT, jnp.inf, points[:, 0])
    both = jnp.concatenate([value, queries[:, 0]])
    order = argsort([word[None] for word in order_words(both)])[0]  # a point before the queries equal to it
    is_point = order < n
    rank = jnp.cumsum(is_point, dtype=jnp.int32)  # points up to here
    point_slot = jnp.where(is_point, rank - 1, n)
    query_slot = jnp.where(is_point, m, jnp.arange(n + m, dtype=jnp.int32) - rank)
    point_order = jnp.zeros(n, jnp.int32).at[point_slot].set(order, mode="drop", unique_indices=True)
    query_order = jnp.zeros(m, jnp.int32).at[query_slot].set(order - n, mode="drop", unique_indices=True)
    middle = jnp.zeros(m, jnp.int32).at[query_slot].set(rank, mode="drop", unique_indices=True)
    value, label = value[point_order], number[point_order]
    query, banned = queries[query_order, 0], exclude[query_order]
    live = jnp.sum(number != ABSENT, dtype=jnp.int32)  # the other points come last
    everywhere = jnp.arange(n, dtype=jnp.int32)
    change, end = value[1:] != value[:-1], jnp.ones(1, bool)
    first = lax.cummax(jnp.where(jnp.concatenate([end, change]), everywhere, 0))  # of the run at a place
    past = lax.cummin(jnp.where(jnp.concatenate([change, end]), everywhere, n), reverse=True) + 1
    reach = min(k + 1, n)

    def at(table: jax.Array, place: Int[Array, "*c m"]) -> jax.Array:
        return table.at[place].get(mode="clip")

    def square(place: Int[Array, "*c m"], value: jax.Array) -> jax.Array:
        apart = lax.max((query - value) ** 2, jnp.zeros((), value.dtype))
        return jnp.where((place >= 0) & (place < live), apart, jnp.inf)

    step = jnp.arange(reach, dtype=jnp.int32)[:, None]
    left, right = middle - reach + step, middle + step  # places, one row for each of the window
    left_value, right_value = at(value, left), at(value, right)
    left_square, right_square = square(left, left_value), square(right, right_value)
    edge, last = left[0], right[-1]
    start = jnp.where(edge < 0, edge, at(first, edge))
    after = at(past, last)
    cut = (left >= 0) & (left_value == left_value[0]) & (edge >= 0)
    label_place = jnp.concatenate([jnp.where(cut, start + step, left), right])
    which = jnp.where((label_place >= 0) & (label_place < live), at(label, label_place), ABSENT)
    which = jnp.where(which == banned, ABSENT, which)
    apart = jnp.where(which == ABSENT, jnp.inf, jnp.concatenate([left_square, right_square]))
    low, which = smallest(apart, which, k, axis=0)

    # Beyond the windows nothing is nearer; it matters only where another value has rounded to the same square: that
    # of a place beyond, or of the next value where a window cuts a run.
    furthest = low[-1]

    def tied(place: Int[Array, "m"]) -> jax.Array:
        return jnp.asarray((place >= 0) & (place < live) & (square(place, at(value, place)) <= furthest))

    def rounded_alike(square: jax.Array, value: jax.Array, outer: int) -> jax.Array:
        inner = extreme(lax.max, jnp.where(value == value[outer], -1, square), 0)[0]
        return jnp.asarray((square[outer] <= furthest) & (inner == square[outer]))

    cut_left = (start < edge) & rounded_alike(left_square, left_value, 0)
    cut_right = (after - 1 > last) & rounded_alike(right_square, right_value, -1)
    doubtful = tied(start - 1) | tied(after) | cut_left | cut_right

    def restore(sorted_rows: jax.Array) -> jax.Array:
        return jnp.zeros_like(sorted_rows).at[query_order].set(sorted_rows, unique_indices=True)

    found = restore(low.T), restore(which.T)
    return redo(queries, points, number, exclude, found, restore(doubtful), k=k, memory=memory)


@jit(static_argnames=("k", "exclude_self", "squared", "memory"))
def line_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Nearest neighbours in one dimension by one sort, with the arguments and the result of `nearest_neighbors`.

    Raises:
        ValueError: d is not 1, or as for `nearest_neighbors`.

    Examples:
        >>> import jax.numpy as jnp
        >>> line_neighbors(jnp.array([[0.0]]), jnp.array([[2.0], [-1.0]])).index
        Array([[1]], dtype=int32)
    """
    if points.ndim == 2 and points.shape[1] != 1:
        raise ValueError(f"line_neighbors takes points of one dimension, got shape {points.shape}.")
    return search_rows(
        line_search, queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory, method="line"
    )
