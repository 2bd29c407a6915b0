"""How a module tells what goes into its activations."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from lcjax.models.losses import vc_penalty

if TYPE_CHECKING:
    import flax.linen as nn

__all__ = ["COLLECTION", "observed", "sow_preactivation"]

Array = jax.Array | np.ndarray

COLLECTION = "preactivations"


def observed(module: "nn.Module") -> bool:
    """Whether `apply_with_preactivations` is at work; a loop need not gather pre-activations where it is not.

    Args:
        module: with `self` in one of its methods.
    """
    return module.is_mutable_collection(COLLECTION) and not module.is_initializing()


def sow_preactivation(module: "nn.Module", value: Num[Array, "b *shape"]) -> None:
    """Tell `apply_with_preactivations` what goes into a module's activations; does nothing anywhere else.

    Args:
        module: the module that has the parameters, with `self` in one of its methods.
        value: pre-activations, the examples first; several calls in one application add up.

    Examples:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> from lcjax.models.preactivations import apply_with_preactivations
        >>> class Own(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, inputs):
        ...         value = inputs @ self.param("kernel", nn.initializers.ones, (inputs.shape[1], 1))
        ...         sow_preactivation(self, value)
        ...         return nn.relu(value)
        >>> variables = Own().init(jax.random.key(0), jnp.ones((5, 2)))
        >>> sorted(variables), apply_with_preactivations(Own(), variables, jnp.ones((5, 2)))[1]
        (['params'], {'': Array(2., dtype=float32)})
    """
    if not module.is_initializing():
        scalar = jnp.mean(vc_penalty(value))
        module.sow(COLLECTION, "_preactivation", scalar, init_fn=lambda: jnp.zeros_like(scalar), reduce_fn=jnp.add)
