"""One dimension: points and queries sorted together once; the neighbors are the entries around each query."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.kernels.neighbors.brute_force import search_again
from lcjax.kernels.neighbors.distance import ABSENT, Problem, Ranked, extreme, smallest
from lcjax.typing import Array

__all__ = ["sorted_line_search"]


def sorted_line_search(problem: Problem, *, k: int, memory: int) -> Ranked:
    """Search in one dimension by one sort; see `Search` for arguments and result.

    The k nearest lie among the k sorted values on either side (k + 1 where a point is excluded). Runs of equal values
    are in the order of their indices, and a run that the left window cuts is entered from its start. Distances of
    different values can round to the same number: where that could decide, the query is searched again by
    `brute_force_search`.

    Raises:
        ValueError: the points have more than one dimension.

    Examples:
        >>> import jax.numpy as jnp
        >>> from lcjax.kernels.neighbors import nearest_neighbors
        >>> nearest_neighbors(jnp.array([[0.0]]), jnp.array([[2.0], [-1.0]]), search=sorted_line_search).index
        Array([[1]], dtype=int32)
    """
    queries, points, label, excluded = problem
    (m, d), n = queries.shape, points.shape[0]
    if d != 1:
        raise ValueError(f"sorted_line_search needs d = 1, got points of shape {points.shape}; pass another search.")
    value = jnp.where(label == ABSENT, jnp.inf, points[:, 0])
    both = jnp.concatenate([value, queries[:, 0]])
    order = argsort([word[None] for word in order_words(both)])[0]  # a point before the queries equal to it
    is_point = order < n
    rank = jnp.cumsum(is_point, dtype=jnp.int32)  # number of points up to here
    point_slot = jnp.where(is_point, rank - 1, n)
    query_slot = jnp.where(is_point, m, jnp.arange(n + m, dtype=jnp.int32) - rank)
    point_order = jnp.zeros(n, jnp.int32).at[point_slot].set(order, mode="drop", unique_indices=True)
    query_order = jnp.zeros(m, jnp.int32).at[query_slot].set(order - n, mode="drop", unique_indices=True)
    middle = jnp.zeros(m, jnp.int32).at[query_slot].set(rank, mode="drop", unique_indices=True)
    present = jnp.sum(label != ABSENT, dtype=jnp.int32)  # absent points come last
    value, label = value[point_order], label[point_order]
    query, exclude = queries[query_order, 0], excluded[query_order]
    everywhere = jnp.arange(n, dtype=jnp.int32)
    change, end = value[1:] != value[:-1], jnp.ones(1, bool)
    first = lax.cummax(jnp.where(jnp.concatenate([end, change]), everywhere, 0))  # of the run at a place
    past = lax.cummin(jnp.where(jnp.concatenate([change, end]), everywhere, n), reverse=True) + 1
    reach = min(k + 1, n)

    def at(table: jax.Array, place: Int[Array, "*c m"]) -> jax.Array:
        return table.at[place].get(mode="clip")

    def is_present(place: Int[Array, "*c m"]) -> Bool[Array, "*c m"]:
        return (place >= 0) & (place < present)

    def square(place: Int[Array, "*c m"], value: Float[Array, "*c m"]) -> jax.Array:
        squares = lax.max((query - value) ** 2, jnp.zeros((), value.dtype))
        return jnp.where(is_present(place), squares, jnp.inf)

    step = jnp.arange(reach, dtype=jnp.int32)[:, None]
    left, right = middle - reach + step, middle + step  # places, one row for each of the window
    left_value, right_value = at(value, left), at(value, right)
    left_square, right_square = square(left, left_value), square(right, right_value)
    edge, last = left[0], right[-1]
    start = jnp.where(edge < 0, edge, at(first, edge))
    after = at(past, last)
    cut = (left >= 0) & (left_value == left_value[0]) & (edge >= 0)
    label_place = jnp.concatenate([jnp.where(cut, start + step, left), right])
    which = jnp.where(is_present(label_place), at(label, label_place), ABSENT)
    which = jnp.where(which == exclude, ABSENT, which)
    squares = jnp.where(which == ABSENT, jnp.inf, jnp.concatenate([left_square, right_square]))
    low, which = smallest(squares, which, k, axis=0)

    # Nothing beyond the windows is nearer. It matters only where another value has rounded to the same square: that
    # of a place beyond, or of the next value where a window cuts a run.
    furthest = low[-1]

    def is_tie(place: Int[Array, " m"]) -> jax.Array:
        return jnp.asarray(is_present(place) & (square(place, at(value, place)) <= furthest))

    def is_cut_tie(square: jax.Array, value: jax.Array, outer: int) -> jax.Array:
        inner = extreme(lax.max, jnp.where(value == value[outer], -1, square), 0)[0]
        return jnp.asarray((square[outer] <= furthest) & (inner == square[outer]))

    cut_left = (start < edge) & is_cut_tie(left_square, left_value, 0)
    cut_right = (after - 1 > last) & is_cut_tie(right_square, right_value, -1)
    doubtful = is_tie(start - 1) | is_tie(after) | cut_left | cut_right

    def restore(rows: jax.Array) -> jax.Array:
        return jnp.zeros_like(rows).at[query_order].set(rows, unique_indices=True)

    return search_again(problem, (restore(low.T), restore(which.T)), restore(doubtful), k=k, memory=memory)
