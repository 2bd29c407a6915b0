"""Optimizers in addition to those of Optax, with a traced learning rate, and schedules over the progress of a run."""

import dataclasses
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from lcjax.typing import Array, ArrayTree, Scalar

__all__ = ["InverseDecay", "StepDecay", "constant", "cosine", "momentum", "nesterov"]

SLACK = 1e-4  # of a period, so that a rounded progress does not keep a rate for one step too long

Fraction: TypeAlias = Float[Array, "*batch"] | float


def momentum(learning_rate: Scalar) -> optax.GradientTransformation:
    """Return stochastic gradient descent with momentum 0.9.

    Examples:
        >>> momentum(0.1).init({"bias": jnp.zeros(2)})[0].trace
        {'bias': Array([0., 0.], dtype=float32)}
    """
    return optax.sgd(learning_rate, momentum=0.9)


def nesterov(learning_rate: Scalar) -> optax.GradientTransformation:
    """Return stochastic gradient descent with Nesterov's momentum 0.9.

    Examples:
        >>> optimizer, params = nesterov(0.1), {"bias": jnp.zeros(1)}
        >>> optimizer.update({"bias": jnp.ones(1)}, optimizer.init(params))[0]
        {'bias': Array([-0.19], dtype=float32)}
    """
    return optax.sgd(learning_rate, momentum=0.9, nesterov=True)


def constant(progress: Fraction) -> Float[jax.Array, "*batch"]:
    """Return factor 1 throughout.

    Examples:
        >>> float(constant(0.5))
        1.0
    """
    return jnp.ones_like(progress)


def cosine(progress: Fraction) -> Float[jax.Array, "*batch"]:
    """Return `(1 + cos(pi progress)) / 2`, a factor from 1 down to 0 (Loshchilov and Hutter, 2017, Eq. (5)).

    Args:
        progress: fraction of the run's steps done, in [0, 1].

    Examples:
        >>> [round(float(cosine(p)), 3) for p in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.0]
    """
    return 0.5 * (1 + jnp.cos(jnp.pi * jnp.asarray(progress)))


def refresh_hyperparams(optimizer: Any, state: ArrayTree, params: ArrayTree) -> Any:
    """Return an optimizer's state with the hyper-parameters with which the optimizer was made.

    `optax.inject_hyperparams` keeps them in the state, where a scheduled rate would otherwise stay that of the first
    step. States without hyper-parameters are returned as they are.

    Examples:
        >>> inject, params = optax.inject_hyperparams(optax.sgd), {"bias": jnp.zeros(1)}
        >>> state = inject(learning_rate=0.1).init(params)
        >>> state = refresh_hyperparams(inject(learning_rate=0.05), state, params)
        >>> inject(learning_rate=0.05).update({"bias": jnp.ones(1)}, state, params)[0]
        {'bias': Array([-0.05], dtype=float32)}
    """

    def holds(part: Any) -> bool:
        return isinstance(part, optax.InjectHyperparamsState | optax.InjectStatefulHyperparamsState)

    def refresh(part: Any, new: Any) -> Any:
        if not holds(part):
            return part
        inner = jax.tree.map(refresh, part.inner_state, new.inner_state, is_leaf=holds)
        return part._replace(hyperparams=new.hyperparams, inner_state=inner)

    if not any(holds(part) for part in jax.tree.leaves(state, is_leaf=holds)):
        return state
    return jax.tree.map(refresh, state, optimizer.init(params), is_leaf=holds)


@dataclasses.dataclass(frozen=True)
class StepDecay:
    """Rate multiplied by a factor at the end of each of several equal parts: `factor ** floor(periods * progress)`.

    Attributes:
        factor: multiplies the rate.
        periods: parts of a run; the number of epochs for a factor per epoch (Zhang et al., 2017: 0.95).

    Examples:
        >>> schedule = StepDecay(0.1, 3)
        >>> [round(float(schedule(p)), 3) for p in (0.0, 0.33, 1 / 3, 0.7)]
        [1.0, 1.0, 0.1, 0.01]
    """

    factor: float | int
    periods: float | int

    def __call__(self, progress: Fraction) -> Float[jax.Array, "*batch"]:
        """Return the factor at a fraction of the run's steps."""
        return self.factor ** jnp.floor(self.periods * jnp.asarray(progress) + SLACK)


@dataclasses.dataclass(frozen=True)
class InverseDecay:
    """Rate divided by the number of the current part of a run: `1 / (1 + floor(periods * progress))`.

    Attributes:
        periods: parts of a run; the number of epochs for a rate proportional to 1 / epoch (Sharma et al., 2019).

    Examples:
        >>> [round(float(InverseDecay(4)(p)), 3) for p in (0.0, 0.25, 0.99)]
        [1.0, 0.5, 0.25]
    """

    periods: float | int

    def __call__(self, progress: Fraction) -> Float[jax.Array, "*batch"]:
        """Return the factor at a fraction of the run's steps."""
        return 1 / (1 + jnp.floor(self.periods * jnp.asarray(progress) + SLACK))
