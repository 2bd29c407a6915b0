"""The net for steering from a camera."""

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float

from lcjax.models.layers.convolution import Conv

__all__ = ["DrivingNet"]

Array = jax.Array | np.ndarray


class DrivingNet(nn.Module):
    """Five convolutions and four linear layers with ReLU, from 22x66 pixels to one steering command.

    Bisla et al. (2021), section 4, use a net of this kind without giving its layers in the text; these are our choice:
    5x5 convolutions with 24, 36, 48 filters and stride 2, 3x3 with 64 and 64, all padded ("SAME"), then 100, 50, 10, 1.

    Attributes:
        outputs: numbers an image.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> variables = jax.eval_shape(DrivingNet().init, jax.random.key(0), jnp.zeros((1, 22, 66, 3)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
        309819
    """

    outputs: int = 1

    def setup(self) -> None:  # noqa: D102
        strided = [Conv(filters, (5, 5), strides=(2, 2)) for filters in (24, 36, 48)]
        self.convolutions = [*strided, Conv(64, (3, 3)), Conv(64, (3, 3))]
        self.hidden = [nn.Dense(width) for width in (100, 50, 10)]
        self.head = nn.Dense(self.outputs)

    def features(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[Array, "b d"]:
        """What the head sees, `(b, 10)`; inputs `(b, height, width, channels)`.

        Raises:
            ValueError: the inputs are not images with channels.
        """
        if inputs.ndim != 4:
            raise ValueError(f"DrivingNet takes images (b, height, width, channels), got inputs of {inputs.shape}.")
        value: Array = inputs
        for convolution in self.convolutions:
            value = nn.relu(convolution(value))
        value = value.reshape(value.shape[0], -1)
        for layer in self.hidden:
            value = nn.relu(layer(value))
        return value

    def __call__(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[jax.Array, "b o"]:
        """Outputs, `(b, outputs)`."""
        return self.head(self.features(inputs, train=train))
