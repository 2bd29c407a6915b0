"""Per-example losses, which the caller weights and averages."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Num

from lcjax.typing import Array

__all__ = ["cross_entropy", "largest_hinge", "mean_squared_error", "multiclass_hinge", "vc_penalty"]


def cross_entropy(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Compute the cross-entropy of the softmax of the outputs, per example, in nats.

        loss = log(sum_j exp(net_j)) - net_y

    Args:
        outputs: outputs of a network, unnormalized log probabilities.
        targets: class numbers, from 0.

    Returns:
        Loss of each example, `(*b,)`, in nats, in the dtype of the outputs.

    Examples:
        >>> import jax.numpy as jnp
        >>> cross_entropy(jnp.zeros((1, 10)), jnp.array([3]))
        Array([2.3025851], dtype=float32)
    """
    return jax.nn.logsumexp(outputs, axis=-1) - jnp.sum(jnp.where(_is_target(outputs, targets), outputs, 0), axis=-1)


def multiclass_hinge(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Compute the hinge loss summed over the wrong classes (Sharma et al., 2019, Eq. (18)), per example.

        loss = sum_{j != y} max(0, 1 - net_y + net_j)

    It is 0 if the target's output exceeds every other by 1. The arguments are those of `cross_entropy`.

    Examples:
        >>> import jax.numpy as jnp
        >>> multiclass_hinge(jnp.array([[2.0, 1.5, 0.0, 3.0]]), jnp.array([0]))
        Array([2.5], dtype=float32)
    """
    return jnp.sum(_hinges(outputs, targets), axis=-1)


def largest_hinge(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Compute the hinge loss against the strongest wrong class (Crammer and Singer, 2001), per example.

        loss = max_{j != y} max(0, 1 - net_y + net_j)

    The arguments are those of `cross_entropy`.

    Examples:
        >>> import jax.numpy as jnp
        >>> largest_hinge(jnp.array([[2.0, 1.5, 0.0, 3.0]]), jnp.array([0]))
        Array([2.], dtype=float32)
    """
    return jnp.max(_hinges(outputs, targets), axis=-1)


def _hinges(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Float[jax.Array, "*b c"]:
    """Return the hinge against each class; 0 against the target."""
    is_target = _is_target(outputs, targets)
    right = jnp.sum(jnp.where(is_target, outputs, 0), axis=-1, keepdims=True)
    return jnp.where(is_target, 0, jax.nn.relu(1 - right + outputs))


def _is_target(outputs: Float[Array, "*b c"], targets: Int[Array, "*b"]) -> Bool[jax.Array, "*b c"]:
    return jnp.arange(outputs.shape[-1]) == jnp.asarray(targets)[..., None]  # indexing would scatter in the gradient


def vc_penalty(preactivations: Num[Array, "b *shape"]) -> Num[jax.Array, " b"]:
    """Compute half the sum of squared pre-activations, per example: the data-dependent term of the VC bound.

        penalty_i = 1/2 * sum_j a_ij^2

    Sharma et al. (2019), Eq. (16) for the outputs and Eq. (17) for any layer, with D = 1; the paper sums over examples.

    Args:
        preactivations: outputs of a linear layer, the examples first, `(b, ...)`.

    Returns:
        The penalty of each example, `(b,)`, in the unit of the pre-activations squared.

    Examples:
        >>> import jax.numpy as jnp
        >>> vc_penalty(jnp.array([[3.0, 4.0], [0.0, 1.0]]))
        Array([12.5,  0.5], dtype=float32)
    """
    value = jnp.asarray(preactivations)
    return jnp.sum(jnp.square(value), axis=tuple(range(1, value.ndim))) / 2


def mean_squared_error(outputs: Float[Array, "*b o"], targets: Float[Array, "*b"]) -> Float[jax.Array, "*b"]:
    """Compute the squared error of one real output, per example; its mean over a batch is the mean squared error.

    Args:
        outputs: outputs of a network, one for each example.
        targets: true values, in any unit; the losses are in that unit squared.

    Raises:
        ValueError: there is more than one output for each example.

    Examples:
        >>> import jax.numpy as jnp
        >>> mean_squared_error(jnp.array([[0.5]]), jnp.array([1.0]))
        Array([0.25], dtype=float32)
    """
    if outputs.shape[-1] != 1:
        raise ValueError(f"mean_squared_error needs one output for each example, got {outputs.shape[-1]}.")
    return jnp.square(outputs[..., 0] - targets)
