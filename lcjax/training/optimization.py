"""Optimizers with a traced learning rate, and schedules of a run's progress."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import ArrayLike

__all__ = ["adam", "constant", "cosine", "momentum", "nesterov", "sgd"]


def sgd(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Plain stochastic gradient descent."""
    return optax.sgd(learning_rate)


def momentum(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum 0.9."""
    return optax.sgd(learning_rate, momentum=0.9)


def nesterov(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Stochastic gradient descent with Nesterov's momentum 0.9."""
    return optax.sgd(learning_rate, momentum=0.9, nesterov=True)


def adam(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Adam with its published constants (Kingma and Ba, 2015)."""
    return optax.adam(learning_rate)


def constant(progress: Any) -> jax.Array:
    """Factor 1 throughout.

    Examples:
        >>> float(constant(0.5))
        1.0
    """
    return jnp.ones_like(progress)


def cosine(progress: Any) -> jax.Array:
    """Factor `(1 + cos(pi progress)) / 2`: from 1 down to 0 (Loshchilov and Hutter, 2017, Eq. 5).

    Args:
        progress: share of the run's steps already made, in [0, 1].

    Examples:
        >>> [round(float(cosine(p)), 3) for p in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.0]
    """
    return 0.5 * (1 + jnp.cos(jnp.pi * jnp.asarray(progress)))
