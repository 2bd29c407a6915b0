"""Weights of sizes from the repeats measured at them."""

import jax
import jax.numpy as jnp

from lcjax.curves.fit.exponent_prior import NOISE

__all__ = ["repeat_weights"]


def repeat_weights(size: jax.Array, error: jax.Array, replicates: jax.Array, present: jax.Array) -> jax.Array:
    """Inverse relative variance of the mean at each size: the repeats' variance smoothed as `v0 + v1 / size`."""
    here = ~jnp.isnan(replicates)
    count = jnp.sum(here, axis=0)
    mean = jnp.sum(jnp.where(here, replicates, 0), axis=0) / jnp.maximum(count, 1)
    squares = jnp.sum(jnp.where(here, (replicates - mean) ** 2, 0), axis=0)
    known = present & (count > 1) & (error > 0)
    variance = jnp.where(known, squares / jnp.maximum(count - 1, 1) / jnp.where(known, error, 1) ** 2, 0)
    smallest = jnp.min(jnp.where(present, size, jnp.inf), axis=0)
    inverse = jnp.where(present, smallest / jnp.where(present, size, 1), 0)
    trust = jnp.where(known, count - 1, 0)
    s0, s1, s2 = (jnp.sum(trust * inverse**k, axis=0) for k in (0, 1, 2))
    t0, t1 = jnp.sum(trust * variance, axis=0), jnp.sum(trust * variance * inverse, axis=0)
    determinant = s0 * s2 - s1**2
    v1 = jnp.where(determinant > 1e-12 * s0 * s2, (s0 * t1 - s1 * t0) / jnp.where(determinant > 0, determinant, 1), 0)
    v0 = (t0 - v1 * s1) / jnp.maximum(s0, 1)
    v1 = jnp.where(v0 < 0, t1 / jnp.where(s2 > 0, s2, 1), v1)
    v0 = jnp.where(v1 < 0, t0 / jnp.maximum(s0, 1), v0)
    v0, v1 = jnp.maximum(v0, 0), jnp.maximum(v1, 0)
    # A form is never exact: a hundredth of the noise prior keeps a lucky size from ruling the fit.
    smooth = (v0 + v1 * inverse) / jnp.maximum(count, 1) + (0.1 * NOISE) ** 2
    return jnp.where(jnp.sum(trust, axis=0) > 0, 1 / smooth, 1.0)
