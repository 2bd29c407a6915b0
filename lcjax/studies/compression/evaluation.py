"""Accuracy and outputs of networks on many examples, in blocks that fit in memory."""

import dataclasses
from contextlib import nullcontext

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.compression.storage import nonzero_counts
from lcjax.data.examples import Data, Examples
from lcjax.kernels.compilation import jit
from lcjax.models.layers.convolution import plain_convolutions
from lcjax.studies.compression.recipes import Loss
from lcjax.typing import Array, ArrayTree, Variables

__all__ = ["Accuracy", "block_sizes", "normalize", "outputs_of"]

IMAGES = 250  # images that a convolutional network evaluates at once
PLAIN = 28  # pixels per side from which XLA's own convolution is faster on CPU: quick net, 28: 1.7 times
ACTIVATIONS = 2**25  # numbers in memory while many perceptrons are evaluated at once


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Hashable function `(state, inputs, targets, params of one network) -> ()`.

    Attributes:
        model: a Linen module without dropout.
        block: number of examples evaluated at once.
        loss: if given, the result is a dictionary of "accuracy", mean "loss" and "surviving" (nonzero) parameters.

    Examples:
        >>> import lcjax as lc
        >>> inputs, targets, model = np.eye(5, dtype="f4"), np.array([0, 0, 0, 1, 1]), lc.models.MLP((), 2)
        >>> params = {"head": {"kernel": np.zeros((5, 2), "f4"), "bias": np.array([1.0, 0.0], "f4")}}
        >>> print(Accuracy(model, 2)({}, inputs, targets, params).round(3))
        0.6
    """

    model: nn.Module
    block: int
    loss: Loss | None = None

    def __call__(
        self, state: Variables, inputs: Num[Array, "n *shape"], targets: Int[Array, " n"], params: ArrayTree
    ) -> Float[jax.Array, ""] | dict[str, jax.Array]:
        """Return the accuracy, computed in blocks of examples."""
        n = len(targets)
        block = min(self.block, n)

        def sums(place: Int[jax.Array, " block"]) -> tuple[jax.Array, jax.Array]:
            at, counted = jnp.minimum(place, n - 1), place < n
            with plain_convolutions() if min(inputs.shape[1:-1], default=0) >= PLAIN else nullcontext():
                outputs = _outputs(self.model, {"params": params, **state}, jnp.asarray(inputs)[at])
            labels = jnp.asarray(targets)[at]
            right = jnp.sum((jnp.argmax(outputs, axis=-1) == labels) & counted)
            if self.loss is None:
                return right, jnp.zeros(())
            return right, jnp.sum(jnp.where(counted, self.loss(outputs, labels), 0))

        right, loss = jax.lax.map(sums, jnp.arange(-(-n // block) * block).reshape(-1, block))
        accuracy = jnp.sum(right) / n
        if self.loss is None:
            return accuracy
        count = jnp.asarray(sum(nonzero_counts(params).values()))
        return {"accuracy": accuracy, "loss": jnp.sum(loss) / n, "surviving": count}


def normalize(data: Data, inputs: Num[Array, "n *shape"]) -> Float[jax.Array, "n *shape"]:
    """Return inputs as a model receives them: `(input - offset) * scale`."""
    return (jnp.asarray(inputs, jnp.float32) - data.offset) * data.scale


def block_sizes(params: ArrayTree, examples: int) -> tuple[int, int]:
    """Return the numbers of versions of a network and of examples to evaluate at once.

    Examples:
        >>> block_sizes({"kernel": np.zeros((180, 50))}, 600), block_sizes(np.zeros((5, 5, 3, 8)), 600)
        ((1118, 600), (1, 250))
    """
    if any(leaf.ndim > 2 for leaf in jax.tree.leaves(params)):
        return 1, IMAGES
    widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(params))
    return max(1, ACTIVATIONS // (widest * examples)), examples


def outputs_of(
    model: nn.Module, variables: Variables, data: Data, examples: Examples, *, method: str = "__call__"
) -> Float[np.ndarray, "n d"]:
    """Return outputs or features of a network for all examples, on the host."""
    n = len(examples.targets)
    block = min(IMAGES, n)
    blocks = []
    for first in range(0, n, block):
        place = np.minimum(np.arange(first, first + block), n - 1)  # one shape, one compilation
        inputs = normalize(data, np.asarray(examples.inputs)[place])
        blocks.append(np.asarray(_apply(variables, inputs, model=model, method=method)))
    return np.concatenate(blocks)[:n]


@jit(static_argnames=("model", "method"))
def _apply(variables: Variables, inputs: jax.Array, *, model: nn.Module, method: str) -> jax.Array:
    return _outputs(model, variables, inputs, method)


def _outputs(model: nn.Module, variables: ArrayTree, inputs: jax.Array, method: str = "__call__") -> jax.Array:
    outputs: jax.Array = model.apply(variables, inputs, method=method)  # type: ignore[assignment, arg-type]  # Flax: a pair if mutable
    return outputs
