"""DrivingNet, which steers from camera images."""

import flax.linen as nn
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.typing import Array

__all__ = ["DrivingNet"]


class DrivingNet(Classifier):
    """Five convolutions and four linear layers with ReLU, from 22x66 pixels to one steering command.

    Bisla et al. (2021), section 4, use a network of this kind but do not describe its layers. Ours: 5x5 convolutions
    with 24, 36, 48 filters and stride 2, 3x3 convolutions with 64 and 64, all padded ("SAME"), then 100, 50, 10, 1.

    Attributes:
        outputs: number of outputs.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(DrivingNet(), jnp.zeros((1, 22, 66, 3)))
        309819
    """

    outputs: int = 1

    def setup(self) -> None:  # noqa: D102
        strided = [Conv(filters, (5, 5), strides=(2, 2)) for filters in (24, 36, 48)]
        self.convolutions = [*strided, Conv(64, (3, 3)), Conv(64, (3, 3))]
        self.hidden = [nn.Dense(width) for width in (100, 50, 10)]
        self.head = nn.Dense(self.outputs)

    def features(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 10)`, for images `(b, height, width, channels)`.

        Raises:
            ValueError: the inputs are not images with channels.
        """
        if inputs.ndim != 4:
            raise ValueError(f"DrivingNet requires images (b, height, width, channels), got shape {inputs.shape}.")
        value: Array = inputs
        for convolution in self.convolutions:
            value = nn.relu(convolution(value))
        value = value.reshape(value.shape[0], -1)
        for layer in self.hidden:
            value = nn.relu(layer(value))
        return value
