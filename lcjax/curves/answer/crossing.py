"""Sizes at which a curve reaches a target error."""

import jax
from jaxtyping import Float, Num

from lcjax.kernels.compilation import namespace
from lcjax.typing import Array

__all__ = ["HORIZON", "find_bracket", "first_crossing", "largest_rise", "worst_from_here"]

HORIZON = 1e6
"""Largest size at which forecasts search for a target, relative to the largest measured size."""


def first_crossing(
    size: Float[Array, "*#b s"], error: Float[Array, "*b s"], target: Num[Array, "*#b"]
) -> Float[Array, "*b"]:
    """Return the size at which a curve first falls to a target; inf where it never does.

    Args:
        size: grid of sizes, ascending.
        error: error at the grid points, interpolated linearly in logarithms.
        target: error to reach.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(f"{first_crossing(jnp.array([10.0, 1000.0]), jnp.array([0.5, 0.005]), jnp.array(0.05)):.3f}")
        100.000
    """
    xp = namespace(error)
    size = xp.broadcast_to(size, error.shape)
    below = error <= target[..., None]
    first = xp.argmax(below, axis=-1)[..., None]
    before = xp.maximum(first - 1, 0)

    def log_at(values: Array, index: Array) -> Array:
        logs: Array = xp.log(xp.take_along_axis(values, index, axis=-1)[..., 0])
        return logs

    e0, e1, x0, x1 = log_at(error, before), log_at(error, first), log_at(size, before), log_at(size, first)
    part = xp.where(e1 < e0, (xp.log(target) - e0) / xp.where(e1 < e0, e1 - e0, 1.0), 1.0)
    crossing = xp.exp(x0 + xp.clip(part, 0.0, 1.0) * (x1 - x0))
    reached: Array = xp.where(xp.any(below, axis=-1), crossing, xp.inf)
    return reached


def find_bracket(
    size: Float[Array, "*b n"], error: Float[Array, "*b n"], target: Num[Array, "*#b"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Return the sizes between which the measured errors cross a target, from the first crossing to the last.

    Args:
        size: measured sizes, in any order; nan where absent.
        error: measured errors.
        target: error to reach.

    Returns:
        The largest size before the first one whose error is at or below the target, and the smallest size from which on
        all errors are at or below it. The former is the smallest size if its error is at or below the target; the
        latter is inf if the last error is above the target.

    Examples:
        >>> import numpy as np
        >>> size, error = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([0.9, 0.5, 0.2, 0.4, 0.1])
        >>> print(*find_bracket(size, error, np.array(0.3)))
        2.0 16.0
    """
    xp = namespace(size, error)
    present = ~(xp.isnan(size) | xp.isnan(error))
    below = present & (error <= target[..., None])
    above = present & ~below

    def least(where: Array) -> Array:
        smallest: Array = xp.asarray(xp.min(xp.where(where, size, xp.inf), axis=-1))
        return smallest

    def most(where: Array) -> Array:
        largest: Array = xp.asarray(xp.max(xp.where(where, size, -xp.inf), axis=-1))
        return largest

    before = most(present & (size < least(below)[..., None]))
    after = least(present & (size > most(above)[..., None]))
    return xp.asarray(xp.maximum(before, least(present))), after


def worst_from_here(
    size: Float[Array, "*#b s"], error: Float[Array, "*b s"], largest: Float[Array, "*#b"]
) -> Float[Array, "*b s"]:
    """Return the largest error between each size and `largest`, so that the first crossing becomes the lasting one.

    Beyond `largest` the errors are unchanged.

    Args:
        size: grid of sizes, ascending.
        error: error at the grid points.
        largest: largest measured size.

    Examples:
        >>> import numpy as np
        >>> error = np.array([0.5, 0.2, 0.3, 0.1])
        >>> print(worst_from_here(np.array([1.0, 2.0, 4.0, 8.0]), error, np.array(4.0)))
        [0.5 0.3 0.3 0.1]
    """
    xp = namespace(error)
    inside = xp.broadcast_to(size <= largest[..., None] * (1 + 1e-5), error.shape)
    worst: Array = xp.where(inside, _running_maximum(xp.where(inside, error, 0.0)), error)
    return worst


def largest_rise(error: Float[Array, "*b s"]) -> Float[Array, "*b"]:
    """Return the largest `log(error / error at a smaller size)` of a curve; 0 if it never rises.

    Examples:
        >>> import numpy as np
        >>> print(f"{largest_rise(np.array([0.5, 0.2, 0.4, 0.1])):.4f}")
        0.6931
    """
    xp = namespace(error)
    rise: Array = xp.asarray(xp.max(xp.log(_running_maximum(error)) - xp.log(error), axis=-1))
    return rise


def _running_maximum(values: Float[Array, "*b s"]) -> Float[Array, "*b s"]:
    """Return the largest value from each position to the end."""
    if isinstance(values, jax.Array):
        return jax.lax.cummax(values, axis=values.ndim - 1, reverse=True)
    import numpy as np

    maximum: Array = np.maximum.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return maximum
