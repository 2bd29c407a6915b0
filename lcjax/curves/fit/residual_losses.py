"""Residual of a fit at one size, as a function of the logarithms of prediction and error."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

__all__ = ["Loss", "absolute", "huber", "relative"]

Loss: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""Elementwise function of the log prediction and the log error; a fit minimizes the sum of its squares."""


def relative(log_prediction: jax.Array, log_error: jax.Array) -> jax.Array:
    """Return the log residual `log(prediction) - log(error)`: equal relative errors have equal weight at every level.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(relative(jnp.log(0.22), jnp.log(0.2))), 4)
        0.0953
    """
    return log_prediction - log_error


def absolute(log_prediction: jax.Array, log_error: jax.Array) -> jax.Array:
    """Subtract the error from the prediction, in units of the curve's geometric mean error.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(absolute(jnp.log(1.1), jnp.log(1.0))), 4)
        0.1
    """
    return jnp.exp(log_prediction) - jnp.exp(log_error)


def huber(log_prediction: jax.Array, log_error: jax.Array) -> jax.Array:
    """Reduce the influence of outliers: the square is Huber's function of `relative` with its corner at 0.1.

    Examples:
        >>> import jax.numpy as jnp
        >>> [round(float(huber(jnp.array(r), jnp.array(0.0))), 4) for r in (0.05, 0.5)]
        [0.05, 0.3]
    """
    r, corner = log_prediction - log_error, 0.1
    size = jnp.abs(r)
    outside = size > corner
    # The unused argument of the root is kept positive, because its derivative would be nan otherwise.
    root = jnp.sqrt(jnp.where(outside, 2 * corner * size - corner**2, 1.0))
    return jnp.where(outside, jnp.sign(r) * root, r)
