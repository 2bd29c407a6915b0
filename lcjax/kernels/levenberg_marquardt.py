"""Levenberg-Marquardt steps for batches of small problems in a box, in blocks that fit the cache."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.kernels.arguments import Nested, as_floating
from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "Data",
    "Expand",
    "Expansion",
    "Problem",
    "add_penalty",
    "at_bound",
    "identity",
    "iterate",
    "solve_positive_definite",
]

T = TypeVar("T")
Data = TypeVar("Data")  # a pytree of arrays

# Problems in a block: few enough that its arrays stay in the cache, many enough that starting a kernel costs nothing.
_BLOCK = 1024
# A block is left once all but this share has converged; the remaining problems are gathered and continued together.
_LEFT = 1 / 8
_FIRST_DAMPING, _EASE, _TIGHTEN = 0.1, 0.15, 6.0


@record
class Expansion:
    """Second-order expansion of half a sum of squares.

    Attributes:
        value: half the sum of squares, `(*b,)`.
        gradient: `(p, *b)`.
        hessian: second derivatives, or an approximation, symmetric, `(p, p, *b)`.
        scale: diagonal of `J^T J`, `(p, *b)`.
    """

    value: Float[Array, "*b"]
    gradient: Float[Array, "p *b"]
    hessian: Float[Array, "p p *b"]
    scale: Float[Array, "p *b"]


Expand: TypeAlias = Callable[[jax.Array, Data], Expansion]


@record
class Problem(Generic[Data]):
    """Data, box and penalty of a problem: everything but the residuals."""

    data: Data
    lower: Float[Array, "p *b"]
    upper: Float[Array, "p *b"]
    center: Float[Array, "p *b"]
    precision: Float[Array, "p *b"]


class Point(NamedTuple):
    """Parameters, `(p, *b)`, and the expansion there."""

    parameters: jax.Array
    expansion: Expansion


class State(NamedTuple):
    """State of the iteration; all arrays have the shape `(*b,)`."""

    best: Point  # lowest so far
    current: Point  # from which the next step is taken
    away: jax.Array  # True after a step that led up
    damping: jax.Array
    steps: jax.Array  # trial steps taken
    done: jax.Array


def solve_positive_definite(
    matrix: Num[Array, "p p *b"] | Nested, vector: Num[Array, "p *b"] | Nested
) -> Float[jax.Array, "p *b"]:
    """Solve small symmetric systems by Gaussian elimination, with the batch on the trailing axes.

    A library call per system costs a hundred times the arithmetic of a 3 x 3 system. Here every operation applies to
    whole rows of the batch, which the compiler turns into vector instructions.

    Args:
        matrix: symmetric, `(p, p, *b)`.
        vector: right-hand sides, `(p, *b)`.

    Returns:
        The solutions; nan where a matrix is not positive definite.

    Raises:
        ValueError: shapes disagree, or the entries are not real numbers.

    Examples:
        >>> import jax.numpy as jnp
        >>> solve_positive_definite(jnp.array([[4.0, 2.0], [2.0, 3.0]]), jnp.array([8.0, 7.0])).round(5).tolist()
        [1.25, 1.5]
    """
    rest, right = as_floating(matrix, "matrix"), as_floating(vector, "vector")
    if rest.ndim < 2 or rest.shape[:2] != right.shape[:1] * 2 or not len(right):
        raise ValueError(f"matrix (p, p, *b) and vector (p, *b) need one p >= 1, got {rest.shape} and {right.shape}.")
    rows, targets = [], []
    for _ in range(len(right)):
        pivot = jnp.where(rest[0, 0] > 0, rest[0, 0], jnp.nan)
        # The matrix and the vector are kept apart, so that JAX sees a solution that is linear in the vector.
        row, target = rest[0, 1:] / pivot, right[0] / pivot
        rest, right = rest[1:, 1:] - rest[1:, :1] * row, right[1:] - rest[1:, 0] * target
        rows.append(row)
        targets.append(target)
    solution: list[jax.Array] = []
    for row, target in zip(reversed(rows), reversed(targets), strict=True):
        solution.append(target - sum(a * x for a, x in zip(row, reversed(solution), strict=True)))
    return jnp.stack(solution[::-1])


def add_penalty(function: Expand[Data], u: jax.Array, problem: Problem[Data]) -> Expansion:
    """Evaluate the expansion with the penalty included."""
    e = function(u, problem.data)
    precision, distance = problem.precision, u - problem.center
    return Expansion(
        e.value + 0.5 * jnp.sum(precision * distance**2, axis=0),
        e.gradient + precision * distance,
        e.hessian + identity(u) * precision,
        e.scale + precision,
    )


def identity(u: jax.Array) -> jax.Array:
    """Return the identity matrix for parameters `(p, *b)`, `(p, p, 1...)`."""
    p = u.shape[0]
    return jnp.eye(p, dtype=u.dtype).reshape(p, p, *(1,) * (u.ndim - 1))


def at_bound(point: Point, problem: Problem[Data]) -> jax.Array:
    """Return True for parameters held at a bound, `(p, *b)`, where descent would leave the box."""
    u, gradient = point.parameters, point.expansion.gradient
    return jnp.asarray(((u <= problem.lower) & (gradient > 0)) | ((u >= problem.upper) & (gradient < 0)))


def iterate(function: Expand[Data], steps: int, start: jax.Array, problem: Problem[Data]) -> State:
    """Minimize from a starting point by at most `steps` trial steps."""
    p, *batch = start.shape
    # The first step is of length 0, so that the residuals are compiled once: its infinite value loses to any start.
    blank = Expansion(
        jnp.full(batch, jnp.inf, start.dtype),
        jnp.zeros_like(start),
        jnp.broadcast_to(identity(start), (p, p, *batch)),
        jnp.ones_like(start),
    )
    first = Point(jnp.clip(start, problem.lower, problem.upper), blank)
    state = State(
        first,
        first,
        jnp.zeros(batch, bool),
        jnp.full(batch, _FIRST_DAMPING / _EASE, start.dtype),
        jnp.full(batch, -1, jnp.int32),
        jnp.zeros(batch, bool),
    )
    advance = _advance if not batch or batch[0] <= _BLOCK else _advance_blocks
    return advance(function, steps, state, problem)


def _advance(
    function: Expand[Data], steps: int, state: State, problem: Problem[Data], left: jax.Array | int = 0
) -> State:
    """Take Levenberg-Marquardt steps until all but `left` problems have converged or have taken `steps`."""
    u = state.best.parameters
    eps, tiny = float(np.finfo(u.dtype).eps), float(np.finfo(u.dtype).tiny)
    eye = identity(u)

    def step_without(matrix: jax.Array, gradient: jax.Array, fixed: jax.Array, given: jax.Array) -> jax.Array:
        """Return the step, with `given` for the parameters that are fixed."""
        pull = gradient + jnp.sum(matrix * jnp.where(fixed, given, 0), axis=1)
        either = fixed[:, None] | fixed[None, :]
        return solve_positive_definite(jnp.where(either, eye, matrix), jnp.where(fixed, given, -pull))

    def body(state: State) -> State:
        best, current, away, damping, taken, done = state
        u, e = current
        fixed = at_bound(current, problem)
        # Each parameter has its own unit, and its ridge is a fraction of its own scale. A flat direction has no scale:
        # the largest keeps the system regular. A direction of negative curvature is damped in proportion to it, not by
        # a damping that would stop all others.
        scale = jnp.maximum(e.scale, jnp.abs(jnp.einsum("ii...->i...", jnp.asarray(e.hessian))))
        scale = jnp.where(scale > 0, scale, jnp.max(scale, axis=0) + tiny)
        matrix = jnp.asarray(e.hessian + eye * ((damping + eps) * scale))
        gradient = jnp.asarray(e.gradient)
        step = step_without(matrix, gradient, fixed, jnp.zeros_like(u))
        # A step that is only cut off at a bound may raise the value: the other parameters must adapt to the cut.
        inside = jnp.clip(u + step, problem.lower, problem.upper)
        cut = inside != u + step
        step = jax.lax.cond(
            jnp.any(cut & ~jnp.isnan(step)),
            lambda: step_without(matrix, gradient, fixed | cut, inside - u),
            lambda: step,
        )
        u = jnp.where(cut, inside, jnp.clip(u + step, problem.lower, problem.upper))
        expected = -jnp.sum(e.gradient * (u - current.parameters), axis=0)
        trial = Point(u, add_penalty(function, u, problem))
        value, before = (jnp.asarray(point.expansion.value) for point in (trial, best))
        # Rounding of the value: of each square, and of residuals that are differences of numbers of the size of the
        # model's terms. An increase within it is no reason to reject a step. Stop where the expected decrease is below
        # it, or where no step lowers the value.
        size = jnp.sqrt(jnp.sum(e.scale * current.parameters**2, axis=0))
        rounding = 4 * eps * before + eps * jnp.sqrt(before) * size
        better = value <= before + jnp.where(jnp.isfinite(before), rounding, 0.0)
        # In a curved valley a good step ends on the wall, and the next one is back on the floor, far ahead: one step
        # may lead up, and is undone if the next is not below the best (the watchdog of Chamberlain et al., 1982).
        small = ~away & (expected <= jnp.where(better, rounding, 100 * rounding))
        stop = (small & (damping < 1.0) & jnp.isfinite(before)) | (damping > 1e10) | (before <= 1e3 * (eps * size) ** 2)
        leave = ~better & ~away & ~small & (damping < 1.0) & jnp.isfinite(value) & jnp.isfinite(before)
        moved, back = better & ~done, ~better & ~leave & ~done
        best = jax.tree.map(lambda new, old: jnp.where(moved, new, old), trial, best)
        current = jax.tree.map(
            lambda new, old, top: jnp.where(back, top, jnp.where(done, old, new)), trial, current, best
        )
        damping = damping * jnp.where(done | leave, 1.0, jnp.where(better, _EASE, _TIGHTEN))
        return State(best, current, leave & ~done, damping, jnp.where(done, taken, taken + 1), done | stop)

    def unfinished(state: State) -> jax.Array:
        return jnp.sum(~state.done & (state.steps < steps)) > left

    return jax.lax.while_loop(unfinished, body, state)


_Loop: TypeAlias = tuple[jax.Array, jax.Array, jax.Array, jax.Array, State]


def _advance_blocks(function: Expand[Data], steps: int, state: State, problem: Problem[Data]) -> State:
    """Advance blocks of problems, one after the other, and then the remaining problems, again in blocks, to the end."""
    count = state.done.shape[-1]
    left = int(_BLOCK * _LEFT)
    padded = -(-count // _BLOCK) * _BLOCK

    def gather(values: T, index: jax.Array) -> T:
        rows: T = jax.tree.map(lambda a: a[..., index] if jnp.ndim(a) and a.shape[-1] == count else a, values)
        return rows

    def unfinished(state: State) -> tuple[jax.Array, jax.Array]:
        waiting = ~state.done & (state.steps < steps)
        return jnp.nonzero(waiting, size=padded, fill_value=count)[0], jnp.sum(waiting)

    def body(loop: _Loop) -> _Loop:
        queue, length, place, again, state = loop
        index = jax.lax.dynamic_slice(queue, (place,), (_BLOCK,))
        part = gather(state, jnp.minimum(index, count - 1))
        part = part._replace(done=part.done | (index >= count))
        here = gather(problem, jnp.minimum(index, count - 1))
        part = _advance(function, steps, part, here, jnp.where(again, 0, left))
        state = jax.tree.map(lambda a, b: a.at[..., index].set(b, mode="drop"), state, part)
        place = place + _BLOCK

        def refill() -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
            queue, length = unfinished(state)
            return queue, jnp.where(again, 0, length), jnp.zeros_like(place), jnp.ones_like(again)

        queue, length, place, again = jax.lax.cond(place >= length, refill, lambda: (queue, length, place, again))
        return queue, length, place, again, state

    queue = jnp.where(jnp.arange(padded) < count, jnp.arange(padded), count)
    zero = jnp.zeros((), queue.dtype)
    loop = (queue, zero + count, zero, jnp.zeros((), bool), state)
    return jax.lax.while_loop(lambda loop: loop[2] < loop[1], body, loop)[4]
