"""Optimizers beside those of Optax, with a traced learning rate, and schedules of a run's progress."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import ArrayLike

__all__ = ["InverseDecay", "StepDecay", "constant", "cosine", "momentum", "nesterov"]

SLACK = 1e-4  # of a period: a rounded progress must not keep a rate for one step too long


def momentum(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Stochastic gradient descent with momentum 0.9."""
    return optax.sgd(learning_rate, momentum=0.9)


def nesterov(learning_rate: ArrayLike) -> optax.GradientTransformation:
    """Stochastic gradient descent with Nesterov's momentum 0.9."""
    return optax.sgd(learning_rate, momentum=0.9, nesterov=True)


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


@dataclasses.dataclass(frozen=True)
class StepDecay:
    """A factor at the end of each of so many equal parts of a run: `factor ** floor(periods * progress)`.

    Attributes:
        factor: by which the rate falls.
        periods: parts of a run; as many as its epochs for a factor an epoch (Zhang et al., 2017: 0.95).

    Examples:
        >>> schedule = StepDecay(0.1, 3)
        >>> [round(float(schedule(p)), 3) for p in (0.0, 0.33, 1 / 3, 0.7)]
        [1.0, 1.0, 0.1, 0.01]
    """

    factor: float | int
    periods: float | int

    def __call__(self, progress: Any) -> jax.Array:
        """The factor at a share of the run's steps already made."""
        return self.factor ** jnp.floor(self.periods * jnp.asarray(progress) + SLACK)


@dataclasses.dataclass(frozen=True)
class InverseDecay:
    """The rate divided by the number of the current part of a run: `1 / (1 + floor(periods * progress))`.

    Attributes:
        periods: parts of a run; as many as its epochs for a rate that falls as one over the epoch (Sharma et al.).

    Examples:
        >>> [round(float(InverseDecay(4)(p)), 3) for p in (0.0, 0.25, 0.99)]
        [1.0, 0.5, 0.25]
    """

    periods: float | int

    def __call__(self, progress: Any) -> jax.Array:
        """The factor at a share of the run's steps already made."""
        return 1 / (1 + jnp.floor(self.periods * jnp.asarray(progress) + SLACK))
