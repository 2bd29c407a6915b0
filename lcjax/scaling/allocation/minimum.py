"""Minimum of a law over the parameters at a budget: a grid of logarithms, then Newton steps within a bracket."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lcjax.kernels.compilation import jit
from lcjax.scaling.law import Law
from lcjax.typing import Array, Scalar

__all__ = ["Minimum", "optimal_params"]

_GRID = 257
_STEPS = 60  # every second one halves the bracket, so that the last is below rounding even at a kink of the law
_NEAR = 0.01  # logarithm of compute by which differences at kinks are taken
_FLAT = 1000.0  # rounding errors of the loss: at a smaller curvature they move the minimum by 0.1 %
_STATIONARY = 1e-3  # largest Newton step left at a smooth minimum, in the logarithm of the params


class Minimum(NamedTuple):
    """Minimum of a law at budgets of compute.

    Attributes:
        log_params: logarithm of the optimal params.
        loss: the law there.
        exponent: derivative of `log_params` in the logarithm of compute; nan where `inside` is False.
        inside: False where the minimum is at an end of the searched range, or where the loss is flat within rounding.
    """

    log_params: Float[jax.Array, "*b"]
    loss: Float[jax.Array, "*b"]
    exponent: Float[jax.Array, "*b"]
    inside: Bool[jax.Array, "*b"]


@jit(static_argnames="law")
def optimal_params(
    law: Law,
    values: Float[Array, "p *b"],
    log_compute: Float[Array, "*b"],
    low: Float[Array, "*b"],
    high: Float[Array, "*b"],
    *,
    log_flops: Scalar,
    fixed: Mapping[str, Scalar],
) -> Minimum:
    """Minimize a law over params where `flops * params * tokens = compute`.

    The minimum over a grid brackets the global one, and Newton steps, in turn with halvings of the bracket, find it.
    The exponent follows from the implicit function theorem, as does the derivative of the minimum in the arguments. At
    a kink of the law the exponent is a difference, and that derivative is zero.

    Args:
        law: law whose variables are "params", "tokens" and those that are fixed, static.
        values: parameters of the law in its order, `(p, *b)`.
        log_compute: logarithm of the budgets, `(*b,)`.
        low: logarithm of the smallest params that are searched, `(*b,)`.
        high: logarithm of the largest, `(*b,)`.
        log_flops: logarithm of the operations per parameter and token.
        fixed: further variables of the law.

    Returns:
        `Minimum` with fields `(*b,)`.

    Examples:
        >>> import numpy as np
        >>> from lcjax.scaling.laws import chinchilla
        >>> values = jnp.array([1.5, 400.0, -0.35, 400.0, -0.35])  # equal terms: as many tokens as params
        >>> budget = jnp.log(6.0) + 2 * jnp.log(1e9)
        >>> least = optimal_params(
        ...     chinchilla, values, budget, jnp.log(1e6), jnp.log(1e12), log_flops=np.log(6.0), fixed={}
        ... )
        >>> round(float(jnp.exp(least.log_params) / 1e9), 3), round(float(least.exponent), 3)
        (1.0, 0.5)
    """
    per_flop = jnp.asarray(log_flops)

    def loss(p: jax.Array, u: jax.Array, c: jax.Array) -> jax.Array:
        parameters = dict(zip(law.names, p, strict=True))
        return law(parameters, params=jnp.exp(u), tokens=jnp.exp(c - per_flop - u), **fixed) + jnp.zeros_like(u)

    def slope(p: jax.Array, u: jax.Array, c: jax.Array) -> jax.Array:
        return jnp.asarray(jax.jvp(lambda t: loss(p, t, c), (u,), (jnp.ones_like(u),))[1])

    def curvature(p: jax.Array, u: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda t: slope(p, t, c), (u,), (jnp.ones_like(u),))

    values, c = jnp.asarray(values), jnp.asarray(log_compute)
    held, place = jax.lax.stop_gradient((values, c))
    ends = [jax.lax.stop_gradient(jnp.broadcast_to(jnp.asarray(end, c.dtype), c.shape)) for end in (low, high)]
    share = jnp.linspace(0, 1, _GRID, dtype=c.dtype).reshape(-1, *(1,) * c.ndim)
    grid = ends[0] + share * (ends[1] - ends[0])

    def locate(place: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        value = jax.vmap(lambda u: loss(held, u, place))(grid)
        best = jnp.argmin(jnp.where(jnp.isfinite(value), value, jnp.inf), axis=0)

        def pick(row: jax.Array) -> jax.Array:
            return jnp.take_along_axis(grid, jnp.clip(row, 0, _GRID - 1)[None], axis=0)[0]

        def refine(step: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            u, left, right = state
            g, h = curvature(held, u, place)
            left, right = jnp.where(g < 0, u, left), jnp.where(g < 0, right, u)
            newton = u - g / jnp.where(h > 0, h, 1)
            is_good = (h > 0) & (newton > left) & (newton < right) & (step % 2 == 0)
            return jnp.where(is_good, newton, (left + right) / 2), left, right

        u, _, _ = jax.lax.fori_loop(0, _STEPS, refine, (pick(best), pick(best - 1), pick(best + 1)))
        return u, loss(held, u, place), (best > 0) & (best < _GRID - 1)

    near, value, inside = jax.lax.map(locate, jnp.stack([place - _NEAR, place, place + _NEAR]))
    u = near[1]
    g, h = curvature(held, u, place)
    inside = inside[1] & (jnp.maximum(jnp.abs(g), h) > _FLAT * jnp.finfo(c.dtype).eps * jnp.abs(value[1]))
    smooth = inside & (h > 0) & (jnp.abs(g) <= _STATIONARY * h)
    # The last Newton step, whose derivative in the arguments is that of the minimum.
    u = jnp.where(smooth, u - slope(values, u, c) / jnp.where(smooth, h, 1), u)
    _, bend = curvature(values, u, c)
    mixed = jax.jvp(lambda t: slope(values, u, t), (c,), (jnp.ones_like(c),))[1]
    exponent = jnp.where(smooth, -mixed / jnp.where(smooth, bend, 1), (near[2] - near[0]) / (2 * _NEAR))
    return Minimum(u, loss(values, u, c), jnp.where(inside, exponent, jnp.nan), inside)
