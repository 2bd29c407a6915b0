"""Weights of sizes from the repeats measured there."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from lcjax.curves.fit.exponent_prior import NOISE

__all__ = ["replicate_weights"]


def replicate_weights(
    size: Float[jax.Array, "s n"],
    error: Float[jax.Array, "s n"],
    replicates: Float[jax.Array, "r s n"],
    present: Bool[jax.Array, "s n"],
) -> Float[jax.Array, "s n"]:
    """Return the inverse relative variance of the mean of the repeats, smoothed over sizes as `v0 + v1 / size`.

    For a curve without repeats it is that of the typical noise.
    """
    here = ~jnp.isnan(replicates)
    count = jnp.sum(here, axis=0)
    mean = jnp.sum(jnp.where(here, replicates, 0), axis=0) / jnp.maximum(count, 1)
    squares = jnp.sum(jnp.where(here, (replicates - mean) ** 2, 0), axis=0)
    known = present & (count > 1) & (error > 0)
    variance = jnp.where(known, squares / jnp.maximum(count - 1, 1) / jnp.where(known, error, 1) ** 2, 0)
    smallest = jnp.min(jnp.where(present, size, jnp.inf), axis=0)
    inverse = jnp.where(present, smallest / jnp.where(present, size, 1), 0)
    # Least squares with non-negative v0 and v1, weighted by degrees of freedom.
    degrees = jnp.where(known, count - 1, 0)
    s0, s1, s2 = (jnp.sum(degrees * inverse**k, axis=0) for k in (0, 1, 2))
    t0, t1 = jnp.sum(degrees * variance, axis=0), jnp.sum(degrees * variance * inverse, axis=0)
    determinant = s0 * s2 - s1**2
    v1 = jnp.where(determinant > 1e-12 * s0 * s2, (s0 * t1 - s1 * t0) / jnp.where(determinant > 0, determinant, 1), 0)
    v0 = (t0 - v1 * s1) / jnp.maximum(s0, 1)
    v1 = jnp.where(v0 < 0, t1 / jnp.where(s2 > 0, s2, 1), v1)
    v0 = jnp.where(v1 < 0, t0 / jnp.maximum(s0, 1), v0)
    v0, v1 = jnp.maximum(v0, 0), jnp.maximum(v1, 0)
    # No form is exact: a tenth of the typical noise is added, so that one size with lucky repeats cannot dominate.
    smooth = (v0 + v1 * inverse) / jnp.maximum(count, 1) + (0.1 * NOISE) ** 2
    return jnp.where(jnp.sum(degrees, axis=0) > 0, 1 / smooth, 1 / NOISE**2)
