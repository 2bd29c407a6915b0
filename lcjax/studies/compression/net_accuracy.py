"""What a net says of many examples, in blocks that fit the memory, as functions that are compiled once a net."""

import dataclasses
from contextlib import nullcontext
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.compression.storage import nonzero_counts
from lcjax.data.examples import Data, Examples
from lcjax.kernels.compilation import jit
from lcjax.models.layers.convolution import plain_convolutions

__all__ = ["Accuracy", "as_seen", "outputs_of", "thresholds_at_once"]

IMAGES = 250  # of a convolutional net, at a time
PLAIN = 28  # pixels from which XLA's own convolution is the faster for one net on CPU: quick net, 28 1.7, 32 1.5 times
ACTIVATIONS = 2**25  # numbers in memory while many perceptrons are evaluated at once


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """`(state, inputs, targets, params of one net) -> ()`, hashable; dropout must be off in the model.

    Attributes:
        model: a Linen module.
        block: examples at a time.
        objective: with it the value is a dictionary of "accuracy", "loss", the mean objective, and "surviving", the
            parameters that are not zero.

    Examples:
        >>> import lcjax as lc
        >>> inputs, targets, model = np.eye(5, dtype="f4"), np.array([0, 0, 0, 1, 1]), lc.models.MLP((), 2)
        >>> params = {"head": {"kernel": np.zeros((5, 2), "f4"), "bias": np.array([1.0, 0.0], "f4")}}
        >>> print(Accuracy(model, 2)({}, inputs, targets, params).round(3))
        0.6
    """

    model: nn.Module
    block: int
    objective: Any = None

    def __call__(self, state: Any, inputs: Any, targets: Any, params: Any) -> Any:
        """The accuracy, in blocks of examples."""
        n = len(targets)
        block = min(self.block, n)

        def sums(place: jax.Array) -> tuple[jax.Array, jax.Array]:
            at, counted = jnp.minimum(place, n - 1), place < n
            with plain_convolutions() if min(inputs.shape[1:-1], default=0) >= PLAIN else nullcontext():
                outputs: Any = self.model.apply({"params": params, **state}, jnp.asarray(inputs)[at])
            wanted = jnp.asarray(targets)[at]
            right = jnp.sum((jnp.argmax(outputs, axis=-1) == wanted) & counted)
            if self.objective is None:
                return right, jnp.zeros(())
            return right, jnp.sum(jnp.where(counted, self.objective(outputs, wanted), 0))

        right, loss = jax.lax.map(sums, jnp.arange(-(-n // block) * block).reshape(-1, block))
        accuracy = jnp.sum(right) / n
        if self.objective is None:
            return accuracy
        return {"accuracy": accuracy, "loss": jnp.sum(loss) / n, "surviving": sum(nonzero_counts(params).values())}


def as_seen(data: Data, inputs: Any) -> Float[jax.Array, "n *shape"]:
    """Inputs as a net sees them: `(input - offset) * scale`."""
    return (jnp.asarray(inputs, jnp.float32) - data.offset) * data.scale


def thresholds_at_once(params: Any, examples: int) -> tuple[int, int]:
    """How many versions of a net to evaluate at once, and on how many of the examples.

    Examples:
        >>> thresholds_at_once({"kernel": np.zeros((180, 50))}, 600), thresholds_at_once(np.zeros((5, 5, 3, 8)), 600)
        ((1118, 600), (1, 250))
    """
    if any(leaf.ndim > 2 for leaf in jax.tree.leaves(params)):
        return 1, IMAGES
    widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(params))
    return max(1, ACTIVATIONS // (widest * examples)), examples


def outputs_of(
    model: nn.Module, variables: Any, data: Data, examples: Examples, *, method: str = "__call__"
) -> np.ndarray:
    """Outputs or features of one net for all examples, on the host."""
    n = len(examples.targets)
    block = min(IMAGES, n)
    found = []
    for first in range(0, n, block):
        place = np.minimum(np.arange(first, first + block), n - 1)  # one shape, one compilation
        inputs = as_seen(data, np.asarray(examples.inputs)[place])
        found.append(np.asarray(_apply(variables, inputs, model=model, method=method)))
    return np.concatenate(found)[:n]


@jit(static_argnames=("model", "method"))
def _apply(variables: Any, inputs: jax.Array, *, model: nn.Module, method: str) -> Any:
    return model.apply(variables, inputs, method=method)
