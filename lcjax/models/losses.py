"""Objectives: one loss per example, so that a caller weighs and averages them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

__all__ = ["cross_entropy", "largest_hinge", "mean_squared_error", "multiclass_hinge", "vc_penalty"]

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


def multiclass_hinge(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Hinge loss summed over the wrong classes (Sharma et al., "Smaller Models, Better Generalization", Eq. 18).

        loss = sum_{j != y} max(0, 1 - net_y + net_j)

    Args:
        outputs: the net's outputs.
        targets: class numbers, from 0.

    Returns:
        Losses, 0 where the right output leads every other by 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> multiclass_hinge(jnp.array([[2.0, 1.5, 0.0, 3.0]]), jnp.array([0]))
        Array([2.5], dtype=float32)
    """
    return jnp.sum(_hinges(outputs, targets), axis=-1)


def largest_hinge(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Hinge loss against the strongest wrong class (Crammer and Singer, 2001).

        loss = max_{j != y} max(0, 1 - net_y + net_j)

    Args:
        outputs: the net's outputs.
        targets: class numbers, from 0.

    Returns:
        Losses, 0 where the right output leads every other by 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> largest_hinge(jnp.array([[2.0, 1.5, 0.0, 3.0]]), jnp.array([0]))
        Array([2.], dtype=float32)
    """
    return jnp.max(_hinges(outputs, targets), axis=-1)


def _hinges(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b c"]:
    """The hinge against each class; 0 against the right one."""
    chosen = jnp.arange(outputs.shape[-1]) == jnp.asarray(targets)[..., None]
    right = jnp.sum(jnp.where(chosen, outputs, 0), axis=-1, keepdims=True)
    return jnp.where(chosen, 0, jax.nn.relu(1 - right + outputs))


def vc_penalty(preactivations: Num[Array, "b *shape"]) -> Num[jax.Array, " b"]:
    """Half the sum of squared pre-activations, per example: the data-dependent term of the VC bound.

        penalty_i = 1/2 * sum_j a_ij^2

    Sharma et al., Eq. (16) for a net's outputs and Eq. (17) for any layer, with D = 1. Their sum over the examples is
    the sum of what this returns.

    Args:
        preactivations: what a linear layer gives, the examples first.

    Returns:
        One penalty an example.

    Examples:
        >>> import jax.numpy as jnp
        >>> vc_penalty(jnp.array([[3.0, 4.0], [0.0, 1.0]]))
        Array([12.5,  0.5], dtype=float32)
    """
    value = jnp.asarray(preactivations)
    return jnp.sum(jnp.square(value), axis=tuple(range(1, value.ndim))) / 2


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
