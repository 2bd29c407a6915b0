"""What all searches share: the squared distance that decides, the order of ties, and the derivative."""

import functools
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, Num

from lcjax.records import record

__all__ = [
    "ABSENT",
    "Neighbors",
    "extreme",
    "finish",
    "finite_rows",
    "prepare",
    "search_rows",
    "smallest",
    "squared_distance",
    "varying",
]

Array = jax.Array | np.ndarray
T = TypeVar("T")

ABSENT = np.int32(np.iinfo(np.int32).max)  # sorts after every index; becomes -1 in the result
UNROLLED = 16  # features in one pass over the sums


@record
class Neighbors:
    """Nearest points of each query, nearest first.

    Attributes:
        distance: Euclidean (or squared) distance, `(*b, m, k)`; nan where there is no such neighbour.
        index: row of the neighbour among the points, `(*b, m, k)`, int32; -1 where there is none.
        method: name of the algorithm that found them.
    """

    distance: Float[Array, "*b m k"]
    index: Int[Array, "*b m k"]
    method: str = jax.tree.static(default="")


def squared_distance(a: Float[Array, "*x d c"], b: Float[Array, "*y d e"]) -> Float[Array, "..."]:
    """Sum over the features (axis -2), in their order, of rounded squares of rounded differences.

    The maximum with zero changes no value. It keeps the compiler from contracting a product and a sum into one
    rounding, which it does in some fusions and not in others; and the loop fixes the order of the sum. The same pair
    has the same bits in every algorithm, on every device that rounds as IEEE 754 does, and in NumPy.
    """
    zero = jnp.zeros((), a.dtype)
    d = a.shape[-2]

    def add(total: jax.Array, a: Array, b: Array) -> jax.Array:
        for j in range(a.shape[-2]):
            total = total + lax.max((a[..., j, :] - b[..., j, :]) ** 2, zero)
        return total

    total = jnp.zeros(jnp.broadcast_shapes(a[..., 0, :].shape, b[..., 0, :].shape), a.dtype)
    if d <= 2 * UNROLLED:
        return add(total, a, b)

    def step(i: jax.Array, total: jax.Array) -> jax.Array:
        part = partial(lax.dynamic_slice_in_dim, start_index=i * UNROLLED, slice_size=UNROLLED, axis=-2)
        return add(total, part(a), part(b))

    total = lax.fori_loop(0, d // UNROLLED, step, varying(total, a, b))
    return add(total, a[..., d - d % UNROLLED :, :], b[..., d - d % UNROLLED :, :])


def varying(initial: T, *like: Array) -> T:
    """Initial values of a loop, made to depend on arrays that its body uses, as `shard_map` demands; unchanged."""
    nothing = sum(jnp.sum(jnp.ravel(x)[:1] != 0, dtype=jnp.int32) * 0 for x in like)

    def mark(x: jax.Array) -> jax.Array:
        return x | (nothing != 0) if x.dtype == jnp.bool_ else x + jnp.asarray(nothing).astype(x.dtype)

    return jax.tree.map(mark, initial)


def extreme(choose: Callable[..., jax.Array], x: Num[Array, "..."], axis: int) -> jax.Array:
    """The least (`lax.min`) or greatest (`lax.max`) along an axis, which stays with length 1.

    Few entries are compared one after the other, because XLA:CPU's reductions are slow over a short axis.
    """
    if x.shape[axis] > 8:
        return (jnp.min if choose is lax.min else jnp.max)(x, axis=axis, keepdims=True)
    return functools.reduce(choose, (lax.slice_in_dim(x, i, i + 1, axis=axis) for i in range(x.shape[axis])))


def smallest(
    value: Float[Array, "..."], index: Int[Array, "..."], k: int, axis: int = -1
) -> tuple[jax.Array, jax.Array]:
    """The k smallest along an axis by (value, index), in that order; the axis becomes k long.

    Values are not nan; absent entries are (inf, ABSENT). Entries of the same index must not repeat.
    """
    if k > 8:
        low, which = lax.sort((jnp.asarray(value), jnp.asarray(index)), dimension=axis % value.ndim, num_keys=2)
        return lax.slice_in_dim(low, 0, k, axis=axis), lax.slice_in_dim(which, 0, k, axis=axis)
    lows, indices = [], []
    for _ in range(k):
        low = extreme(lax.min, value, axis)
        which = extreme(lax.min, jnp.where(value == low, index, ABSENT), axis)
        lows.append(low)
        indices.append(which)
        if len(lows) < k:
            taken = (index == which) & (value == low)
            value, index = jnp.where(taken, jnp.inf, value), jnp.where(taken, ABSENT, index)
    return jnp.concatenate(lows, axis), jnp.concatenate(indices, axis)


def prepare(
    queries: Num[Array, "m d"], points: Num[Array, "n _"], k: int, exclude_self: bool
) -> tuple[jax.Array, jax.Array, jnp.dtype]:
    """Check the shapes and bring both arrays to the dtype of the computation.

    Returns:
        Queries, points (float32, or float64 where an input has it) and the dtype of the result.
    """
    queries, points = jnp.asarray(queries), jnp.asarray(points)
    if queries.ndim != 2 or points.ndim != 2 or queries.shape[1] != points.shape[1]:
        raise ValueError(
            f"queries (m, d) and points (n, d) need the same d, got shapes {queries.shape} and {points.shape}."
        )
    n, d = points.shape
    if d == 0:
        raise ValueError(f"points need at least one feature, got shape {points.shape}.")
    available = n - 1 if exclude_self else n
    if not 1 <= k <= available:
        reason = " with exclude_self" if exclude_self else ""
        raise ValueError(f"k must satisfy 1 <= k <= {available}, got k={k} with n={n} points{reason}.")
    if exclude_self and queries.shape[0] != n:
        raise ValueError(f"exclude_self needs queries and points to be the same set, got m={queries.shape[0]}, n={n}.")
    result = jnp.result_type(queries, points)
    if jnp.issubdtype(result, jnp.complexfloating) or result == jnp.bool_:
        raise ValueError(f"queries and points must be real numbers, got {queries.dtype} and {points.dtype}.")
    if not jnp.issubdtype(result, jnp.floating):
        result = jnp.dtype(jnp.result_type(float))
    work = jnp.promote_types(result, jnp.float32)
    return queries.astype(work), points.astype(work), result


def finite_rows(rows: Float[Array, "n d"]) -> tuple[jax.Array, jax.Array]:
    """Rows with zeros where any coordinate is not finite, and which are finite: `(n, d)`, `(n,)`.

    The searches never compute with nan, because XLA's minimum and maximum do not treat it alike everywhere.
    """
    valid = jnp.all(jnp.isfinite(rows), axis=1)
    return jnp.where(valid[:, None], rows, 0), valid


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _length(difference: Float[Array, "*x d"], squared: bool) -> Float[Array, "*x"]:
    total = squared_distance(difference[..., None], jnp.zeros((difference.shape[-1], 1), difference.dtype))[..., 0]
    return total if squared else jnp.sqrt(total)


@_length.defjvp
def _length_jvp(squared: bool, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Derivative of a length: along the difference, and 0 where that vanishes or is not finite."""
    (difference,), (change,) = primals, tangents
    length = jnp.asarray(_length(difference, squared))
    difference = jnp.where(jnp.isfinite(length)[..., None], difference, 0)
    along = jnp.sum(difference * change, axis=-1)
    if squared:
        return length, 2 * along
    positive = jnp.isfinite(length) & (length > 0)
    return length, jnp.where(positive, along / jnp.where(positive, length, 1), 0)


def finish(
    queries: Float[Array, "m d"],
    points: Float[Array, "n d"],
    index: Int[Array, "m k"],
    valid: Bool[Array, "m"],
    *,
    squared: bool,
    dtype: jnp.dtype,
    method: str,
) -> Neighbors:
    """The record for the indices that a search found: distances recomputed, differentiable in queries and points.

    `valid` says which queries are finite; the others get nan and -1.
    """
    present = (index != ABSENT) & valid[:, None]
    found = points[jnp.where(present, index, 0)]
    length = _length(queries[:, None, :] - found, squared)
    distance = jnp.where(present, length, jnp.nan).astype(dtype)
    return Neighbors(distance, jnp.where(present, index, -1), method)


def search_rows(
    search: Callable[..., tuple[jax.Array, jax.Array]],
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int,
    *,
    exclude_self: bool,
    squared: bool,
    memory: int,
    method: str,
) -> Neighbors:
    """Check the arguments, run a search on the finite rows, and recompute the distances differentiably."""
    queries, points, dtype = prepare(queries, points, k, exclude_self)
    m, n = queries.shape[0], points.shape[0]
    q, valid = finite_rows(lax.stop_gradient(queries))
    x, usable = finite_rows(lax.stop_gradient(points))
    number = jnp.where(usable, jnp.arange(n, dtype=jnp.int32), ABSENT)
    exclude = jnp.arange(m, dtype=jnp.int32) if exclude_self else jnp.full(m, -1, jnp.int32)
    index = search(q, x, number, exclude, k=k, memory=memory)[1] if m else jnp.zeros((0, k), jnp.int32)
    return finish(queries, points, index, valid, squared=squared, dtype=dtype, method=method)
