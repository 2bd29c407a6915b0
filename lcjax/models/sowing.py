"""Pre-activations that modules report to an observer."""

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Num

from lcjax.models.losses import vc_penalty
from lcjax.typing import Array

if TYPE_CHECKING:
    import flax.linen as nn

__all__ = ["COLLECTION", "is_observed", "sow_preactivation"]

COLLECTION = "preactivations"


def is_observed(module: "nn.Module") -> bool:
    """Return True inside `apply_with_preactivations`; elsewhere a loop need not collect pre-activations."""
    return module.is_mutable_collection(COLLECTION) and not module.is_initializing()


def sow_preactivation(module: "nn.Module", value: Num[Array, "b *shape"]) -> None:
    """Report pre-activations of a module to `apply_with_preactivations`; elsewhere this does nothing.

    Args:
        module: the module that owns the parameters, `self` in one of its methods.
        value: pre-activations, the examples first; several calls in one application add up.

    Examples:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> from lcjax.models.preactivations import apply_with_preactivations
        >>> class Linear(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, inputs):
        ...         value = inputs @ self.param("kernel", nn.initializers.ones, (inputs.shape[1], 1))
        ...         sow_preactivation(self, value)
        ...         return nn.relu(value)
        >>> variables = Linear().init(jax.random.key(0), jnp.ones((5, 2)))
        >>> sorted(variables), apply_with_preactivations(Linear(), variables, jnp.ones((5, 2)))[1]
        (['params'], {'': Array(2., dtype=float32)})
    """
    if not module.is_initializing():
        scalar = jnp.mean(vc_penalty(value))
        module.sow(COLLECTION, "_preactivation", scalar, init_fn=lambda: jnp.zeros_like(scalar), reduce_fn=jnp.add)
