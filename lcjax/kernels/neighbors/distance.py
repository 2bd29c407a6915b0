"""Foundations of every search: squared distances with reproducible bits, the order of ties, and the derivative."""

from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.arguments import Nested, as_real, check_sizes, concrete
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "ABSENT",
    "Neighbors",
    "Problem",
    "Ranked",
    "Search",
    "evaluate_once",
    "extreme",
    "finish",
    "mark_varying",
    "narrow",
    "needs_double",
    "pose",
    "rescale",
    "search_rows",
    "smallest",
    "squared_distance",
    "validate",
]

T = TypeVar("T")
Ranked: TypeAlias = tuple[jax.Array, jax.Array]  # squared distances and indices, nearest first, ties by index

ABSENT = np.int32(np.iinfo(np.int32).max)  # sorts after every index; becomes -1 in the result
UNROLLED = 16  # features in one pass over the sums

evaluate_once: Callable[[jax.Array], jax.Array] = lax.optimization_barrier  # not once per reduction that reads it


@record
class Neighbors:
    """Nearest points of each query, nearest first.

    Attributes:
        distance: Euclidean (or squared) distance, `(*b, m, k)`; nan where there is no such neighbor.
        index: row of the neighbor among the points, `(*b, m, k)`, int32; -1 where there is none.
        method: name of the search function.
    """

    distance: Float[Array, "*b m k"]
    index: Int[Array, "*b m k"]
    method: str = jax.tree.static(default="")


class Problem(NamedTuple):
    """Finite rows in the dtype of the computation, and the pairs that do not count.

    Attributes:
        queries: `(m, d)`.
        points: `(n, d)`.
        label: index of each point, `(n,)` int32; `ABSENT` for a point that is never a neighbor.
        excluded: index of the point that is no neighbor of a query, `(m,)` int32; -1 for none.
    """

    queries: Float[jax.Array, "m d"]
    points: Float[jax.Array, "n d"]
    label: Int[jax.Array, " n"]
    excluded: Int[jax.Array, " m"]


@runtime_checkable
class Search(Protocol):
    """A search algorithm, for the argument `search` of `nearest_neighbors`; all give the same bits."""

    def __call__(self, problem: Problem, *, k: int, memory: int) -> Ranked:
        """Find the k nearest points of each query.

        Args:
            problem: m queries and n points.
            k: neighbors per query, static.
            memory: bytes that the temporaries may take, static.

        Returns:
            Squared distances `(m, k)`, inf where absent, and indices `(m, k)`, `ABSENT` where absent.
        """
        ...


def squared_distance(a: Float[Array, "*x d c"], b: Float[Array, "*y d e"]) -> Float[jax.Array, "..."]:
    """Sum rounded squares of rounded differences over the features (axis -2), in their order.

    The maximum with zero changes no value. It keeps the compiler from contracting a product and a sum into one
    rounding, which it does in some fusions and not in others; the loop fixes the order of the sum. So a pair has the
    same bits in every algorithm, on every device that rounds as IEEE 754 does, and in NumPy.
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

    total = lax.fori_loop(0, d // UNROLLED, step, mark_varying(total, a, b))
    return add(total, a[..., d - d % UNROLLED :, :], b[..., d - d % UNROLLED :, :])


def mark_varying(initial: T, *used: Array) -> T:
    """Make the initial values of a loop depend on the arrays that its body uses, as `shard_map` demands."""
    nothing = sum(jnp.sum(jnp.ravel(x)[:1] != 0, dtype=jnp.int32) * 0 for x in used)

    def mark(x: jax.Array) -> jax.Array:
        return x | (nothing != 0) if x.dtype == jnp.bool_ else x + jnp.asarray(nothing).astype(x.dtype)

    result: T = jax.tree.map(mark, initial)
    return result


def extreme(choose: Callable[..., jax.Array], x: Num[Array, "..."], axis: int) -> jax.Array:
    """Reduce along one axis with `lax.min` or `lax.max`, keeping the axis.

    A short axis is reduced entry by entry, because XLA:CPU's own reduction is slow there.
    """
    if x.shape[axis] > 8:
        return (jnp.min if choose is lax.min else jnp.max)(x, axis=axis, keepdims=True)
    return reduce(choose, (lax.slice_in_dim(x, i, i + 1, axis=axis) for i in range(x.shape[axis])))


def smallest(value: Float[Array, "..."], index: Int[Array, "..."], k: int, axis: int = -1) -> Ranked:
    """Select the k smallest entries along an axis by (value, index), in that order.

    Values must not be nan, absent entries are (inf, ABSENT), and no other index may repeat.
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


def validate(
    queries: Num[Array, "m d"] | Nested, points: Num[Array, "n _"] | Nested, k: int, exclude_self: bool
) -> tuple[jax.Array, jax.Array, jnp.dtype]:
    """Check the arguments of a search and convert both arrays to the dtype of the computation.

    Integers of 32 bits or more are shifted by the first point, exactly, before they are rounded.

    Returns:
        Queries and points (float32, or float64 where one of them has it), and the dtype of the result.

    Raises:
        ValueError: `k` is outside its range, shapes do not match or are symbolic, or the dtype is not real.
    """
    queries, points = as_real(queries, "queries"), as_real(points, "points")
    if queries.ndim != 2 or points.ndim != 2 or queries.shape[1] != points.shape[1]:
        raise ValueError(
            f"queries (m, d) and points (n, d) need the same d, got shapes {queries.shape} and {points.shape}."
        )
    check_sizes("queries", queries)
    check_sizes("points", points)
    n, d = points.shape
    if d == 0:
        raise ValueError(f"points need at least one feature, got shape {points.shape}.")
    available = n - 1 if exclude_self else n
    if isinstance(k, bool) or not 1 <= k <= available:
        reason = " with exclude_self" if exclude_self else ""
        if available < 1:
            raise ValueError(f"There are no neighbors to find: n={n} points{reason}.")
        raise ValueError(f"k must satisfy 1 <= k <= {available}, got k={k} with n={n} points{reason}.")
    if exclude_self and queries.shape[0] != n:
        raise ValueError(f"exclude_self needs queries and points to be the same set, got m={queries.shape[0]}, n={n}.")
    result = jnp.result_type(queries, points)
    if not jnp.issubdtype(result, jnp.floating):
        result = jnp.dtype(jnp.result_type(float))
    work = jnp.promote_types(result, jnp.float32)
    queries, points = jnp.asarray(queries), jnp.asarray(points)
    if queries.dtype == points.dtype and jnp.issubdtype(points.dtype, jnp.integer) and points.dtype.itemsize >= 4:
        return _offsets(queries, points[0], work), _offsets(points, points[0], work), result
    return queries.astype(work), points.astype(work), result


def _offsets(values: Int[Array, "m d"], origin: Int[Array, "d"], dtype: jnp.dtype) -> Float[jax.Array, "m d"]:
    """Return the differences of integers from an origin, each rounded once, by halves that cannot overflow."""
    bits = 4 * values.dtype.itemsize
    low = (values & (1 << bits) - 1).astype(dtype) - (origin & (1 << bits) - 1).astype(dtype)
    high = (values >> bits).astype(dtype) - (origin >> bits).astype(dtype)
    return jnp.asarray(high * 2.0**bits + low)


def needs_double(queries: Num[Array, "m d"] | Nested, points: Num[Array, "n _"] | Nested) -> bool:
    """Return True for NumPy's numbers of 64 bits whose differences would be lost without x64.

    These are integers that single precision does not hold, and columns of floating-point numbers that differ by less
    than a thousandth of their magnitude, such as seconds since 1970.
    """
    arrays = [x for x in (queries, points) if isinstance(x, np.ndarray) and x.dtype.itemsize == 8 and x.size]
    if jnp.result_type(float) == jnp.float64 or not all(map(concrete, (queries, points))):
        return False
    for x in arrays:
        low, high = x.min(axis=0), x.max(axis=0)
        if x.dtype.kind in "iu" and max(-int(low.min()), int(high.max())) > 2**24:
            return True
        with np.errstate(all="ignore"):
            if x.dtype.kind == "f" and np.any(np.maximum(abs(low), abs(high)) > 1e3 * (high - low)) and len(x) > 1:
                return True
    return False


def narrow(neighbors: Neighbors, queries: Array, points: Array) -> Neighbors:
    """Return neighbors computed in double precision in the dtypes that they have with x64 off."""
    dtype = jnp.result_type(1.0, queries, points)
    return Neighbors(jnp.asarray(neighbors.distance, dtype), jnp.asarray(neighbors.index), neighbors.method)


@jit
def rescale(problem: Problem) -> Problem:
    """Multiply a problem by the power of two that brings the geometric mean of its nonzero magnitudes near 1.

    Squares then neither vanish nor overflow, whatever the unit of the data. A power of two changes no digit, and an
    outlier changes the mean little.
    """
    total = count = jnp.zeros((), jnp.float32)
    for values in (problem.queries, problem.points):
        present = values != 0
        exponent = jnp.frexp(values)[1]
        total += jnp.sum(jnp.where(present, exponent, 0), dtype=jnp.float32)
        count += jnp.sum(present, dtype=jnp.float32)
    unit = _power(-jnp.round(total / jnp.maximum(count, 1)).astype(jnp.int32), problem.points.dtype)
    return problem._replace(queries=problem.queries * unit, points=problem.points * unit)


def _power(exponent: Int[Array, "*b"], dtype: jnp.dtype) -> Float[jax.Array, "*b"]:
    """Return two to an exponent, at most the largest whose reciprocal is normal."""
    most = -int(np.finfo(dtype).minexp)
    return jnp.ldexp(jnp.ones((), dtype), jnp.clip(exponent, -most, most))


@jit(static_argnames="exclude_self")
def pose(
    queries: Float[Array, "m d"], points: Float[Array, "n d"], *, exclude_self: bool
) -> tuple[Problem, Bool[jax.Array, " m"]]:
    """Return the problem that a search solves, with zeros in rows that are not finite, and which queries are finite.

    No search computes with nan, because XLA's minimum and maximum treat it differently on different devices.
    """
    valid, usable = (jnp.all(jnp.isfinite(rows), axis=1) for rows in (queries, points))
    q = jnp.where(valid[:, None], lax.stop_gradient(queries), 0)
    x = jnp.where(usable[:, None], lax.stop_gradient(points), 0)
    m, n = len(q), len(x)
    label = jnp.where(usable, jnp.arange(n, dtype=jnp.int32), ABSENT)
    return Problem(q, x, label, jnp.arange(m, dtype=jnp.int32) if exclude_self else jnp.full(m, -1, jnp.int32)), valid


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _length(difference: Float[Array, "*x d"], squared: bool) -> Float[Array, "*x"]:
    total = squared_distance(difference[..., None], jnp.zeros((difference.shape[-1], 1), difference.dtype))[..., 0]
    return total if squared else jnp.sqrt(total)


@_length.defjvp
def _length_jvp(squared: bool, primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Differentiate along the difference; the derivative is 0 where that vanishes or is not finite."""
    (difference,), (change,) = primals, tangents
    length = jnp.asarray(_length(difference, squared))
    difference = jnp.where(jnp.isfinite(length)[..., None], difference, 0)
    along = jnp.sum(difference * change, axis=-1)
    if squared:
        return length, 2 * along
    positive = jnp.isfinite(length) & (length > 0)
    return length, jnp.where(positive, along / jnp.where(positive, length, 1), 0)


@jit(static_argnames=("squared", "dtype", "method"))
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
    """Build the result from the indices of a search, with distances differentiable in queries and points.

    Queries that are not `valid`, because they are not finite, get nan and -1.
    """
    present = (index != ABSENT) & valid[:, None]
    nearest = points[jnp.where(present, index, 0)]
    difference = queries[:, None, :] - nearest
    largest = lax.stop_gradient(jnp.max(jnp.where(jnp.isfinite(difference), jnp.abs(difference), 0), axis=2))
    unit = _power(-jnp.frexp(largest)[1], largest.dtype)  # for squares that are representable
    length = _length(difference * unit[..., None], squared) / unit
    distance = jnp.where(present, length / unit if squared else length, jnp.nan).astype(dtype)
    return Neighbors(distance, jnp.where(present, index, -1), method)


def search_rows(
    queries: Num[Array, "m d"] | Nested,
    points: Num[Array, "n _"] | Nested,
    k: int,
    *,
    search: Search,
    exclude_self: bool,
    squared: bool,
    memory: int,
) -> Neighbors:
    """Validate the arguments, search the finite rows, and compute differentiable distances."""
    queries, points, dtype = validate(queries, points, k, exclude_self)
    problem, valid = pose(queries, points, exclude_self=exclude_self)
    index = search(rescale(problem), k=k, memory=memory)[1] if len(queries) else jnp.zeros((0, k), jnp.int32)
    method = getattr(search, "__name__", repr(search))
    return finish(queries, points, jnp.asarray(index), valid, squared=squared, dtype=dtype, method=method)
