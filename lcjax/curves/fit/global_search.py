"""The global search of a fit: good points of the form's grid, polished, and the best of the minima."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.curves.fit.objective import CurveData, expansion, starts, unpack
from lcjax.curves.fit.residual_losses import Loss
from lcjax.curves.forms import Form
from lcjax.kernels.least_squares import LeastSquares, least_squares

__all__ = ["BLOCK", "at", "disagree", "in_blocks", "search"]

Array = jax.Array | np.ndarray
# Curves a block: its arrays stay in the cache.
BLOCK = 1024
_STEPS = 200


def search(
    form: Form, loss: Loss, data: CurveData, lower: jax.Array, upper: jax.Array, half: jax.Array, penalty: Any
) -> tuple[LeastSquares, LeastSquares]:
    """The minima from every start, each field `(..., k, n)`, and the best of them, `(..., n)`."""
    p, count = lower.shape

    def some(index: jax.Array) -> jax.Array:
        part, low, high, width = at(jax.lax.stop_gradient((data, lower, upper, half)), index)
        return starts(form, part, low, high, width, form.starts)

    first = in_blocks(some, count, BLOCK)
    k = first.shape[1]

    def repeated(tree: Any) -> Any:
        return jax.tree.map(lambda a: jnp.concatenate([a] * k, axis=-1), tree)

    found = least_squares(
        None,
        first.reshape(p, k * count),
        repeated(data),
        *repeated((lower, upper, *penalty)),
        steps=_STEPS,
        expand=expansion(form, loss),
    )
    found = jax.tree.map(lambda a: a.reshape(*a.shape[:-1], k, count), found)
    chosen = jnp.argmin(jnp.where(jnp.isfinite(found.value), found.value, jnp.inf), axis=0)

    def pick(values: jax.Array) -> jax.Array:
        place = jnp.broadcast_to(chosen, (*values.shape[:-2], 1, count))
        return jnp.take_along_axis(values, place, axis=-2)[..., 0, :]

    return found, jax.tree.map(pick, found)


def disagree(form: Form, found: LeastSquares, best: LeastSquares, reference: jax.Array, half: jax.Array) -> jax.Array:
    """Whether two starts ended equally low, but far apart beyond the data."""

    def beyond(u: Array) -> jax.Array:
        offset, log_scale, shape = unpack(form, u, reference)
        return form.log_error(half + jnp.log(4.0), offset, log_scale, shape, reference)

    apart = jnp.abs(beyond(found.parameters) - beyond(best.parameters)) > 0.05
    # Residuals of 1e-4 of the error are as good as none.
    return jnp.any(apart & (found.value <= 1.01 * best.value + 1e-8), axis=0)


def in_blocks(function: Callable[[jax.Array], Any], count: int, size: int) -> Any:
    """`function` of the numbers of some curves, curves on the last axis of what it returns, for all of `count`."""
    if count <= size:
        return function(jnp.arange(count))
    blocks = -(-count // size)
    index = jnp.minimum(jnp.arange(blocks * size), count - 1).reshape(blocks, size)
    out = jax.lax.map(function, index)
    return jax.tree.map(lambda a: jnp.moveaxis(a, 0, -2).reshape(*a.shape[1:-1], blocks * size)[..., :count], out)


def at(tree: Any, index: jax.Array) -> Any:
    """Those of some curves, which lie on the last axis."""
    return jax.tree.map(lambda a: jnp.take(a, index, axis=-1), tree)
