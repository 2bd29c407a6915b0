"""LeNet with rectified linear units."""

import flax.linen as nn
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import max_pool
from lcjax.typing import Array

__all__ = ["LeNet"]


class LeNet(Classifier):
    """LeNet with ReLU: 5x5 convolution, pool, 5x5 convolution, pool, 120, 84, classes.

    The network of Bisla et al. (2021), section 4, whose text specifies 6 and 16 filters but not the padding. With 28x28
    images it has 44,426 parameters under "VALID" padding and 61,706 under "SAME" (of the first convolution only, which
    corresponds to 32x32 images); with 32x32x3 images it has 62,006 under "VALID".

    Attributes:
        filters: filters of the two convolutions.
        classes: number of outputs: the classes, or 1 for regression.
        padding: padding of the first convolution, "SAME" or "VALID".

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(LeNet(), jnp.zeros((1, 28, 28)))
        44426
    """

    filters: tuple[int, int] = (6, 16)
    classes: int = 10
    padding: str = "VALID"

    def setup(self) -> None:  # noqa: D102
        first, second = self.filters
        self.convolutions = [Conv(first, (5, 5), padding=self.padding), Conv(second, (5, 5), padding="VALID")]
        self.hidden = [nn.Dense(120), nn.Dense(84)]
        self.head = nn.Dense(self.classes)

    def features(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 84)`, for images `(b, height, width)` or `(b, height, width, channels)`.

        Raises:
            ValueError: the inputs are not images, or are too small for two convolutions and pools.
        """
        if inputs.ndim not in (3, 4):
            raise ValueError(f"LeNet requires images (b, height, width) or with channels, got shape {inputs.shape}.")
        value = inputs.reshape(*inputs.shape[:3], -1)
        for convolution in self.convolutions:
            value = nn.relu(max_pool(convolution(value)))  # ReLU after the pool: the same values, a quarter of the work
        value = value.reshape(value.shape[0], -1)
        for layer in self.hidden:
            value = nn.relu(layer(value))
        return value
