"""Small non-linear least squares, made to be batched: thousands of problems of two to eight parameters at once."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.records import record

__all__ = ["LeastSquares", "least_squares", "solve_positive_definite"]

Array = jax.Array | np.ndarray
Scalars = tuple[jax.Array, ...]
Residuals = Callable[[Scalars, Any], jax.Array]
# Derivatives by one parameter after the other are fastest to run; for more parameters they take too long to compile.
_UNROLLED = 4
Expansion = tuple[jax.Array, Scalars, tuple[Scalars, ...], Scalars]


@record
class LeastSquares:
    """A minimum of a penalized sum of squares.

    Attributes:
        parameters: where it lies, `(*b, p)`.
        value: half the sum of squares, penalty included, `(*b,)`.
        hessian: its second derivative (or the Gauss-Newton part of it, as asked for), `(*b, p, p)`.
        free: parameters that are not held at a bound, `(*b, p)`.
        converged: the predicted decrease of a further step is below rounding, `(*b,)`.
        steps: trial steps taken, `(*b,)`.
    """

    parameters: Float[Array, "*b p"]
    value: Float[Array, "*b"]
    hessian: Float[Array, "*b p p"]
    free: Bool[Array, "*b p"]
    converged: Bool[Array, "*b"]
    steps: Int[Array, "*b"]


def solve_positive_definite(matrix: list[list[jax.Array]], vector: list[jax.Array]) -> list[jax.Array]:
    """Solution of a small symmetric system by Cholesky's method, written out entry by entry.

    A library call per system costs a hundred times the arithmetic of a 3 x 3 system; unrolled scalars batch into
    vector instructions instead.

    Args:
        matrix: rows of the lower triangle, `matrix[i][j]` for `j <= i`, arrays of one shape.
        vector: right-hand side, arrays of that shape.

    Returns:
        The solution; nan where the matrix is not positive definite.

    Examples:
        >>> import jax.numpy as jnp
        >>> one = jnp.ones(())
        >>> [round(float(x), 5) for x in solve_positive_definite([[4 * one], [2 * one, 3 * one]], [8 * one, 7 * one])]
        [1.25, 1.5]
    """
    p = len(vector)
    factor: list[list[jax.Array]] = []
    inverse_diagonal: list[jax.Array] = []
    for i in range(p):
        row: list[jax.Array] = []
        for j in range(i):
            row.append((matrix[i][j] - sum(row[k] * factor[j][k] for k in range(j))) * inverse_diagonal[j])
        pivot = matrix[i][i] - sum(entry * entry for entry in row)
        inverse_diagonal.append(1 / jnp.sqrt(jnp.where(pivot > 0, pivot, jnp.nan)))
        factor.append(row)
    forward: list[jax.Array] = []
    for i in range(p):
        forward.append((vector[i] - sum(factor[i][k] * forward[k] for k in range(i))) * inverse_diagonal[i])
    solution: list[jax.Array] = [None] * p  # type: ignore[list-item]
    for i in reversed(range(p)):
        solution[i] = (forward[i] - sum(factor[k][i] * solution[k] for k in range(i + 1, p))) * inverse_diagonal[i]
    return solution


@functools.partial(jax.jit, static_argnames=("residuals", "steps", "newton"))
def least_squares(
    residuals: Residuals,
    start: Float[Array, " p"],
    data: Any,
    lower: Float[Array, " p"],
    upper: Float[Array, " p"],
    center: Float[Array, " p"] | None = None,
    precision: Float[Array, " p"] | None = None,
    *,
    steps: int,
    newton: bool = False,
) -> LeastSquares:
    """Minimize a penalized sum of squares in a box by the Levenberg-Marquardt method.

        1/2 sum_i residuals_i(u)^2 + 1/2 sum_j precision_j (u_j - center_j)^2,    lower <= u <= upper

    One problem; `vmap` solves many, each stopping by itself, and none depends on its neighbours. Every step solves
    `(H + mu diag(J^T J)) step = -gradient` for the parameters that no bound holds, projects on the box, and is kept
    where it lowers the value. With `newton`, `H` is the whole second derivative, which converges quadratically where
    residuals are large; otherwise its Gauss-Newton part. The result is differentiable in `data`, `center` and
    `precision` by the implicit function theorem (with `newton`; approximately without).

    Args:
        residuals: `(parameters as a tuple of p scalars, data) -> (s,)`, a function at module level; absent
            observations have a residual of 0.
        start: first guess, clipped to the box.
        data: passed to `residuals`.
        lower: lower bounds, -inf allowed.
        upper: upper bounds, inf allowed.
        center: means of the penalty; no penalty where it or `precision` is `None`.
        precision: inverse variances of the penalty, not negative.
        steps: most trial steps, static.
        newton: use exact second derivatives, static.

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
    if steps < 0 or not start.shape == lower.shape == upper.shape:
        raise ValueError(
            f"steps must be >= 0 and start, lower, upper alike, got steps={steps}, {start.shape}, {lower.shape}, "
            f"{upper.shape}."
        )
    if center is None or precision is None:
        center = precision = jnp.zeros_like(start)
    return LeastSquares(*_minimize(residuals, steps, newton, start, data, lower, upper, center, precision))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _minimize(
    residuals: Residuals,
    steps: int,
    newton: bool,
    start: jax.Array,
    data: Any,
    lower: jax.Array,
    upper: jax.Array,
    center: jax.Array,
    precision: jax.Array,
) -> tuple[jax.Array, ...]:
    p, dtype = start.shape[0], start.dtype
    eps, tiny = float(jnp.finfo(dtype).eps), float(jnp.finfo(dtype).tiny)
    low, high = list(lower), list(upper)

    def expand(u: Scalars) -> Expansion:
        return _expand(residuals, u, data, center, precision, newton=newton)

    def held(u: Scalars, gradient: Scalars) -> list[jax.Array]:
        return [
            ((a <= lo) & (g > 0)) | ((a >= hi) & (g < 0)) for a, g, lo, hi in zip(u, gradient, low, high, strict=True)
        ]

    def body(state: Any) -> Any:
        u, expansion, damping, count, done = state
        value, gradient, hessian, scale = expansion
        fixed = held(u, gradient)
        # A flat direction has no scale of its own: a fraction of the largest keeps the system regular.
        ridge = eps * functools.reduce(jnp.maximum, scale) + tiny
        damped = [
            [hessian[i][j] + (damping * (scale[i] + ridge) + ridge if i == j else 0.0) for j in range(i + 1)]
            for i in range(p)
        ]

        def step_without(fixed: list[jax.Array], given: list[jax.Array]) -> list[jax.Array]:
            """The step of the other parameters where those that are fixed move as given."""
            matrix = [
                [
                    jnp.where(fixed[i] | fixed[j], 0.0, damped[i][j])
                    if j < i
                    else jnp.where(fixed[i], 1.0, damped[i][i])
                    for j in range(i + 1)
                ]
                for i in range(p)
            ]
            pulled = [
                gradient[i] + sum(jnp.where(fixed[j], damped[max(i, j)][min(i, j)] * given[j], 0.0) for j in range(p))
                for i in range(p)
            ]
            target = [jnp.where(f, d, -g) for f, d, g in zip(fixed, given, pulled, strict=True)]
            return solve_positive_definite(matrix, target)

        step = step_without(fixed, [jnp.zeros_like(a) for a in u])
        # A step that is merely cut off at a bound may raise the value: the others must know that this one stops there.
        inside = tuple(jnp.clip(a + d, lo, hi) for a, d, lo, hi in zip(u, step, low, high, strict=True))
        stopped = [f | (c != a + d) for f, c, a, d in zip(fixed, inside, u, step, strict=True)]
        step = step_without(stopped, [c - a for c, a in zip(inside, u, strict=True)])
        trial = tuple(
            jnp.where(s, c, jnp.clip(a + d, lo, hi))
            for s, c, a, d, lo, hi in zip(stopped, inside, u, step, low, high, strict=True)
        )
        expected = -sum(g * (b - a) for g, a, b in zip(gradient, u, trial, strict=True))
        proposal = expand(trial)
        better = proposal[0] <= value
        u, expansion = jax.tree.map(
            lambda new, old: jnp.where(better & ~done, new, old), (trial, proposal), (u, expansion)
        )
        # Rounding of the value: of each square, and of residuals that are differences of numbers near 1. Stop where the
        # decrease to be expected is below it, or where no step lowers the value.
        rounding = 4 * eps * value + eps * jnp.sqrt(value)
        small = expected <= jnp.where(better, rounding, 100 * rounding)
        stop = (small & (damping < 1.0) & jnp.isfinite(value)) | (damping > 1e10) | (value <= 1e3 * eps**2)
        damping = jnp.where(done, damping, jnp.where(better, damping * 0.15, damping * 6.0))
        return u, expansion, damping, count + jnp.where(done, 0, 1), done | stop

    # The first step is of length 0, so that the residuals are compiled once: its infinite value loses to any start.
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    blank: Expansion = (
        one * jnp.inf,
        (zero,) * p,
        tuple(tuple(one if i == j else zero for j in range(i + 1)) for i in range(p)),
        (one,) * p,
    )
    first = tuple(jnp.clip(a, lo, hi) for a, lo, hi in zip(start, low, high, strict=True))
    state = (first, blank, 0.1 * one, jnp.full((), -1, jnp.int32), jnp.zeros((), bool))
    u, (value, gradient, hessian, _), _, count, done = jax.lax.while_loop(lambda s: (s[3] < steps) & ~s[4], body, state)
    full = jnp.stack([jnp.stack([hessian[max(i, j)][min(i, j)] for j in range(p)]) for i in range(p)])
    free = ~jnp.stack(held(u, gradient))
    return jnp.stack(u), value, full, free, done, count


@_minimize.defjvp
def _implicit_derivative(
    residuals: Residuals, steps: int, newton: bool, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    result = _minimize(residuals, steps, newton, *primals)
    parameters, _, hessian, free, _, _ = result
    u, p = tuple(parameters), parameters.shape[0]

    def at_minimum(data: Any, center: jax.Array, precision: jax.Array) -> tuple[jax.Array, Scalars]:
        return _expand(residuals, u, data, center, precision, newton=False)[:2]

    _, (value_dot, gradient_dot) = jax.jvp(
        at_minimum, (primals[1], primals[4], primals[5]), (tangents[1], tangents[4], tangents[5])
    )
    matrix = [
        [jnp.where(free[i] & free[j], hessian[i, j], 1.0 if i == j else 0.0) for j in range(i + 1)] for i in range(p)
    ]
    step = solve_positive_definite(matrix, [jnp.where(free[i], -gradient_dot[i], 0.0) for i in range(p)])
    zeros = [np.zeros(a.shape, jax.dtypes.float0) for a in result[3:]]
    return result, (jnp.stack(step), value_dot, jnp.zeros_like(hessian), *zeros)


def _expand(
    residuals: Residuals, u: Scalars, data: Any, center: jax.Array, precision: jax.Array, *, newton: bool
) -> Expansion:
    """Half the sum of squares, its gradient, the lower triangle of its Hessian, and the diagonal of `J^T J`."""
    p = len(u)

    def column(i: int, v: Scalars) -> tuple[jax.Array, jax.Array]:
        # One parameter at a time: zeros of the others stay symbolic and cost nothing.
        return jax.jvp(lambda t: residuals((*v[:i], t, *v[i + 1 :]), data), (v[i],), (jnp.ones_like(v[i]),))

    def second(i: int, j: int, v: Scalars) -> jax.Array:
        return jax.jvp(lambda t: column(i, (*v[:j], t, *v[j + 1 :]))[1], (v[j],), (jnp.ones_like(v[j]),))[1]

    if p <= _UNROLLED:
        columns = [column(i, u) for i in range(p)]
        r, jacobian = columns[0][0], [c[1] for c in columns]
    else:
        r, push = jax.linearize(lambda v: residuals(tuple(v), data), jnp.stack(u))
        jacobian = list(jax.vmap(push)(jnp.eye(p, dtype=u[0].dtype)))
    curvature = None
    if newton and p > _UNROLLED:

        def projected(v: jax.Array) -> jax.Array:
            return jnp.sum(jax.lax.stop_gradient(r) * residuals(tuple(v), data))

        curvature = jax.jacfwd(jax.grad(projected))(jnp.stack(u))
    value = 0.5 * jnp.sum(r * r)
    gradient, hessian, scale = [], [], []
    for i in range(p):
        row = [jnp.sum(jacobian[i] * jacobian[j]) for j in range(i + 1)]
        scale.append(row[i] + precision[i])
        if newton:
            for j in range(i + 1):
                row[j] += jnp.sum(r * second(i, j, u)) if curvature is None else curvature[i, j]
        row[i] += precision[i]
        offset = u[i] - center[i]
        value += 0.5 * precision[i] * offset**2
        gradient.append(jnp.sum(jacobian[i] * r) + precision[i] * offset)
        hessian.append(tuple(row))
    return value, tuple(gradient), tuple(hessian), tuple(scale)
