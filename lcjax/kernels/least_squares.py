"""Small non-linear least squares, batched: thousands of problems of two to nine parameters at once."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.kernels.compilation import jit
from lcjax.records import record

__all__ = ["Expansion", "LeastSquares", "least_squares", "solve_positive_definite"]

Array = jax.Array | np.ndarray
Scalars = tuple[jax.Array, ...]
Residuals = Callable[[Scalars, Any], jax.Array]
# Problems a block: few enough that its arrays stay in the cache, many enough that starting a kernel costs nothing.
_BLOCK = 1024
# A block is left when all but this part has converged; the problems left over are gathered and go on together.
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


@record
class LeastSquares:
    """A minimum of a penalized sum of squares.

    Attributes:
        parameters: where it lies, `(p, *b)`.
        value: half the sum of squares, penalty included, `(*b,)`.
        hessian: its second derivative (or the Gauss-Newton part of it, as asked for), `(p, p, *b)`.
        free: parameters that are not held at a bound, `(p, *b)`.
        converged: the predicted decrease of a further step is below rounding, `(*b,)`.
        steps: trial steps taken, `(*b,)`.
    """

    parameters: Float[Array, "p *b"]
    value: Float[Array, "*b"]
    hessian: Float[Array, "p p *b"]
    free: Bool[Array, "p *b"]
    converged: Bool[Array, "*b"]
    steps: Int[Array, "*b"]


def solve_positive_definite(matrix: Float[Array, "p p *b"], vector: Float[Array, "p *b"]) -> Float[jax.Array, "p *b"]:
    """Solutions of small symmetric systems by Gauss's elimination, the batch on the trailing axes.

    A library call per system costs a hundred times the arithmetic of a 3 x 3 system; here every operation is one of
    whole rows of the batch, which the compiler turns into vector instructions.

    Args:
        matrix: symmetric, `(p, p, *b)`.
        vector: right-hand sides, `(p, *b)`.

    Returns:
        The solutions; nan where a matrix is not positive definite.

    Examples:
        >>> import jax.numpy as jnp
        >>> solve_positive_definite(jnp.array([[4.0, 2.0], [2.0, 3.0]]), jnp.array([8.0, 7.0])).round(5).tolist()
        [1.25, 1.5]
    """
    rest, right = jnp.asarray(matrix), jnp.asarray(vector)
    rows, targets = [], []
    for _ in range(vector.shape[0]):
        pivot = jnp.where(rest[0, 0] > 0, rest[0, 0], jnp.nan)
        # The matrix and the vector stay apart, because the solution must be seen to be linear in the vector.
        row, target = rest[0, 1:] / pivot, right[0] / pivot
        rest, right = rest[1:, 1:] - rest[1:, :1] * row, right[1:] - rest[1:, 0] * target
        rows.append(row)
        targets.append(target)
    solution: list[jax.Array] = []
    for row, target in zip(reversed(rows), reversed(targets), strict=True):
        solution.append(target - sum(a * x for a, x in zip(row, reversed(solution), strict=True)))
    return jnp.stack(solution[::-1])


@jit(static_argnames=("residuals", "steps", "newton", "expand"))
def least_squares(
    residuals: Residuals | None,
    start: Float[Array, "p *b"],
    data: Any,
    lower: Float[Array, "p *b"],
    upper: Float[Array, "p *b"],
    center: Float[Array, "p *b"] | None = None,
    precision: Float[Array, "p *b"] | None = None,
    *,
    steps: int,
    newton: bool = False,
    expand: Callable[[jax.Array, Any], Expansion] | None = None,
) -> LeastSquares:
    """Minimize penalized sums of squares in a box by the Levenberg-Marquardt method.

        1/2 sum_i residuals_i(u)^2 + 1/2 sum_j precision_j (u_j - center_j)^2,    lower <= u <= upper

    A batch lies on the trailing axis of everything; each problem stops by itself and none depends on its neighbours.
    Large batches are worked off in blocks, and the few problems of each block that take long are gathered and go on
    together. Every step solves `(H + mu diag(J^T J)) step = -gradient` for the parameters that no bound holds, projects
    on the box, and is kept where it lowers the value. With `newton`, `H` is the whole second derivative, which
    converges quadratically where residuals are large; otherwise its Gauss-Newton part. The result is differentiable in
    `data`, `center` and `precision` by the implicit function theorem (with `newton`; approximately without).

    Args:
        residuals: `(parameters as a tuple of p arrays (*b,), data) -> (s, *b)`, a function at module level; absent
            observations have a residual of 0. Not used where `expand` is given.
        start: first guess, clipped to the box, `(p,)` for one problem or `(p, n)`.
        data: passed to `residuals`; for a batch, arrays that end in `n` belong to its problems, others to all.
        lower: lower bounds, -inf allowed.
        upper: upper bounds, inf allowed.
        center: means of the penalty; no penalty where it or `precision` is `None`.
        precision: inverse variances of the penalty, not negative.
        steps: most trial steps, static.
        newton: use exact second derivatives, static.
        expand: `(parameters (p, *b), data) -> Expansion` in place of automatic derivatives of `residuals`, at module
            level.

    Returns:
        A `LeastSquares`.

    Raises:
        ValueError: `steps` is negative, or shapes disagree.

    Examples:
        >>> import jax.numpy as jnp
        >>> def line(u, data):
        ...     x, y = data
        ...     return u[0] + u[1] * x - y
        >>> x = jnp.array([0.0, 1.0, 2.0])
        >>> box = jnp.full(2, jnp.inf)
        >>> found = least_squares(line, jnp.zeros(2), (x, 1 + 3 * x), -box, box, steps=20)
        >>> [round(float(u), 4) for u in found.parameters]
        [1.0, 3.0]
    """
    if steps < 0 or not start.shape == lower.shape == upper.shape or start.ndim not in (1, 2):
        raise ValueError(
            f"steps must be >= 0 and start, lower, upper alike, (p,) or (p, n), got steps={steps}, {start.shape}, "
            f"{lower.shape}, {upper.shape}."
        )
    if center is None or precision is None:
        center = precision = jnp.zeros_like(start)
    function = expand or _automatic(residuals, newton)
    # Derivatives of the minimum need the gradient's alone.
    slope = expand or _automatic(residuals, False)
    return LeastSquares(*_minimize(function, slope, steps, start, data, lower, upper, center, precision))


@functools.cache
def _automatic(residuals: Residuals, newton: bool) -> Callable[[jax.Array, Any], Expansion]:
    """One function for each, so that compiled code is found again."""

    def expand(u: jax.Array, data: Any) -> Expansion:
        return _expand(residuals, u, data, newton=newton)

    return expand


def _penalized(function: Any, u: jax.Array, data: Any, center: jax.Array, precision: jax.Array) -> Expansion:
    e = function(u, data)
    p = u.shape[0]
    distance = u - center
    diagonal = jnp.eye(p, dtype=u.dtype).reshape(p, p, *(1,) * (u.ndim - 1)) * precision
    return Expansion(
        e.value + 0.5 * jnp.sum(precision * distance**2, axis=0),
        e.gradient + precision * distance,
        e.hessian + diagonal,
        e.scale + precision,
    )


def _held(u: jax.Array, gradient: Array, lower: jax.Array, upper: jax.Array) -> jax.Array:
    return ((u <= lower) & (gradient > 0)) | ((u >= upper) & (gradient < 0))


Point = tuple[jax.Array, Expansion]
State = tuple[Point, Point, jax.Array, jax.Array, jax.Array, jax.Array]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _minimize(
    function: Any,
    slope: Any,
    steps: int,
    start: jax.Array,
    data: Any,
    lower: jax.Array,
    upper: jax.Array,
    center: jax.Array,
    precision: jax.Array,
) -> tuple[Any, ...]:
    problems = (data, lower, upper, center, precision)
    p, *batch = start.shape
    count = batch[0] if batch else 1
    eye = jnp.eye(p, dtype=start.dtype).reshape(p, p, *(1,) * len(batch))
    # The first step is of length 0, so that the residuals are compiled once: its infinite value loses to any start.
    blank = Expansion(
        jnp.full(batch, jnp.inf, start.dtype),
        jnp.zeros_like(start),
        jnp.broadcast_to(eye, (p, p, *batch)),
        jnp.ones_like(start),
    )
    first = (jnp.clip(start, lower, upper), blank)
    state: State = (
        first,
        first,
        jnp.zeros(batch, bool),
        jnp.full(batch, _FIRST_DAMPING / _EASE, start.dtype),
        jnp.full(batch, -1, jnp.int32),
        jnp.zeros(batch, bool),
    )
    advance = _advance if count <= _BLOCK else _advance_blocks
    (u, e), *_, taken, done = advance(function, steps, state, problems)
    return u, e.value, e.hessian, ~_held(u, e.gradient, lower, upper), done, taken


def _advance(function: Any, steps: int, state: State, problems: Any, left: Any = 0) -> State:
    """Levenberg-Marquardt steps until all but `left` problems have converged, or have taken `steps`."""
    data, lower, upper, center, precision = problems
    u = state[0][0]
    p, dtype = u.shape[0], u.dtype
    eps, tiny = float(jnp.finfo(dtype).eps), float(jnp.finfo(dtype).tiny)
    eye = jnp.eye(p, dtype=dtype).reshape(p, p, *(1,) * (u.ndim - 1))

    def step_without(matrix: jax.Array, gradient: jax.Array, fixed: jax.Array, given: jax.Array) -> jax.Array:
        """The step of the other parameters where those that are fixed move as given."""
        pulled = gradient + jnp.sum(matrix * jnp.where(fixed, given, 0), axis=1)
        either = fixed[:, None] | fixed[None, :]
        return solve_positive_definite(jnp.where(either, eye, matrix), jnp.where(fixed, given, -pulled))

    def body(loop: Any) -> Any:
        best, current, away, damping, taken, done = loop
        u, e = current
        fixed = _held(u, e.gradient, lower, upper)
        # A flat direction has no scale of its own: a fraction of the largest keeps the system regular.
        # One whose curvature is negative is damped in proportion to it: not by a damping that stops all others.
        scale = jnp.maximum(e.scale, jnp.abs(jnp.einsum("ii...->i...", jnp.asarray(e.hessian))))
        ridge = eps * jnp.max(scale, axis=0) + tiny
        damped = e.hessian + eye * (damping * (scale + ridge) + ridge)
        step = step_without(damped, e.gradient, fixed, jnp.zeros_like(u))
        # A step that is merely cut off at a bound may raise the value: the others must know that this one stops there.
        inside = jnp.clip(u + step, lower, upper)
        cut = inside != u + step
        step = jax.lax.cond(
            jnp.any(cut & ~jnp.isnan(step)),
            lambda: step_without(damped, e.gradient, fixed | cut, inside - u),
            lambda: step,
        )
        trial = jnp.where(cut, inside, jnp.clip(u + step, lower, upper))
        expected = -jnp.sum(e.gradient * (trial - u), axis=0)
        proposal = _penalized(function, trial, data, center, precision)
        before = best[1].value
        # Rounding of the value: of each square, and of residuals that are differences of numbers near 1. An increase
        # within it says nothing against a step. Stop where the decrease to be expected is below it, or where no step
        # lowers the value.
        rounding = 4 * eps * before + eps * jnp.sqrt(before)
        better = proposal.value <= before + jnp.where(jnp.isfinite(before), rounding, 0.0)
        # In a bent valley a good step ends on the wall, and the next one is back on the floor, far ahead: one step may
        # lead up, and is taken back if the next is not below the best (Chamberlain et al. 1982, the watchdog).
        small = ~away & (expected <= jnp.where(better, rounding, 100 * rounding))
        stop = (small & (damping < 1.0) & jnp.isfinite(before)) | (damping > 1e10) | (before <= 1e3 * eps**2)
        leave = ~better & ~away & ~small & (damping < 1.0) & jnp.isfinite(proposal.value) & jnp.isfinite(before)
        moved, back = better & ~done, ~better & ~leave & ~done
        best = jax.tree.map(lambda new, old: jnp.where(moved, new, old), (trial, proposal), best)
        current = jax.tree.map(
            lambda new, old, top: jnp.where(back, top, jnp.where(done, old, new)), (trial, proposal), current, best
        )
        damping = damping * jnp.where(done | leave, 1.0, jnp.where(better, _EASE, _TIGHTEN))
        return best, current, leave & ~done, damping, jnp.where(done, taken, taken + 1), done | stop

    def going(loop: Any) -> jax.Array:
        *_, taken, done = loop
        return jnp.sum(~done & (taken < steps)) > left

    return jax.lax.while_loop(going, body, state)


def _advance_blocks(function: Any, steps: int, state: State, problems: Any) -> State:
    """Blocks of problems, one after the other, and then those that were left, again in blocks, to the end."""
    count = state[0][0].shape[-1]
    left = int(_BLOCK * _LEFT)
    padded = -(-count // _BLOCK) * _BLOCK

    def taken_from(values: Any, index: jax.Array) -> Any:
        return jax.tree.map(lambda a: a[..., index] if jnp.ndim(a) and a.shape[-1] == count else a, values)

    def unfinished(state: State) -> tuple[jax.Array, jax.Array]:
        *_, taken, done = state
        waiting = ~done & (taken < steps)
        return jnp.nonzero(waiting, size=padded, fill_value=count)[0], jnp.sum(waiting)

    def body(loop: Any) -> Any:
        queue, length, place, again, state = loop
        index = jax.lax.dynamic_slice(queue, (place,), (_BLOCK,))
        part = taken_from(state, jnp.minimum(index, count - 1))
        part = (*part[:-1], part[-1] | (index >= count))
        here = taken_from(problems, jnp.minimum(index, count - 1))
        part = _advance(function, steps, part, here, jnp.where(again, 0, left))
        state = jax.tree.map(lambda a, b: a.at[..., index].set(b, mode="drop"), state, part)
        place = place + _BLOCK

        def refill() -> Any:
            queue, length = unfinished(state)
            return queue, jnp.where(again, 0, length), jnp.zeros_like(place), jnp.ones_like(again)

        queue, length, place, again = jax.lax.cond(place >= length, refill, lambda: (queue, length, place, again))
        return queue, length, place, again, state

    queue = jnp.where(jnp.arange(padded) < count, jnp.arange(padded), count)
    zero = jnp.zeros((), queue.dtype)
    loop = (queue, zero + count, zero, jnp.zeros((), bool), state)
    return jax.lax.while_loop(lambda loop: loop[2] < loop[1], body, loop)[4]


@_minimize.defjvp
def _implicit_derivative(
    function: Any, slope: Any, steps: int, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> Any:
    result = _minimize(function, slope, steps, *primals)
    u, _, hessian, free, _, _ = result

    def at_minimum(data: Any, center: jax.Array, precision: jax.Array) -> tuple[Any, Any]:
        e = _penalized(slope, u, data, center, precision)
        return e.value, e.gradient

    _, (value_dot, gradient_dot) = jax.jvp(
        at_minimum, (primals[1], primals[4], primals[5]), (tangents[1], tangents[4], tangents[5])
    )
    eye = jnp.eye(u.shape[0], dtype=u.dtype).reshape(u.shape[0], u.shape[0], *(1,) * (u.ndim - 1))
    matrix = jnp.where(free[:, None] & free[None, :], hessian, eye)
    step = solve_positive_definite(matrix, jnp.where(free, -gradient_dot, 0.0))
    zeros = [np.zeros(a.shape, jax.dtypes.float0) for a in result[3:]]
    return result, (step, value_dot, jnp.zeros_like(hessian), *zeros)


def _expand(residuals: Residuals, u: jax.Array, data: Any, *, newton: bool) -> Expansion:
    """The expansion by automatic differentiation."""
    p = u.shape[0]

    def column(i: int, v: Scalars) -> tuple[jax.Array, jax.Array]:
        # One parameter at a time: zeros of the others stay symbolic and cost nothing.
        return jax.jvp(lambda t: residuals((*v[:i], t, *v[i + 1 :]), data), (v[i],), (jnp.ones_like(v[i]),))

    columns = [column(i, tuple(u)) for i in range(p)]
    r, jacobian = columns[0][0], [c[1] for c in columns]
    entries = {(i, j): jnp.sum(jacobian[i] * jacobian[j], axis=0) for i in range(p) for j in range(i + 1)}
    scale = jnp.stack([entries[i, i] for i in range(p)])
    hessian = jnp.stack([jnp.stack([entries[max(i, j), min(i, j)] for j in range(p)]) for i in range(p)])
    if newton:
        fixed = jax.lax.stop_gradient(r)

        def projected(v: jax.Array) -> jax.Array:
            return jnp.sum(fixed * residuals(tuple(v), data))

        # The batch's problems do not depend on each other: one tangent serves them all.
        curvature = [jax.jvp(jax.grad(projected), (u,), (jnp.zeros_like(u).at[i].set(1.0),))[1] for i in range(p)]
        hessian = hessian + jnp.stack(curvature)
    return Expansion(
        0.5 * jnp.sum(r * r, axis=0), jnp.stack([jnp.sum(j * r, axis=0) for j in jacobian]), hessian, scale
    )
