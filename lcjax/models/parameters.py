"""Number of parameters of a model."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax

from lcjax.typing import ArrayTree

__all__ = ["parameter_count"]


def parameter_count(
    model: nn.Module | ArrayTree,
    inputs: ArrayTree | jax.ShapeDtypeStruct = (),
    *,
    collections: Sequence[str] = ("params",),
) -> int:
    """Count the parameters, biases included, of a model for inputs of given shapes, or of a tree of arrays.

    Args:
        model: a Linen module, which is initialized abstractly (nothing is computed), or its variables or parameters:
            any pytree of arrays or shapes.
        inputs: inputs of the module, arrays or shapes of one batch; not used with a tree.
        collections: collections of variables that are counted; a tree without collections is counted whole.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> parameter_count(nn.Dense(10), jnp.zeros((1, 784)))
        7850
        >>> norm = nn.BatchNorm(use_running_average=True)
        >>> parameter_count(norm, jnp.zeros((1, 8)), collections=("params", "batch_stats"))
        32
        >>> parameter_count({"kernel": np.zeros((3, 2)), "bias": np.zeros(2)})
        8
    """
    variables = jax.eval_shape(model.init, jax.random.key(0), inputs) if isinstance(model, nn.Module) else model
    if isinstance(variables, Mapping) and "params" in variables:
        variables = {name: variables[name] for name in collections if name in variables}
    return sum(leaf.size for leaf in jax.tree.leaves(variables))
