"""Per-example losses, which the caller weights and averages."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from lcjax.models.targets import check_targets
from lcjax.typing import Array

__all__ = ["cross_entropy", "largest_hinge", "mean_squared_error", "multiclass_hinge", "vc_penalty"]


def cross_entropy(outputs: Float[Array, "*b c"], targets: Num[Array, "..."]) -> Float[jax.Array, "*b"]:
    """Compute the cross-entropy of the softmax of the outputs, per example, in nats.

        loss = log(sum_j exp(net_j)) - net_y

    Args:
        outputs: outputs of a network, unnormalized log probabilities.
        targets: class numbers, from 0, `(*b,)`.

    Returns:
        Loss of each example, `(*b,)`, in nats, in the dtype of the outputs; nan where the target is not a class.

    Raises:
        ValueError: the targets do not have one entry for each example, such as targets of shape `(b, 1)`.

    Examples:
        >>> import jax.numpy as jnp
        >>> cross_entropy(jnp.zeros((1, 10)), jnp.array([3]))
        Array([2.3025851], dtype=float32)
    """
    is_target = _is_target("cross_entropy", outputs, targets)
    right = jnp.sum(jnp.where(is_target, outputs, 0), axis=-1)
    return jnp.where(_is_class(outputs, targets), jax.nn.logsumexp(outputs, axis=-1) - right, jnp.nan)


def multiclass_hinge(outputs: Float[Array, "*b c"], targets: Num[Array, "..."]) -> Float[jax.Array, "*b"]:
    """Compute the hinge loss summed over the wrong classes (Sharma et al., 2019, Eq. (18)), per example.

        loss = sum_{j != y} max(0, 1 - net_y + net_j)

    It is 0 if the target's output exceeds every other by 1. Arguments and errors are those of `cross_entropy`.

    Examples:
        >>> import jax.numpy as jnp
        >>> multiclass_hinge(jnp.array([[2.0, 1.5, 0.0, 3.0]]), jnp.array([0]))
        Array([2.5], dtype=float32)
    """
    return jnp.sum(_hinges("multiclass_hinge", outputs, targets), axis=-1)


def largest_hinge(outputs: Float[Array, "*b c"], targets: Num[Array, "..."]) -> Float[jax.Array, "*b"]:
    """Compute the hinge loss against the strongest wrong class (Crammer and Singer, 2001), per example.

        loss = max_{j != y} max(0, 1 - net_y + net_j)

    Arguments and errors are those of `cross_entropy`.

    Examples:
        >>> import jax.numpy as jnp
        >>> largest_hinge(jnp.array([[2.0, 1.5, 0.0, 3.0]]), jnp.array([0]))
        Array([2.], dtype=float32)
    """
    return jnp.max(_hinges("largest_hinge", outputs, targets), axis=-1)


def _hinges(name: str, outputs: Float[Array, "*b c"], targets: Num[Array, "..."]) -> Float[jax.Array, "*b c"]:
    """Return the hinge against each class; 0 against the target, nan where the target is not a class."""
    is_target = _is_target(name, outputs, targets)
    right = jnp.sum(jnp.where(is_target, outputs, 0), axis=-1, keepdims=True)
    hinges = jnp.where(is_target, 0, jax.nn.relu(1 - right + outputs))
    return jnp.where(_is_class(outputs, targets)[..., None], hinges, jnp.nan)


def _is_target(name: str, outputs: Float[Array, "*b c"], targets: Num[Array, "..."]) -> Bool[jax.Array, "*b c"]:
    check_targets(name, outputs, targets)
    return jnp.arange(outputs.shape[-1]) == jnp.asarray(targets)[..., None]  # indexing would scatter in the gradient


def _is_class(outputs: Float[Array, "*b c"], targets: Num[Array, "..."]) -> Bool[jax.Array, "*b"]:
    targets = jnp.asarray(targets)
    within = (targets >= 0) & (targets < outputs.shape[-1])
    return within & (targets == jnp.floor(targets)) if jnp.issubdtype(targets.dtype, jnp.floating) else within


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


def mean_squared_error(outputs: Float[Array, "*b o"], targets: Num[Array, "..."]) -> Float[jax.Array, "*b"]:
    """Compute the squared error of one real output, per example; its mean over a batch is the mean squared error.

    Args:
        outputs: outputs of a network, one for each example.
        targets: true values, `(*b,)`, in any unit; the losses are in that unit squared.

    Raises:
        ValueError: outputs and targets do not have one number for each example, such as targets of shape `(b, 1)`.

    Examples:
        >>> import jax.numpy as jnp
        >>> mean_squared_error(jnp.array([[0.5]]), jnp.array([1.0]))
        Array([0.25], dtype=float32)
    """
    if outputs.shape[-1] != 1:
        raise ValueError(f"mean_squared_error needs one output for each example, got {outputs.shape[-1]}.")
    check_targets("mean_squared_error", outputs, targets)
    return jnp.square(outputs[..., 0] - targets)
