"""Objectives: one loss per example, so that a caller weighs and averages them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

__all__ = ["cross_entropy", "mean_squared_error"]

Array = jax.Array | np.ndarray


def cross_entropy(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Cross-entropy of the softmax of the outputs, per example.

        loss = log(sum_j exp(net_j)) - net_y

    Args:
        outputs: the net's outputs, unnormalised log probabilities.
        targets: class numbers, from 0.

    Returns:
        Losses in nats.

    Examples:
        >>> import jax.numpy as jnp
        >>> cross_entropy(jnp.zeros((1, 10)), jnp.array([3]))
        Array([2.3025851], dtype=float32)
    """
    chosen = jnp.arange(outputs.shape[-1]) == jnp.asarray(targets)[..., None]  # indexing would scatter in the gradient
    return jax.nn.logsumexp(outputs, axis=-1) - jnp.sum(jnp.where(chosen, outputs, 0), axis=-1)


def mean_squared_error(outputs: Float[Array, "*b o"], targets: Float[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Squared error of one real output, per example; its mean over a batch is the mean squared error.

    Args:
        outputs: the net's outputs, one an example.
        targets: what they should be, in any unit.

    Returns:
        Squared differences, in the targets' unit squared.

    Raises:
        ValueError: there is more than one output an example.

    Examples:
        >>> import jax.numpy as jnp
        >>> mean_squared_error(jnp.array([[0.5]]), jnp.array([1.0]))
        Array([0.25], dtype=float32)
    """
    if outputs.shape[-1] != 1:
        raise ValueError(f"mean_squared_error needs one output an example, got {outputs.shape[-1]}.")
    return jnp.square(outputs[..., 0] - targets)
