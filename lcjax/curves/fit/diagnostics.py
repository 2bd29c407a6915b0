"""Diagnostics of fitted curves from their residuals: rises, noise, serial correlation, undetermined parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.records import record

__all__ = ["ResidualStatistics", "is_ill_conditioned", "residual_statistics"]


@record
class ResidualStatistics:
    """Statistics of curves and their residuals in the order of the sizes."""

    distinct: Int[jax.Array, "*b"]  # number of distinct sizes
    rise: Float[jax.Array, "*b"]  # largest rise of the log error above an earlier one
    noise: Float[jax.Array, "*b"]  # deviation of the log error from the line through its neighbors; inf below 3 sizes
    correlation: Float[jax.Array, "*b"]  # of each residual with the preceding one


def residual_statistics(
    z: Float[jax.Array, "s *b"],
    y: Float[jax.Array, "s *b"],
    residual: Float[jax.Array, "s *b"],
    present: Bool[jax.Array, "s *b"],
) -> ResidualStatistics:
    """Compute statistics of log sizes `z`, ascending along the first axis, log errors `y` and residuals of a fit.

    The noise is the root mean square of pseudo-residuals (Gasser et al., 1986): the deviation of an observation from
    the line through its two neighbors, which does not depend on any form.
    """
    zero = jnp.zeros(z.shape[1:], z.dtype)
    whole = jnp.zeros(zero.shape, jnp.int32)

    def step(carry: tuple[jax.Array, ...], point: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], None]:
        count, distinct, lowest, rise, pseudo, interior, product, square, z1, y1, r1, z2, y2 = carry
        z0, y0, r0, here = point
        span = z0 - z2
        part = jnp.where(span > 1e-9, (z1 - z2) / jnp.where(span > 1e-9, span, 1), 0.5)
        deviation = y1 - (1 - part) * y2 - part * y0
        has_two = here & (count >= 2)
        new = (
            count + 1,
            distinct + ((count == 0) | (z0 - z1 > 1e-9)),
            jnp.minimum(lowest, y0),
            jnp.maximum(rise, y0 - lowest),
            pseudo + jnp.where(has_two, deviation**2 / (1 + part**2 + (1 - part) ** 2), 0),
            interior + has_two,
            product + jnp.where(count > 0, r0 * r1, 0),
            square + r0 * r0,
            *(z0, y0, r0, z1, y1),
        )
        return tuple(jnp.where(here, a, b) for a, b in zip(new, carry, strict=True)), None

    first: tuple[jax.Array, ...] = (whole, whole, zero + jnp.inf, zero, zero, whole, zero, zero, *(zero,) * 5)
    points: tuple[jax.Array, ...] = (z, y, residual, present)
    last, _ = jax.lax.scan(step, first, points)
    _, distinct, _, rise, pseudo, interior, product, square = last[:8]
    noise = jnp.where(interior > 0, jnp.sqrt(pseudo / jnp.maximum(interior, 1)), jnp.inf)
    return ResidualStatistics(distinct, rise, noise, product / jnp.maximum(square, np.finfo(zero.dtype).tiny))


def is_ill_conditioned(
    residuals: Callable[[jax.Array], jax.Array], u: Float[jax.Array, "p *b"], free: Bool[jax.Array, "p *b"]
) -> Bool[jax.Array, "*b"]:
    """Return True where a parameter that is free, not at a bound, is not determined by the curve.

    Its column of the Jacobian of `residuals`, `(p, *b) -> (s, *b)`, at `u` is then negligible or, within 1e-3, a linear
    combination of the others. Parameters are logarithms or fractions of the curve, so that their units are comparable.
    """
    _, push = jax.linearize(residuals, u)
    p = u.shape[0]
    columns = jnp.stack([push(jnp.zeros_like(u).at[i].set(1.0)) for i in range(p)])

    def length(column: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum(column**2, axis=-1 - len(u.shape[1:])))

    norm = length(columns)
    silent = jnp.any(free & (norm < 1e-6 * jnp.max(norm, axis=0)), axis=0)
    lowest = jnp.where(silent, 0.0, jnp.ones(u.shape[1:], u.dtype))
    columns = jnp.where(free[:, None], columns / jnp.where(norm > 0, norm, 1)[:, None], 0)
    # Gram-Schmidt: the length of a column's component orthogonal to the preceding ones.
    for i in range(p):
        orthogonal = length(columns[i])
        lowest = jnp.where(free[i], jnp.minimum(lowest, orthogonal), lowest)
        unit = columns[i] / jnp.where(orthogonal > 0, orthogonal, 1)
        columns = columns - unit * jnp.sum(unit * columns, axis=1, keepdims=True)
    return lowest < 1e-3
