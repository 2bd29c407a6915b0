"""What the residuals of fitted curves say: rises, runs, noise without a form, parameters that are not determined."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.records import record

__all__ = ["InOrder", "ill_conditioned", "in_order"]

Array = jax.Array | np.ndarray


@record
class InOrder:
    """What one pass over the sizes of each curve finds, each `(*b,)`.

    Attributes:
        distinct: number of different sizes.
        rise: largest rise of the log error above an earlier one.
        noise: standard deviation of the log error about the line through its neighbours; inf below three sizes.
        correlation: of each residual with the one before it.
    """

    distinct: Int[Array, "*b"]
    rise: Float[Array, "*b"]
    noise: Float[Array, "*b"]
    correlation: Float[Array, "*b"]


def in_order(
    z: Float[Array, "s *b"], y: Float[Array, "s *b"], residual: Float[Array, "s *b"], present: Bool[Array, "s *b"]
) -> InOrder:
    """Pass over the sizes in ascending order, absent ones left out.

    The noise is that of pseudo-residuals (Gasser, Sroka and Jennen-Steinmetz 1986): the deviation of an observation
    from the line through its two neighbours, which a form's misfit does not enter.

    Args:
        z: logarithms of the sizes, ascending on the first axis.
        y: logarithms of the errors.
        residual: residuals of a fit.
        present: which sizes are there.
    """
    zero = jnp.zeros(jnp.shape(z)[1:], jnp.asarray(z).dtype)
    whole = jnp.zeros(zero.shape, jnp.int32)

    def step(carry: Any, point: Any) -> tuple[Any, None]:
        count, distinct, lowest, rise, pseudo, interior, product, square, z1, y1, r1, z2, y2 = carry
        z0, y0, r0, here = point
        wide = z0 - z2
        part = jnp.where(wide > 1e-9, (z1 - z2) / jnp.where(wide > 1e-9, wide, 1), 0.5)
        deviation = y1 - (1 - part) * y2 - part * y0
        middle = here & (count >= 2)
        new = (
            count + 1,
            distinct + ((count == 0) | (z0 - z1 > 1e-9)),
            jnp.minimum(lowest, y0),
            jnp.maximum(rise, y0 - lowest),
            pseudo + jnp.where(middle, deviation**2 / (1 + part**2 + (1 - part) ** 2), 0),
            interior + middle,
            product + jnp.where(count > 0, r0 * r1, 0),
            square + r0 * r0,
            z0,
            y0,
            r0,
            z1,
            y1,
        )
        return tuple(jnp.where(here, a, b) for a, b in zip(new, carry, strict=True)), None

    first = (whole, whole, zero + jnp.inf, zero, zero, whole, zero, zero, *(zero,) * 5)
    last, _ = jax.lax.scan(step, first, (z, y, residual, present))
    _, distinct, _, rise, pseudo, interior, product, square = last[:8]
    noise = jnp.where(interior > 0, jnp.sqrt(pseudo / jnp.maximum(interior, 1)), jnp.inf)
    return InOrder(distinct, rise, noise, product / jnp.maximum(square, jnp.finfo(zero.dtype).tiny))


def ill_conditioned(
    residuals: Callable[[jax.Array], jax.Array], u: Float[Array, "p *b"], free: Bool[Array, "p *b"]
) -> Bool[jax.Array, "*b"]:
    """Whether some free parameter's column of the Jacobian is, within 1e-3, a combination of the others', or next to 0.

    Parameters are logarithms or fractions of the curve, so that a unit of one is worth a unit of another.

    Args:
        residuals: function of the parameters, `(p, *b) -> (s, *b)`.
        u: where.
        free: parameters that are not at a bound.
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
    # Gram-Schmidt: what remains of a column beside the ones before it.
    for i in range(p):
        left = length(columns[i])
        lowest = jnp.where(free[i], jnp.minimum(lowest, left), lowest)
        unit = columns[i] / jnp.where(left > 0, left, 1)
        columns = columns - unit * jnp.sum(unit * columns, axis=1, keepdims=True)
    return lowest < 1e-3
