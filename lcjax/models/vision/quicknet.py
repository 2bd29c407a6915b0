"""Caffe's quick network for CIFAR-10."""

from typing import ClassVar

import flax.linen as nn
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import max_pool, mean_pool
from lcjax.typing import Array

__all__ = ["QuickNet"]


class QuickNet(Classifier):
    """Caffe's `cifar10_quick`: three 5x5 convolutions with 32, 32 and 64 filters, then 64, classes.

    The first convolution is followed by a maximum pool and ReLU, the others by ReLU and a mean pool. Pools of 3x3 with
    stride 2 round up (32, 16, 8, 4 pixels). The hidden linear layer has no activation. 145,578 parameters at 32x32x3;
    weights are initialized as in Caffe. Used by Sharma et al. (2019), Tables 3 and 4.

    Attributes:
        classes: number of outputs.
        dropout: fraction of the features dropped in training.
        batch_norm: normalize each convolution before pool and ReLU.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(QuickNet(), jnp.zeros((1, 32, 32, 3)))
        145578
    """

    SPREAD: ClassVar[tuple[float, ...]] = (1e-4, 1e-2, 1e-2)

    classes: int = 10
    dropout: float = 0.0
    batch_norm: bool = False

    def setup(self) -> None:  # noqa: D102
        self.convolutions = [
            Conv(filters, (5, 5), kernel_init=nn.initializers.normal(spread))
            for filters, spread in zip((32, 32, 64), self.SPREAD, strict=True)
        ]
        if self.batch_norm:
            self.norms = [nn.BatchNorm(momentum=0.9) for _ in self.SPREAD]
        self.hidden = nn.Dense(64, kernel_init=nn.initializers.normal(0.1))
        self.dropping = nn.Dropout(self.dropout)
        self.head = nn.Dense(self.classes, kernel_init=nn.initializers.normal(0.1))

    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 64)`."""
        value: Array = inputs
        for i, convolution in enumerate(self.convolutions):
            value = convolution(value)
            if self.batch_norm:
                value = self.norms[i](value, use_running_average=not train)
            height, width = value.shape[1:3]
            up = (0, 1 - height % 2), (0, 1 - width % 2)  # Caffe rounds the number of windows up
            value = nn.relu(max_pool(value, 3, 2, up)) if i == 0 else mean_pool(nn.relu(value), 3, 2, up)
        value = self.hidden(value.reshape(value.shape[0], -1))
        features: Array = self.dropping(value, deterministic=not train)
        return features
