"""Multilayer perceptron for feature vectors and flattened images."""

import flax.linen as nn
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.typing import Array

__all__ = ["MLP"]


class MLP(Classifier):
    """A multilayer perceptron with ReLU; inputs of any shape are flattened.

    Attributes:
        widths: units of each hidden layer.
        classes: number of outputs: the classes, or 1 for regression.
        dropout: fraction of the units of each hidden layer dropped in training.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(MLP(widths=(512,), classes=10), jnp.zeros((1, 28, 28, 3)))
        1209866
    """

    widths: tuple[int, ...] = (64,)
    classes: int = 10
    dropout: float = 0.0

    def setup(self) -> None:  # noqa: D102
        self.hidden = [nn.Dense(width) for width in self.widths]
        self.dropping = nn.Dropout(self.dropout)
        self.head = nn.Dense(self.classes)

    def features(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, widths[-1])`."""
        value = inputs.reshape(inputs.shape[0], -1)
        for layer in self.hidden:
            value = self.dropping(nn.relu(layer(value)), deterministic=not train)
        return value
