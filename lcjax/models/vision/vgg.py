"""VGG networks in their CIFAR and ImageNet forms."""

import flax.linen as nn
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import max_pool
from lcjax.typing import Array

__all__ = ["VGG", "VGG11", "VGG16", "VGG19"]

FILTERS = (64, 128, 256, 512, 512)
VGG11 = (1, 1, 2, 2, 2)
VGG16 = (2, 2, 3, 3, 3)
VGG19 = (2, 2, 4, 4, 4)


class VGG(Classifier):
    """A VGG network (Simonyan and Zisserman, 2015): stages of 3x3 convolutions, each followed by a pool.

    The paper's two hidden linear layers have 4,096 units for 224x224 images; for 32x32 images they are usually omitted
    (the default) or have 512. Bisla et al. (2021) do not specify their variant of VGG16.

    Attributes:
        stages: convolutions in each stage, with 64, 128, 256, 512, 512 filters: `VGG11`, `VGG16`, `VGG19`.
        hidden: units of the linear layers before the head.
        classes: number of outputs.
        batch_norm: normalize the convolutions, which keep their bias.
        dropout: fraction of units dropped after each hidden linear layer.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(VGG(), jnp.zeros((1, 32, 32, 3)))
        14728266
    """

    stages: tuple[int, ...] = VGG16
    hidden: tuple[int, ...] = ()
    classes: int = 10
    batch_norm: bool = True
    dropout: float = 0.0

    def setup(self) -> None:  # noqa: D102
        self.head = nn.Dense(self.classes)

    @nn.compact
    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs."""
        value: Array = inputs
        he = nn.initializers.he_normal()
        for stage, convolutions in enumerate(self.stages):
            for i in range(convolutions):
                value = Conv(FILTERS[stage], (3, 3), kernel_init=he, name=f"conv_{stage}_{i}")(value)
                if self.batch_norm:
                    value = nn.BatchNorm(not train, momentum=0.9, name=f"norm_{stage}_{i}")(value)
                value = nn.relu(value)
            value = max_pool(value)
        value = value.reshape(value.shape[0], -1)
        for i, width in enumerate(self.hidden):
            value = nn.relu(nn.Dense(width, kernel_init=he, name=f"hidden_{i}")(value))
            value = nn.Dropout(self.dropout, deterministic=not train)(value)
        return value
