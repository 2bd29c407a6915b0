"""Nets for images and feature vectors: MLP, LeNet."""

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float

from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import max_pool

__all__ = ["MLP", "LeNet"]

Array = jax.Array | np.ndarray


class MLP(nn.Module):
    """A multilayer perceptron with ReLU; inputs of any shape are flattened.

    Attributes:
        widths: units of each hidden layer.
        classes: outputs: the number of classes, or 1 for regression.
        dropout: share of the units of each hidden layer dropped in training.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> model = MLP(widths=(512,), classes=10)
        >>> variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 28, 28, 3)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
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
        """What the head sees, `(b, widths[-1])`."""
        value = inputs.reshape(inputs.shape[0], -1)
        for layer in self.hidden:
            value = self.dropping(nn.relu(layer(value)), deterministic=not train)
        return value

    def __call__(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[jax.Array, "b c"]:
        """Outputs, `(b, classes)`."""
        return self.head(self.features(inputs, train=train))


class LeNet(nn.Module):
    """LeNet with ReLU: 5x5 convolution, pool, 5x5 convolution, pool, 120, 84, classes.

    The net of Bisla et al. (2021), section 4, whose text names 6 and 16 filters and leaves the padding open:
    28x28 images give 44,426 parameters with padding "VALID" and 61,706 with "SAME" (in the first convolution only, as
    if the images had 32x32 pixels); 32x32x3 images give 62,006 with "VALID".

    Attributes:
        filters: of the two convolutions.
        classes: outputs: the number of classes, or 1 for regression.
        padding: of the first convolution, "SAME" or "VALID".

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> variables = jax.eval_shape(LeNet().init, jax.random.key(0), jnp.zeros((1, 28, 28)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
        44426
    """

    filters: tuple[int, int] = (6, 16)
    classes: int = 10
    padding: str = "VALID"

    def setup(self) -> None:  # noqa: D102
        self.convolutions = [
            Conv(self.filters[0], (5, 5), padding=self.padding),
            Conv(self.filters[1], (5, 5), padding="VALID"),
        ]
        self.hidden = [nn.Dense(120), nn.Dense(84)]
        self.head = nn.Dense(self.classes)

    def features(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[Array, "b d"]:
        """What the head sees, `(b, 84)`; inputs `(b, height, width)` or `(b, height, width, channels)`.

        Raises:
            ValueError: the inputs are not images, or too small for two convolutions and pools.
        """
        if inputs.ndim not in (3, 4):
            raise ValueError(f"LeNet takes images (b, height, width) or with channels, got inputs of {inputs.shape}.")
        value = inputs.reshape(*inputs.shape[:3], -1)
        for convolution in self.convolutions:
            value = nn.relu(max_pool(convolution(value)))  # relu after the pool: the same values, a quarter of the work
        value = value.reshape(value.shape[0], -1)
        for layer in self.hidden:
            value = nn.relu(layer(value))
        return value

    def __call__(self, inputs: Float[Array, "b *shape"], *, train: bool = False) -> Float[jax.Array, "b c"]:
        """Outputs, `(b, classes)`."""
        return self.head(self.features(inputs, train=train))
