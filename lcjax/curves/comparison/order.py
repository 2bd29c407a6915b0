"""Probabilities of the order of several curves, from joint draws of their errors."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.curves.forecast.batching import bucket_length
from lcjax.kernels.compilation import jit_lean
from lcjax.typing import Array

__all__ = ["best_probability", "order_probability"]


def order_probability(errors: Float[Array, "c n s"]) -> Float[np.ndarray, "c c s"]:
    """Return the probability that the error of each curve (row) is below that of each other one (column).

    Equal errors count a half. With n draws, no probability is below 1 / (2 n + 2).

    Args:
        errors: errors of c curves in n joint draws at s sizes.

    Examples:
        >>> errors = np.array([[[0.1], [0.2], [0.3]], [[0.2], [0.2], [0.2]]])
        >>> order_probability(errors)[..., 0].tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    count, sizes = errors.shape[1:]
    share = np.asarray(_order(_pad(errors)), float)[..., :sizes]
    return np.asarray((share * count + 0.5) / (count + 1))


def best_probability(errors: Float[Array, "c n s"]) -> Float[np.ndarray, "c s"]:
    """Return the probability that each curve has the smallest error; curves of equal errors share it.

    Args:
        errors: errors of c curves in n joint draws at s sizes.

    Examples:
        >>> errors = np.array([[[0.1], [0.2]], [[0.2], [0.2]]])
        >>> best_probability(errors)[:, 0].tolist()
        [0.75, 0.25]
    """
    return np.asarray(_best(_pad(errors)), float)[:, : errors.shape[2]]


def _pad(errors: Float[Array, "c n s"]) -> Float[jax.Array, "c n m"]:
    """Repeat the last size up to one of a few numbers of sizes, so that few programs are compiled."""
    count = errors.shape[2]
    return jnp.asarray(np.pad(errors, ((0, 0), (0, 0), (0, bucket_length(count, least=4) - count)), mode="edge"))


@jit_lean()
def _order(errors: Float[jax.Array, "c n s"]) -> Float[jax.Array, "c c s"]:
    def row(one: Float[jax.Array, "n s"]) -> Float[jax.Array, "c s"]:
        below = jnp.where(one < errors, 1.0, jnp.where(one == errors, 0.5, 0.0)).astype(errors.dtype)
        return jnp.mean(below, axis=1)

    share: jax.Array = jax.lax.map(row, errors)
    return share


@jit_lean()
def _best(errors: Float[jax.Array, "c n s"]) -> Float[jax.Array, "c s"]:
    smallest = (errors == jnp.min(errors, axis=0)).astype(errors.dtype)
    return jnp.mean(smallest / jnp.sum(smallest, axis=0), axis=1)
