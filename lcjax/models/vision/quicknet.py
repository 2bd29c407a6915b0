"""Caffe's quick net for CIFAR-10."""

from typing import ClassVar

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float

from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import max_pool, mean_pool

__all__ = ["QuickNet"]

Array = jax.Array | np.ndarray


class QuickNet(nn.Module):
    """Caffe's `cifar10_quick`: three 5x5 convolutions with 32, 32 and 64 filters, then 64, classes.

    The first is pooled by its maximum, then ReLU; the others ReLU, then their mean; pools of 3x3 with stride 2 round up
    (32, 16, 8, 4 pixels). The hidden linear layer has no activation. 145,578 parameters at 32x32x3; weights start as
    in Caffe. Used by Sharma et al., Tables 3 and 4.

    Attributes:
        classes: outputs.
        dropout: share of the features dropped in training.
        batch_norm: whether each convolution is normalized before pool and ReLU.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> variables = jax.eval_shape(QuickNet().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
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
        """What the head sees, `(b, 64)`."""
        value: Array = inputs
        for i, convolution in enumerate(self.convolutions):
            value = convolution(value)
            if self.batch_norm:
                value = self.norms[i](value, use_running_average=not train)
            height, width = value.shape[1:3]
            up = (0, 1 - height % 2), (0, 1 - width % 2)  # Caffe rounds the number of windows up
            value = nn.relu(max_pool(value, 3, 2, up)) if i == 0 else mean_pool(nn.relu(value), 3, 2, up)
        value = self.hidden(value.reshape(value.shape[0], -1))
        return self.dropping(value, deterministic=not train)

    def __call__(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[jax.Array, "b o"]:
        """Outputs, `(b, classes)`."""
        return self.head(self.features(inputs, train=train))
