"""Global search of a fit: the best points of the form's grid, each minimized, and the best of the minima."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from lcjax.curves.fit.exponent_prior import Penalty
from lcjax.curves.fit.objective import CurveData, expansion, starts, unpack
from lcjax.curves.fit.residual_losses import Loss
from lcjax.curves.forms import Form
from lcjax.kernels.least_squares import LeastSquares, least_squares

__all__ = ["BLOCK", "map_blocks", "search", "starts_disagree", "take_curves", "tile_curves"]

T = TypeVar("T")
BLOCK = 1024
"""Number of curves whose arrays fit into the processor's cache."""
_STEPS = 200


def search(
    form: Form,
    loss: Loss,
    data: CurveData,
    lower: Float[jax.Array, "p n"],
    upper: Float[jax.Array, "p n"],
    half: Float[jax.Array, " n"],
    penalty: Penalty,
) -> tuple[LeastSquares, LeastSquares]:
    """Return the minima reached from all starts, fields `(..., k, n)`, and the best of them, `(..., n)`."""
    p, count = lower.shape

    def grid_points(index: Int[jax.Array, " m"]) -> Float[jax.Array, "p k m"]:
        block = take_curves(jax.lax.stop_gradient((data, lower, upper, half)), index)
        return starts(form, *block, form.starts)

    first = map_blocks(grid_points, count, BLOCK)
    k = first.shape[1]
    minima: LeastSquares = least_squares(
        None,
        first.reshape(p, k * count),
        tile_curves(data, k),
        *tile_curves((lower, upper, *penalty), k),
        steps=_STEPS,
        expand=expansion(form, loss),
    )
    minima = jax.tree.map(lambda a: a.reshape(*a.shape[:-1], k, count), minima)
    choice = jnp.argmin(jnp.where(jnp.isfinite(minima.value), minima.value, jnp.inf), axis=0)

    def select(values: jax.Array) -> jax.Array:
        index = jnp.broadcast_to(choice, (*values.shape[:-2], 1, count))
        return jnp.take_along_axis(values, index, axis=-2)[..., 0, :]

    return minima, jax.tree.map(select, minima)


def starts_disagree(
    form: Form,
    minima: LeastSquares,
    best: LeastSquares,
    reference: Float[jax.Array, " n"],
    half: Float[jax.Array, " n"],
) -> Bool[jax.Array, " n"]:
    """Return True where two optima fit equally well but extrapolate differently."""

    def log_error_beyond(u: jax.Array) -> jax.Array:
        offset, log_scale, shape = unpack(form, u, reference)
        return form.log_error(half + jnp.log(4.0), offset, log_scale, shape, reference)

    minima_beyond, best_beyond = (log_error_beyond(jnp.asarray(fit.parameters)) for fit in (minima, best))
    apart = jnp.abs(minima_beyond - best_beyond) > 0.05
    # Residuals of 1e-4 of the error are negligible.
    return jnp.any(apart & (minima.value <= 1.01 * best.value + 1e-8), axis=0)


def map_blocks(function: Callable[[Int[jax.Array, " m"]], T], count: int, size: int) -> T:
    """Apply a function of curve indices to `count` curves, `size` at a time; curves lie on the last axis of results."""
    if count <= size:
        return function(jnp.arange(count))
    blocks = -(-count // size)
    index = jnp.minimum(jnp.arange(blocks * size), count - 1).reshape(blocks, size)
    out: T = jax.tree.map(
        lambda a: jnp.moveaxis(a, 0, -2).reshape(*a.shape[1:-1], blocks * size)[..., :count],
        jax.lax.map(function, index),
    )
    return out


def take_curves(tree: T, index: Int[jax.Array, " m"]) -> T:
    """Select curves, which lie on the last axis of every array."""
    selection: T = jax.tree.map(lambda a: jnp.take(a, index, axis=-1), tree)
    return selection


def tile_curves(tree: T, times: int) -> T:
    """Repeat all curves `times` times along the last axis."""
    tiled: T = jax.tree.map(lambda a: jnp.concatenate([a] * times, axis=-1), tree)
    return tiled
