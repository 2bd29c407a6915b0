"""DenseNet for small images."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import mean_pool
from lcjax.typing import Array

__all__ = ["DenseNet"]


class DenseNet(Classifier):
    """DenseNet without bottlenecks and compression (Huang et al., 2017): three blocks of densely connected layers.

    The default depth 40 and growth 12 give 1,019,722 parameters at 32x32x3.

    Attributes:
        depth: number of layers with weights, 3 k + 4.
        growth: filters that each layer adds.
        classes: number of outputs.
        dropout: fraction of a layer's outputs dropped in training; 0.2 in the paper without augmentation.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(DenseNet(depth=7), jnp.zeros((1, 32, 32, 3)))
        12826
    """

    depth: int = 40
    growth: int = 12
    classes: int = 10
    dropout: float = 0.0

    def setup(self) -> None:  # noqa: D102
        self.head = nn.Dense(self.classes)

    @nn.compact
    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 448)` by default.

        Raises:
            ValueError: the depth is not 3 k + 4.
        """
        if self.depth < 7 or self.depth % 3 != 1:
            raise ValueError(f"The depth of a DenseNet must be 3 k + 4, got {self.depth}.")
        he = nn.initializers.he_normal()

        def activate(value: jax.Array, name: str) -> jax.Array:
            return nn.relu(nn.BatchNorm(not train, momentum=0.9, name=f"{name}_norm")(value))

        def convolution(value: jax.Array, filters: int, size: int, name: str) -> jax.Array:
            return Conv(filters, (size, size), use_bias=False, kernel_init=he, name=f"{name}_conv")(value)

        value = convolution(jnp.asarray(inputs), 16, 3, "stem")
        for block in range(3):
            for i in range((self.depth - 4) // 3):
                name = f"layer_{block}_{i}"
                new = convolution(activate(value, name), self.growth, 3, name)
                new = nn.Dropout(self.dropout, deterministic=not train)(new)
                value = jnp.concatenate([value, new], axis=3)
            if block < 2:
                name = f"transition_{block}"
                value = mean_pool(convolution(activate(value, name), value.shape[3], 1, name), 2, 2)
        return jnp.mean(activate(value, "last"), axis=(1, 2))
