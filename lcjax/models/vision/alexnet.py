"""AlexNet, and its small form that Zhang et al. (2017) train on CIFAR-10."""

import flax.linen as nn
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import local_response, max_pool
from lcjax.typing import Array

__all__ = ["AlexNet", "SmallAlexNet"]


class SmallAlexNet(Classifier):
    """Two convolutions with pooling and local response normalization, then 384, 192, classes.

    Zhang et al. (2017), appendix A: "two (convolution 5x5 -> max-pool 3x3 -> local-response-normalization) modules
    followed by two fully connected layers". The 64 filters follow from the parameter count, 1,387,786 at 28x28x3; the
    constants of the normalization are TensorFlow's.

    Attributes:
        classes: number of outputs.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(SmallAlexNet(), jnp.zeros((1, 28, 28, 3)))
        1387786
    """

    classes: int = 10

    def setup(self) -> None:  # noqa: D102
        self.convolutions = [Conv(64, (5, 5)), Conv(64, (5, 5))]
        self.hidden = [nn.Dense(384), nn.Dense(192)]
        self.head = nn.Dense(self.classes)

    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 192)`."""
        value: Array = inputs
        for convolution in self.convolutions:
            value = local_response(nn.relu(max_pool(convolution(value), 3, 2, "SAME")))
        value = value.reshape(value.shape[0], -1)
        for layer in self.hidden:
            value = nn.relu(layer(value))
        return value


class AlexNet(Classifier):
    """AlexNet in its single-device form (Krizhevsky, 2014, "One weird trick"): 61,100,840 parameters at 224x224x3.

    Attributes:
        classes: number of outputs.
        dropout: fraction of units dropped before each of the two hidden linear layers.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(AlexNet(), jnp.zeros((1, 224, 224, 3)))
        61100840
    """

    classes: int = 1000
    dropout: float = 0.5

    def setup(self) -> None:  # noqa: D102
        small = [Conv(filters, (3, 3)) for filters in (384, 256, 256)]
        self.convolutions = [Conv(64, (11, 11), (4, 4), ((2, 2), (2, 2))), Conv(192, (5, 5)), *small]
        self.hidden = [nn.Dense(4096), nn.Dense(4096)]
        self.dropping = nn.Dropout(self.dropout)
        self.head = nn.Dense(self.classes)

    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 4096)`."""
        value: Array = inputs
        for i, convolution in enumerate(self.convolutions):
            value = nn.relu(convolution(value))
            if i in (0, 1, 4):
                value = max_pool(value, 3, 2)
        value = value.reshape(value.shape[0], -1)
        for layer in self.hidden:
            value = nn.relu(layer(self.dropping(value, deterministic=not train)))
        return value
