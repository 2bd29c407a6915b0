"""Small non-linear least squares, batched: thousands of problems of two to nine parameters at once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import SupportsIndex, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.arguments import Nested, as_array, as_count, as_real
from lcjax.kernels.compilation import jit
from lcjax.kernels.levenberg_marquardt import (
    Data,
    Expand,
    Expansion,
    Problem,
    add_penalty,
    at_bound,
    identity,
    iterate,
    solve_positive_definite,
)
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["Expansion", "LeastSquares", "least_squares", "solve_positive_definite"]

Scalars: TypeAlias = tuple[jax.Array, ...]
Residuals: TypeAlias = Callable[[Scalars, Data], jax.Array]


@record
class LeastSquares:
    """Minimum of a penalized sum of squares.

    Attributes:
        parameters: position of the minimum, `(p, *b)`; nan, like the value and the second derivative, where the value
            is not finite at the start, such as for data with nan, or where the box is empty.
        value: half the sum of squares, penalty included, `(*b,)`.
        hessian: its second derivative, or the Gauss-Newton part of it, `(p, p, *b)`.
        free: True for parameters that no bound holds, `(p, *b)`.
        converged: True if the predicted decrease of a further step is below rounding, `(*b,)`.
        steps: trial steps taken, `(*b,)`.
    """

    parameters: Float[Array, "p *b"]
    value: Float[Array, "*b"]
    hessian: Float[Array, "p p *b"]
    free: Bool[Array, "p *b"]
    converged: Bool[Array, "*b"]
    steps: Int[Array, "*b"]


def least_squares(
    residuals: Residuals[Data] | None,
    start: Num[Array, "p *b"] | Nested,
    data: Data,
    lower: Num[Array, "p *b"] | Nested,
    upper: Num[Array, "p *b"] | Nested,
    center: Num[Array, "p *b"] | Nested | None = None,
    precision: Num[Array, "p *b"] | Nested | None = None,
    *,
    steps: SupportsIndex,
    newton: bool = False,
    expand: Expand[Data] | None = None,
) -> LeastSquares:
    """Minimize penalized sums of squares in a box by the Levenberg-Marquardt method, one or a batch of problems.

        1/2 sum_i residuals_i(u)^2 + 1/2 sum_j precision_j (u_j - center_j)^2,    lower <= u <= upper

    The batch is the trailing axis of every array; each problem stops by itself and none depends on the others. Large
    batches are processed in blocks, and the slow problems of each block are gathered and continued together. Every step
    solves `(H + mu diag(J^T J)) step = -gradient` for the parameters that no bound holds, is projected on the box, and
    is accepted where it lowers the value. With `newton`, `H` is the whole second derivative, which converges
    quadratically where residuals are large; otherwise its Gauss-Newton part. The result is differentiable in `data`,
    `center` and `precision` by the implicit function theorem (with `newton`; approximately without).

    Args:
        residuals: `(parameters as a tuple of p arrays (*b,), data) -> (s, *b)`, a function at module level; absent
            observations have a residual of 0. None if `expand` is given.
        start: first guess, clipped to the box, `(p,)` for one problem or `(p, n)`.
        data: passed to `residuals`; arrays whose last axis has length `n` are split over the batch, others shared.
        lower: lower bounds, -inf allowed.
        upper: upper bounds, inf allowed.
        center: means of the penalty; no penalty if it or `precision` is None.
        precision: inverse variances of the penalty, non-negative.
        steps: largest number of trial steps, static.
        newton: use exact second derivatives, static.
        expand: function at module level, `(parameters (p, *b), data) -> Expansion`, in place of `residuals`.

    Returns:
        `LeastSquares`, parameters in the shape of `start`; `converged` is False where `steps` did not suffice.

    Raises:
        ValueError: `steps` is negative, shapes disagree, numbers are no real numbers of 32 or 64 bits, or neither
            `residuals` nor `expand` is given.

    Examples:
        >>> import jax.numpy as jnp
        >>> def line(u, data):
        ...     x, y = data
        ...     return u[0] + u[1] * x - y
        >>> x = jnp.array([0.0, 1.0, 2.0])
        >>> box = jnp.full(2, jnp.inf)
        >>> minimum = least_squares(line, jnp.zeros(2), (x, 1 + 3 * x), -box, box, steps=20)
        >>> [round(float(u), 4) for u in minimum.parameters]
        [1.0, 3.0]
    """
    count = as_count(steps, "steps", 0)
    start, lower, upper = as_real(start, "start"), as_real(lower, "lower"), as_real(upper, "upper")
    if not start.shape == lower.shape == upper.shape or start.ndim not in (1, 2) or not len(start):
        raise ValueError(
            "start, lower and upper must have one shape, (p,) or (p, n) with p >= 1, "
            f"got {start.shape}, {lower.shape}, {upper.shape}."
        )
    if expand is None and residuals is None:
        raise ValueError("least_squares needs `residuals` or `expand`, got None for both.")
    data = jax.tree.map(lambda leaf: as_array(leaf, "data"), data)
    floating = [leaf for leaf in jax.tree.leaves(data) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    dtype = jnp.result_type(1.0, start, lower, upper, *floating)
    if dtype.itemsize < 4:
        raise ValueError(f"least_squares computes in float32 or float64, got {dtype}: convert start and data.")
    if center is None or precision is None:
        center = precision = np.zeros(start.shape, dtype)
    arrays = {"start": start, "lower": lower, "upper": upper, "center": center, "precision": precision}
    first, *box = (jnp.asarray(as_real(value, name), dtype) for name, value in arrays.items())
    return _least_squares(residuals, first, Problem(data, *box), steps=count, newton=newton, expand=expand)


@jit(static_argnames=("residuals", "steps", "newton", "expand"))
def _least_squares(
    residuals: Residuals[Data] | None,
    start: Float[jax.Array, "p *b"],
    problem: Problem[Data],
    *,
    steps: int,
    newton: bool,
    expand: Expand[Data] | None,
) -> LeastSquares:
    if expand is None:
        assert residuals is not None
        function, slope = _expansion_of(residuals, newton), _expansion_of(residuals, False)
    else:
        function = slope = expand
    # Derivatives of the minimum need only the gradient, which `slope` gives without second derivatives.
    return _minimize(function, slope, steps, start, problem)


@functools.cache
def _expansion_of(residuals: Residuals[Data], newton: bool) -> Expand[Data]:
    """Return the same function for the same arguments, so that its compiled code is reused."""
    return functools.partial(_expand, residuals, newton)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _minimize(
    function: Expand[Data], slope: Expand[Data], steps: int, start: jax.Array, problem: Problem[Data]
) -> LeastSquares:
    state = iterate(function, steps, start, problem)
    u, e = state.best
    finite = jnp.isfinite(jnp.asarray(e.value)) & jnp.all(problem.lower <= problem.upper, axis=0)
    u, value, hessian = (jnp.where(finite, part, jnp.nan) for part in (u, e.value, e.hessian))
    return LeastSquares(u, value, hessian, ~at_bound(state.best, problem), state.done & finite, state.steps)


@_minimize.defjvp
def _differentiate_implicitly(
    function: Expand[Data],
    slope: Expand[Data],
    steps: int,
    primals: tuple[jax.Array, Problem[Data]],
    tangents: tuple[jax.Array, Problem[Data]],
) -> tuple[LeastSquares, LeastSquares]:
    minimum = _minimize(function, slope, steps, *primals)
    u, hessian, free = (jnp.asarray(part) for part in (minimum.parameters, minimum.hessian, minimum.free))
    problem, change = primals[1], tangents[1]

    def at_minimum(data: Data, center: jax.Array, precision: jax.Array) -> tuple[jax.Array, jax.Array]:
        e = add_penalty(slope, u, dataclasses.replace(problem, data=data, center=center, precision=precision))
        return jnp.asarray(e.value), jnp.asarray(e.gradient)

    _, (value_dot, gradient_dot) = jax.jvp(
        at_minimum, (problem.data, problem.center, problem.precision), (change.data, change.center, change.precision)
    )
    matrix = jnp.where(free[:, None] & free[None, :], hessian, identity(u))
    step = solve_positive_definite(matrix, jnp.where(free, -gradient_dot, 0.0))
    zeros = [np.zeros(a.shape, jax.dtypes.float0) for a in (minimum.free, minimum.converged, minimum.steps)]
    return minimum, LeastSquares(step, value_dot, jnp.zeros_like(hessian), *zeros)


def _expand(residuals: Residuals[Data], newton: bool, u: jax.Array, data: Data) -> Expansion:
    """Expand by automatic differentiation."""
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

        def projection(v: jax.Array) -> jax.Array:
            return jnp.sum(fixed * residuals(tuple(v), data))

        # The problems of the batch do not depend on each other: one tangent serves them all.
        curvature = [jax.jvp(jax.grad(projection), (u,), (jnp.zeros_like(u).at[i].set(1.0),))[1] for i in range(p)]
        hessian = hessian + jnp.stack(curvature)
    gradient = jnp.stack([jnp.sum(j * r, axis=0) for j in jacobian])
    return Expansion(0.5 * jnp.sum(r * r, axis=0), gradient, hessian, scale)
