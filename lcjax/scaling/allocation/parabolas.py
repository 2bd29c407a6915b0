"""Parabolas through the losses of several budgets, by Huber's loss with one scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lcjax.kernels.compilation import jit
from lcjax.typing import Array

__all__ = ["Parabolas", "fit_parabolas"]

_REWEIGHTINGS = 30
_EFFICIENT, _MAD = 1.345, 1.4826


class Parabolas(NamedTuple):
    """Parabolas fitted to budgets.

    Attributes:
        vertex: place of the minimum or maximum, `(g,)`.
        value: value there, `(g,)`.
        curvature: second derivative, `(g,)`.
        fitted: values at the points, `(g, m)`.
        scale: robust standard deviation of the residuals of all budgets together, `()`.
    """

    vertex: Float[jax.Array, " g"]
    value: Float[jax.Array, " g"]
    curvature: Float[jax.Array, " g"]
    fitted: Float[jax.Array, "g m"]
    scale: Float[jax.Array, ""]


@jit
def fit_parabolas(x: Float[Array, "g m"], y: Float[Array, "g m"], present: Bool[Array, "g m"]) -> Parabolas:
    """Fit one parabola to each budget by Huber's loss, with one scale for all.

    Args:
        x: logarithms of the parameters, `(g, m)`.
        y: losses.
        present: False for the entries that fill the rows; each row has at least four others.

    Examples:
        >>> x = jnp.arange(5.0)[None]
        >>> fit = fit_parabolas(x, 2 + (x - 1.5) ** 2, x > -1)
        >>> round(float(fit.vertex[0]), 3), round(float(fit.curvature[0]), 3)
        (1.5, 2.0)
    """
    x, y, present = jnp.asarray(x), jnp.asarray(y), jnp.asarray(present)
    weight = present.astype(x.dtype)
    count = jnp.sum(weight, axis=1, keepdims=True)
    middle = jnp.sum(weight * x, axis=1, keepdims=True) / count
    width = jnp.sqrt(jnp.sum(weight * (x - middle) ** 2, axis=1, keepdims=True) / count)
    t = jnp.where(present, (x - middle) / width, 0)
    basis = jnp.stack([jnp.ones_like(t), t, t**2], axis=-1)
    base = jnp.sum(weight * y, axis=1, keepdims=True) / count
    target = jnp.where(present, y - base, 0)
    spare = jnp.sum(weight) / jnp.maximum(1, jnp.sum(weight) - 3 * len(x))

    def solve(weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        matrix = jnp.einsum("gm,gmi,gmj->gij", weight, basis, basis)
        right = jnp.einsum("gm,gmi->gi", weight * target, basis)
        row = jnp.linalg.solve(matrix, right[..., None])[..., 0]
        fitted = jnp.einsum("gmi,gi->gm", basis, row)
        size = jnp.where(present, jnp.abs(target - fitted), jnp.nan)
        return row, fitted, _MAD * jnp.nanmedian(size) * jnp.sqrt(spare)

    def reweight(_: jax.Array, state: jax.Array) -> jax.Array:
        _, fitted, scale = solve(state)
        corner = jnp.maximum(_EFFICIENT * scale, jnp.finfo(x.dtype).eps * jnp.max(jnp.abs(y)))
        return weight * corner / jnp.maximum(jnp.abs(target - fitted), corner)

    row, fitted, scale = solve(jax.lax.fori_loop(0, _REWEIGHTINGS, reweight, weight))
    level, slope, bend = row.T
    place = -slope / (2 * bend)
    return Parabolas(
        middle[:, 0] + width[:, 0] * place,
        base[:, 0] + level + slope * place / 2,
        2 * bend / width[:, 0] ** 2,
        base + fitted,
        scale,
    )
