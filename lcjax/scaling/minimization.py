"""Minimization of the loss of a scaling law's residuals, in batches: starts by variable projection, then descent.

At every start the linear parameters are solved for exactly, by non-negative least squares (variable projection, Golub
& Pereyra, 1973). The best of several hundred starts descend in all coordinates by Levenberg-Marquardt steps, with a
corner of the loss that narrows to its final width.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.kernels.least_squares import Expansion, LeastSquares, least_squares, solve_positive_definite
from lcjax.kernels.sobol import sobol
from lcjax.records import record
from lcjax.scaling.law import Law, bounds, evaluate, terms
from lcjax.scaling.residuals import ResidualLoss

__all__ = ["Problem", "attach_derivative", "descend", "log_residual", "search", "total_loss"]

STARTS, DESCENDING = 256, 24
_WIDENINGS = (1000.0, 100.0, 10.0, 3.0, 1.0)  # of the corner, stage by stage
_STEPS = 80  # of a stage, at most
_SMALL = -12.0  # logarithm of the contribution at which a term starts that the projection leaves out
_RIDGE = 1e-9
_MOST_TERMS = 6

Expand: TypeAlias = Callable[[jax.Array, "Problem"], Expansion]


@record
class Problem:
    """Runs and their weights.

    Attributes:
        variables: variables of the law, `(n, 1)` each.
        loss: observed losses, `(n, 1)` or `(n, b)`.
        weight: weights, `(n, 1)` or `(n, b)`.
        unit: mean size of the losses, `()`.
        widening: factor of the loss's corner, `()`.
    """

    variables: Mapping[str, Float[jax.Array, "n 1"]]
    loss: Float[jax.Array, "n b"]
    weight: Float[jax.Array, "n c"]
    unit: Float[jax.Array, ""]
    widening: Float[jax.Array, ""] | float = 1.0


def log_residual(prediction: jax.Array, loss: jax.Array) -> jax.Array:
    """Return `log(prediction / loss)`; a prediction of 0 or less is taken as the smallest positive number.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(log_residual(jnp.array(2.02), jnp.array(2.0))), 4)
        0.01
    """
    positive = jnp.maximum(prediction, jnp.finfo(prediction.dtype).tiny)
    return jnp.log(positive) - jnp.log(loss)


def _residual(law: Law, is_log: bool, u: tuple[jax.Array, ...], problem: Problem) -> jax.Array:
    prediction = evaluate(law, u, problem.variables, problem.unit)
    return log_residual(prediction, problem.loss) if is_log else prediction - problem.loss


def total_loss(
    law: Law, loss: ResidualLoss, is_log: bool, coordinates: Float[jax.Array, "p *b"], problem: Problem
) -> Float[jax.Array, "*b"]:
    """Return the weighted sum of the losses of the residuals."""
    residual = _residual(law, is_log, tuple(coordinates), problem)
    return jnp.sum(problem.weight * loss(residual, problem.widening).value, axis=0)


@functools.cache
def _expansion(law: Law, loss: ResidualLoss, is_log: bool) -> Expand:
    """Return the second-order expansion of the total loss, the same function for the same arguments."""

    def expand(u: jax.Array, problem: Problem) -> Expansion:
        def column(i: int, v: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
            return jax.jvp(lambda t: _residual(law, is_log, (*v[:i], t, *v[i + 1 :]), problem), (v[i],), (one,))

        one = jnp.ones_like(u[0])
        columns = [column(i, tuple(u)) for i in range(len(u))]
        residual, jacobian = columns[0][0], jnp.stack([tangent for _, tangent in columns])
        # The law's own curvature is left out: it takes half of the time and saves one step in ten.
        value, slope, curvature, majorant = (problem.weight * part for part in loss(residual, problem.widening))
        product = jnp.einsum("inb,jnb->ijb", jacobian * curvature, jacobian)
        return Expansion(
            jnp.sum(value, axis=0), jnp.sum(slope * jacobian, axis=1), product, jnp.sum(majorant * jacobian**2, axis=1)
        )

    return expand


def descend(
    law: Law,
    loss: ResidualLoss,
    is_log: bool,
    start: Float[jax.Array, "p b"],
    problem: Problem,
    box: tuple[Float[jax.Array, "p b"], Float[jax.Array, "p b"]] | None = None,
) -> LeastSquares:
    """Minimize from starts, one for each problem of the batch.

    Args:
        law: the law.
        loss: the loss of the residuals.
        is_log: True for residuals of the logarithm.
        start: coordinates, `(p, b)`.
        problem: runs; losses or weights may differ in the batch.
        box: bounds of the coordinates; the law's if None.

    Returns:
        `LeastSquares` whose `value` is the total loss.
    """
    expand = _expansion(law, loss, is_log)
    low, high = box or tuple(
        jnp.broadcast_to(jnp.asarray(side, start.dtype)[:, None], start.shape) for side in bounds(law)
    )
    widenings = jnp.asarray((1.0,) if loss.smooth else _WIDENINGS, start.dtype)

    def narrow(place: jax.Array, widening: jax.Array) -> tuple[jax.Array, LeastSquares]:
        wide = dataclasses.replace(problem, widening=widening)
        minimum = least_squares(None, place, wide, low, high, steps=_STEPS, expand=expand)
        return jnp.asarray(minimum.parameters), minimum

    stages = jax.lax.scan(narrow, start, widenings)[1]
    minimum: LeastSquares = jax.tree.map(lambda parts: parts[-1], stages)
    return minimum


def attach_derivative(
    law: Law, loss: ResidualLoss, is_log: bool, minimum: Float[jax.Array, " p"], problem: Problem
) -> Float[jax.Array, " p"]:
    """Give a minimum its derivatives in the runs, by the implicit function theorem with the exact second derivative.

    The descent itself has those of its Gauss-Newton steps, which differ by the law's own curvature.
    """
    place = jax.lax.stop_gradient(minimum)

    def total(u: jax.Array) -> jax.Array:
        return jnp.squeeze(total_loss(law, loss, is_log, u[:, None], problem))

    low, high = (jnp.asarray(side, place.dtype) for side in bounds(law))
    free = (place > low) & (place < high)
    curvature = jnp.where(free[:, None] & free, jax.hessian(total)(place), jnp.eye(len(place), dtype=place.dtype))
    step = jnp.linalg.solve(jax.lax.stop_gradient(curvature), jnp.where(free, -jax.grad(total)(place), 0))
    return jnp.asarray(place + step - jax.lax.stop_gradient(step))


def search(law: Law, loss: ResidualLoss, is_log: bool, problem: Problem, key: jax.Array) -> LeastSquares:
    """Minimize from several hundred starts; return the minima of the best of them, `(p, s)`.

    Args:
        law: the law.
        loss: the loss of the residuals.
        is_log: True for residuals of the logarithm.
        problem: one problem: losses and weights `(n, 1)`.
        key: key of the starts.
    """
    dtype = problem.loss.dtype
    free = [i for i, parameter in enumerate(law.parameters) if not parameter.linear]
    ends = np.array([[law.parameters[i].coordinate(end) for end in law.parameters[i].start or ()] for i in free])
    low, high = bounds(law)
    start = jnp.zeros((len(law.parameters), STARTS), dtype)
    if free:
        place = sobol(key, STARTS, len(free), dtype=dtype).T
        ends.sort(axis=1)
        spread = jnp.asarray(ends[:, :1], dtype) + place * jnp.asarray(ends[:, 1:] - ends[:, :1], dtype)
        start = start.at[jnp.asarray(free)].set(spread)
    start = _project(law, is_log, start, problem)
    start = jnp.clip(start, jnp.asarray(low, dtype)[:, None], jnp.asarray(high, dtype)[:, None])
    value = total_loss(law, loss, is_log, start, problem)
    order = jnp.argsort(jnp.where(jnp.isfinite(value), value, jnp.inf))[:DESCENDING]
    return descend(law, loss, is_log, start[:, order], problem)


def _project(law: Law, is_log: bool, start: jax.Array, problem: Problem) -> jax.Array:
    """Solve for the linear parameters at the other coordinates of every start."""
    linear = [i for i, parameter in enumerate(law.parameters) if parameter.linear]
    if not linear:
        return start
    if len(linear) > _MOST_TERMS:
        raise ValueError(f"A law may be linear in at most {_MOST_TERMS} parameters, {law.name} is in {len(linear)}.")
    values, means = terms(law, tuple(start), problem.variables)
    # Log residuals are relative residuals to first order.
    weight = problem.weight / problem.loss**2 if is_log else problem.weight
    shape = (len(problem.loss), start.shape[1])
    columns = problem.unit * jnp.stack([jnp.broadcast_to(v / m, shape) for v, m in zip(values, means, strict=True)])
    matrix = jnp.einsum("inb,jnb,nb->ijb", columns, columns, jnp.broadcast_to(weight, shape))
    right = jnp.sum(columns * weight * problem.loss, axis=1)
    signed = np.array([law.parameters[i].lower < 0 for i in linear])
    size = _non_negative(matrix, right, signed)
    logs = jnp.maximum(jnp.log(jnp.maximum(size, 1e-30)), _SMALL)
    return start.at[jnp.asarray(linear)].set(jnp.where(signed[:, None], size, logs))


def _non_negative(matrix: jax.Array, right: jax.Array, signed: np.ndarray) -> jax.Array:
    """Minimize `x M x / 2 - right x` with `x >= 0` but for signed entries, by all sets of entries that are not 0."""
    count = len(right)
    choices = itertools.product(*[(True,) if free else (False, True) for free in signed])
    masks = jnp.asarray(np.array(list(choices)).T)[:, :, None]  # (k, sets, 1)
    both = masks[:, None] & masks[None, :]
    eye = jnp.eye(count, dtype=right.dtype)[:, :, None, None]
    full = jnp.where(both, matrix[:, :, None] * (1 + _RIDGE * eye), eye)
    wanted = jnp.where(masks, right[:, None], 0)
    shape = (*full.shape[:2], -1)
    x = solve_positive_definite(full.reshape(shape), wanted.reshape(count, -1)).reshape(wanted.shape)
    x = jnp.where(masks, x, 0)
    value = 0.5 * jnp.einsum("isb,ijb,jsb->sb", x, matrix, x) - jnp.sum(right[:, None] * x, axis=0)
    allowed = jnp.all((x >= 0) | jnp.asarray(signed)[:, None, None], axis=0) & jnp.isfinite(value)
    best = jnp.argmin(jnp.where(allowed, value, jnp.inf), axis=0)
    return jnp.take_along_axis(x, best[None, None], axis=1)[:, 0]
