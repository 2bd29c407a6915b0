"""One dimension: sort once, then one binary search for each query."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Num

from lcjax.kernels.neighbors.exact import ABSENT, Neighbors, search_rows, smallest
from lcjax.kernels.neighbors.order import argsort_words, order_words
from lcjax.kernels.neighbors.scan import redo

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
    n = points.shape[0]
    value = jnp.where(number == ABSENT, jnp.inf, points[:, 0])
    order = argsort_words([word[None] for word in order_words(value)])[0]
    value, label = value[order], number[order]
    new_run = jnp.concatenate([jnp.ones(1, bool), value[1:] != value[:-1]])
    run_start = lax.cummax(jnp.where(new_run, jnp.arange(n, dtype=jnp.int32), 0))
    query = queries[:, 0]
    middle = jnp.searchsorted(value, query).astype(jnp.int32)
    reach = min(k + 1, n)

    def square(place: Int[Array, "m c"]) -> jax.Array:
        return lax.max((query[:, None] - value[jnp.clip(place, 0, n - 1)]) ** 2, jnp.zeros((), value.dtype))

    def name(place: Int[Array, "m c"]) -> jax.Array:
        return jnp.where((place >= 0) & (place < n), label[jnp.clip(place, 0, n - 1)], ABSENT)

    step = jnp.arange(reach, dtype=jnp.int32)
    edge = middle[:, None] - reach  # leftmost place of the window, and below the start of its run
    start = jnp.where(edge < 0, edge, run_start[jnp.clip(edge, 0, n - 1)])
    left = edge + step
    same_run = (left >= 0) & (run_start[jnp.clip(left, 0, n - 1)] == start)
    nearer = edge + jnp.sum(same_run, axis=1, keepdims=True, dtype=jnp.int32)
    left = jnp.where(same_run, left - edge + start, left)
    place = jnp.concatenate([left, middle[:, None] + step], axis=1)
    which = name(place)
    which = jnp.where(which == exclude[:, None], ABSENT, which)
    low, which = smallest(jnp.where(which == ABSENT, jnp.inf, square(place)), which, k)

    # Beyond the windows nothing is nearer; it matters only where another value has rounded to the same square.
    def tied(place: Int[Array, "m c"]) -> jax.Array:
        return (name(place) != ABSENT) & (square(place) <= low[:, -1:])

    last = middle[:, None] + reach - 1
    last_start = run_start[jnp.clip(last, 0, n - 1)]
    after = jnp.searchsorted(value, value[jnp.clip(last, 0, n - 1)], side="right").astype(jnp.int32)
    cut_left = (start < edge) & tied(start) & (nearer < middle[:, None]) & (square(nearer) == square(start))
    cut_right = (after - 1 > last) & tied(last) & (last_start > middle[:, None])
    cut_right &= square(last_start - 1) == square(last)
    doubtful = tied(start - 1) | tied(after) | cut_left | cut_right
    return redo(queries, points, number, exclude, (low, which), doubtful[:, 0], k=k, memory=memory)


@partial(jax.jit, static_argnames=("k", "exclude_self", "squared", "memory"))
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
