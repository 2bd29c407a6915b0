"""Minimum-norm solutions of under-determined linear systems, and gradient descent towards them."""

from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.kernels.arguments import (
    Nested,
    as_count,
    as_floating,
    as_real,
    check_finite,
    check_sizes,
    concrete,
    power_of_two_above,
)
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, KeyArray, Scalar

__all__ = ["Descent", "MinimumNorm", "gradient_descent", "minimum_norm"]

_HIGHEST = jax.lax.Precision.HIGHEST


@record
class MinimumNorm:
    """The interpolating linear model of least norm.

    Attributes:
        weights: `(d,)` or `(d, c)`, like the targets.
        norm: Euclidean norm of all weights, `()`.
        residual: largest `|X w - y|`, `()`.
        full_rank: True if the rows are numerically independent, `()`; otherwise the other fields are meaningless.
    """

    weights: Float[Array, "d *c"]
    norm: Float[Array, ""]
    residual: Float[Array, ""]
    full_rank: Bool[Array, ""]

    def predict(self, features: Num[Array, "m d"] | Nested) -> Float[jax.Array, "m *c"]:
        """Return the outputs `X w`."""
        return jnp.matmul(as_floating(features, "features"), self.weights, precision=_HIGHEST)


def minimum_norm(
    features: Num[Array, "n d"] | Nested, targets: Num[Array, "_ *c"] | Nested, *, gram: bool = False
) -> MinimumNorm:
    """Solve `X w = y` with the smallest norm of w.

        primal: X^T = Q R, w = Q R^(-T) y        Gram: w = X^T (X X^T)^(-1) y

    Zhang et al. (2017), section 5. The Gram form needs n x n numbers beside X and squares the condition number; the
    primal form does not. Raw images often have rank below d (constant pixels), and no linear model interpolates more
    images than pixels; a kernel does, see `kernel_interpolation`.

    Args:
        features: X, n rows of d numbers, n at most d, in any unit; the solution has their floating dtype.
        targets: y, one number or c numbers per row, in any unit.
        gram: use the Gram form.

    Returns:
        `MinimumNorm`, with weights `(d,)` or `(d, c)` like the targets, its norm and its largest residual.

    Raises:
        ValueError: there are no rows or more rows than columns, the targets have another number of rows, or the rows
            are linearly dependent in this dtype, so that the Gram matrix is singular, or not finite. The last two are
            not checked for traced values: see `full_rank`.

    Examples:
        >>> import jax.numpy as jnp
        >>> solution = minimum_norm(jnp.array([[3.0, 4.0]]), jnp.array([10.0]))
        >>> print(solution.weights, solution.norm)
        [1.2 1.6] 2.0
    """
    x, y = as_floating(features, "features"), as_real(targets, "targets")
    if x.ndim != 2 or x.dtype.itemsize < 4:
        raise ValueError(f"features must be (n, d) in float32 or float64, got shape {x.shape} in {x.dtype}.")
    check_sizes("features", x)
    n, d = x.shape
    if n == 0 or n > d:
        raise ValueError(
            f"A system of {n} equations in {d} unknowns is not under-determined: its {n} x {n} Gram matrix has rank "
            f"{min(n, d)} at most. Use at most {d} rows, or a kernel (`kernel_interpolation`)."
        )
    if y.shape[:1] != (n,):
        raise ValueError(f"targets must have one row for each of {n} feature rows, got shape {y.shape}.")
    solution = _minimum_norm(x, jnp.asarray(y, x.dtype), gram=gram)
    if concrete(solution.full_rank) and not solution.full_rank:
        check_finite("features", x)
        check_finite("targets", y)
        raise ValueError(
            f"The Gram matrix of these {n} rows is singular in {solution.weights.dtype}: some row is a combination of "
            "others. Drop repeated rows, or enable x64 if they are merely close."
        )
    return solution


@jit(static_argnames="gram")
def _minimum_norm(features: Float[jax.Array, "n d"], targets: Num[jax.Array, "n *c"], *, gram: bool) -> MinimumNorm:
    n = features.shape[0]
    y = targets.astype(features.dtype).reshape(n, -1)
    unit, scale = power_of_two_above(features), power_of_two_above(y)
    x, y = features / unit, y / scale  # exact, and squares of either neither vanish nor overflow
    epsilon = np.finfo(features.dtype).eps
    if gram:
        product = jnp.matmul(x, x.T, precision=_HIGHEST)
        factor = jnp.linalg.cholesky(product)
        pivots = jnp.diagonal(factor) ** 2
        full_rank = jnp.min(pivots) > n * epsilon * jnp.max(jnp.diagonal(product))
        dual = jax.scipy.linalg.cho_solve((factor, True), y)
        weights = jnp.matmul(x.T, dual, precision=_HIGHEST)
    else:
        basis, triangle = jnp.linalg.qr(x.T)
        pivots = jnp.abs(jnp.diagonal(triangle))
        full_rank = jnp.min(pivots) > n * epsilon * jnp.max(pivots)
        dual = jax.scipy.linalg.solve_triangular(triangle, y, trans=1)
        weights = jnp.matmul(basis, dual, precision=_HIGHEST)
    residual = jnp.max(jnp.abs(jnp.matmul(x, weights, precision=_HIGHEST) - y)) * scale
    size = power_of_two_above(weights)
    norm = jnp.linalg.norm((weights / size).reshape(-1)) * size * scale / unit
    weights = (weights * scale / unit).reshape(features.shape[1:] + targets.shape[1:])
    return MinimumNorm(weights, norm, residual, full_rank & jnp.isfinite(residual))


@record
class Descent:
    """Gradient descent on a linear system, from zero.

    Attributes:
        step: step of each record, `(t,)`.
        distance: of the weights from the minimum-norm solution, relative to its norm, `(t,)`; absolute where that is 0.
        outside: norm of the weights' component outside the row space, relative to that of the solution, `(t,)`.
        loss: half the mean squared residual, `(t,)`.
        weights: at the end, `(d,)`.
    """

    step: Int[Array, " t"]
    distance: Float[Array, " t"]
    outside: Float[Array, " t"]
    loss: Float[Array, " t"]
    weights: Float[Array, " d"]


def gradient_descent(
    key: KeyArray,
    features: Num[Array, "n d"] | Nested,
    targets: Num[Array, " n"] | Nested,
    *,
    steps: SupportsIndex,
    batch: SupportsIndex | None = None,
    learning_rate: Scalar | None = None,
    records: SupportsIndex = 50,
) -> Descent:
    """Minimize `1/2 mean (X w - y)^2` from zero, recording the distance from the minimum-norm solution.

    Every gradient is a combination of rows of X, so that the weights never leave the row space, which contains no other
    solution than that of minimum norm: Zhang et al. (2017), section 5. On a system that can be interpolated, SGD with a
    constant rate converges to it too, because its noise vanishes with the residual.

    Args:
        key: typed key of the minibatches.
        features: X, n rows of d numbers, n at most d.
        targets: y.
        steps: number of steps, at least `records`.
        batch: number of rows per step, drawn with replacement; all rows by default.
        learning_rate: by default the reciprocal of the largest eigenvalue of the Hessian; for minibatches of b rows
            `b / (largest squared row + (b - 1) * that eigenvalue)`.
        records: number of records, evenly spaced.

    Raises:
        ValueError: as for `minimum_norm`, or a number of steps, rows or records is not positive.

    Examples:
        >>> import jax
        >>> X, y = jax.random.normal(jax.random.key(0), (5, 20)), jax.random.normal(jax.random.key(1), (5,))
        >>> path = gradient_descent(jax.random.key(2), X, y, steps=500)
        >>> print(path.distance[-1] < 1e-3, path.outside.max() < 1e-5)
        True True
    """
    count = as_count(steps, "steps")
    parts, rows = as_count(records, "records", 1, count), None if batch is None else as_count(batch, "batch")
    x, y = as_floating(features, "features"), as_real(targets, "targets")
    if y.ndim != 1:
        raise ValueError(f"targets must be one number for each row of the features, got shape {y.shape}.")
    if learning_rate is not None and concrete(learning_rate) and not np.all(np.asarray(learning_rate) > 0):
        raise ValueError(f"learning_rate must be positive, got {learning_rate}.")
    solution = minimum_norm(x, y)
    return _descend(key, x, jnp.asarray(y, x.dtype), solution.weights, learning_rate, count, rows, parts)


@jit(static_argnames=("steps", "batch", "records"))
def _descend(
    key: KeyArray,
    features: Float[jax.Array, "n d"],
    targets: Float[jax.Array, " n"],
    solution: Float[Array, " d"],
    learning_rate: Scalar | None,
    steps: int,
    batch: int | None,
    records: int,
) -> Descent:
    n = features.shape[0]
    basis, _ = jnp.linalg.qr(features.T)
    length = jnp.linalg.norm(solution)
    length = jnp.where(length > 0, length, 1)
    if learning_rate is None:
        largest = jnp.linalg.norm(features, ord=2) ** 2
        if batch is None:
            learning_rate = n / largest
        else:  # b / (largest squared row + (b - 1) / n * largest eigenvalue): Ma, Bassily and Belkin (2018), Theorem 1
            learning_rate = batch / (jnp.max(jnp.sum(features**2, axis=1)) + (batch - 1) * largest / n)
    rate = jnp.asarray(learning_rate)

    def step(number: Int[Array, ""], weights: Float[jax.Array, " d"]) -> Float[jax.Array, " d"]:
        rows, wanted = features, targets
        if batch is not None:
            sample = jax.random.randint(jax.random.fold_in(key, number), (batch,), 0, n)
            rows, wanted = features[sample], targets[sample]
        residual = jnp.matmul(rows, weights, precision=_HIGHEST) - wanted
        return weights - rate * jnp.matmul(residual, rows, precision=_HIGHEST) / rows.shape[0]

    def stretch(
        weights: Float[jax.Array, " d"], ends: Int[jax.Array, "2"]
    ) -> tuple[Float[jax.Array, " d"], tuple[jax.Array, jax.Array, jax.Array]]:
        weights = jax.lax.fori_loop(ends[0], ends[1], step, weights)
        inside = jnp.matmul(basis, jnp.matmul(weights, basis, precision=_HIGHEST), precision=_HIGHEST)
        residual = jnp.matmul(features, weights, precision=_HIGHEST) - targets
        distance, outside = (jnp.linalg.norm(part) / length for part in (weights - solution, weights - inside))
        return weights, (distance, outside, jnp.mean(residual**2) / 2)

    ends = jnp.round(jnp.linspace(0, steps, records + 1)).astype(jnp.int32)
    pairs = jnp.stack([ends[:-1], ends[1:]], axis=1)
    weights, (distance, outside, loss) = jax.lax.scan(stretch, jnp.zeros_like(solution), pairs)
    return Descent(ends[1:], distance, outside, loss, weights)
