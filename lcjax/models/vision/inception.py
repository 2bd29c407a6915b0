"""Inception: the small form of Zhang et al. (2017) for CIFAR-10, and Inception V3 for ImageNet."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv, Padding
from lcjax.models.layers.pooling import max_pool, mean_pool
from lcjax.typing import Array

__all__ = ["InceptionV3", "SmallInception"]


class _Unit(nn.Module):
    """Convolution, BatchNorm or a bias, and ReLU."""

    filters: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "SAME"
    batch_norm: bool = True
    scale: bool = False

    @nn.compact
    def __call__(self, inputs: Float[Array, "b height width c"], *, train: bool) -> Float[jax.Array, "b h2 w2 o"]:
        value = Conv(
            self.filters, self.kernel_size, self.strides, self.padding, use_bias=not self.batch_norm, name="conv"
        )(inputs)
        if self.batch_norm:
            value = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-3, use_scale=self.scale, name="norm")(value)
        return nn.relu(value)


class SmallInception(Classifier):
    """Inception for 28x28x3 images: 1,649,402 parameters with and without BatchNorm.

    Zhang et al. (2017), Figure 3: a 3x3 convolution with 96 filters; two stages of modules that concatenate 1x1 and 3x3
    convolutions, each followed by a strided convolution concatenated with a pool; two more modules; and the mean over
    7x7 pixels. The paper lists the same parameter count with and without BatchNorm: with it a filter has an offset and
    neither bias nor scale, without it a bias.

    Attributes:
        classes: number of outputs.
        batch_norm: normalize the convolutions.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(SmallInception(), jnp.zeros((1, 28, 28, 3)))
        1649402
    """

    classes: int = 10
    batch_norm: bool = True

    def setup(self) -> None:  # noqa: D102
        self.head = nn.Dense(self.classes)

    @nn.compact
    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 336)`."""

        def unit(value: Array, filters: int, size: int, name: str, stride: int = 1) -> jax.Array:
            layer = _Unit(filters, (size, size), (stride, stride), batch_norm=self.batch_norm, name=name)
            return layer(value, train=train)

        def module(value: Array, one: int, three: int, name: str) -> jax.Array:
            parts = [unit(value, one, 1, f"{name}_1x1"), unit(value, three, 3, f"{name}_3x3")]
            return jnp.concatenate(parts, axis=3)

        def down(value: Array, filters: int, name: str) -> jax.Array:
            return jnp.concatenate([unit(value, filters, 3, name, 2), max_pool(value, 3, 2, "SAME")], axis=3)

        value: Array = unit(inputs, 96, 3, "stem")
        for i, (one, three) in enumerate([(32, 32), (32, 48)]):
            value = module(value, one, three, f"first_{i}")
        value = down(value, 80, "down_0")
        for i, (one, three) in enumerate([(112, 48), (96, 64), (80, 80), (48, 96)]):
            value = module(value, one, three, f"second_{i}")
        value = down(value, 96, "down_1")
        for i in range(2):
            value = module(value, 176, 160, f"third_{i}")
        return jnp.mean(value, axis=(1, 2))


class InceptionV3(Classifier):
    """Inception V3 for 299x299x3 images (Szegedy et al., 2015, Table 1), without the auxiliary head.

    The 23,885,392 numbers counted by Zhang et al. (2017) are those of 1,008 outputs with all four numbers of BatchNorm
    for each filter: 23,850,960 parameters and 34,432 running statistics. With 1,000 outputs there are 23,834,568
    parameters.

    Attributes:
        classes: number of outputs.
        dropout: fraction of the features dropped in training.
    """

    classes: int = 1000
    dropout: float = 0.2

    def setup(self) -> None:  # noqa: D102
        self.dropping = nn.Dropout(self.dropout)
        self.head = nn.Dense(self.classes)

    @nn.compact
    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs, `(b, 2048)`."""
        count = 0

        def chain(value: Array, *units: tuple[int, int, int], stride: int = 1) -> jax.Array:
            """Apply units (filters, rows, columns) in sequence; a stride of the last one excludes padding."""
            nonlocal count
            for i, (filters, rows, columns) in enumerate(units):
                strided = stride > 1 and i == len(units) - 1
                strides, padding = ((stride, stride), "VALID") if strided else ((1, 1), "SAME")
                unit = _Unit(filters, (rows, columns), strides, padding, scale=True, name=f"unit_{count}")
                count += 1
                value = unit(value, train=train)
            return jnp.asarray(value)

        def average(value: Array, filters: int) -> jax.Array:
            return chain(mean_pool(value, 3, 1, "SAME"), (filters, 1, 1))

        def valid(value: Array, filters: int, size: int) -> jax.Array:
            nonlocal count
            count += 1
            unit = _Unit(filters, (size, size), padding="VALID", scale=True, name=f"unit_{count - 1}")
            return unit(value, train=train)

        value = valid(chain(inputs, (32, 3, 3), stride=2), 32, 3)
        value = max_pool(chain(value, (64, 3, 3)), 3, 2)
        value = max_pool(valid(valid(value, 80, 1), 192, 3), 3, 2)
        for pooled in (32, 64, 64):
            parts = [chain(value, (64, 1, 1)), chain(value, (48, 1, 1), (64, 5, 5))]
            parts += [chain(value, (64, 1, 1), (96, 3, 3), (96, 3, 3)), average(value, pooled)]
            value = jnp.concatenate(parts, axis=3)
        parts = [chain(value, (384, 3, 3), stride=2), chain(value, (64, 1, 1), (96, 3, 3), (96, 3, 3), stride=2)]
        value = jnp.concatenate([*parts, max_pool(value, 3, 2)], axis=3)
        for c in (128, 160, 160, 192):
            parts = [chain(value, (192, 1, 1)), chain(value, (c, 1, 1), (c, 1, 7), (192, 7, 1))]
            parts += [chain(value, (c, 1, 1), (c, 7, 1), (c, 1, 7), (c, 7, 1), (192, 1, 7)), average(value, 192)]
            value = jnp.concatenate(parts, axis=3)
        parts = [chain(value, (192, 1, 1), (320, 3, 3), stride=2)]
        parts += [chain(value, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3), stride=2), max_pool(value, 3, 2)]
        value = jnp.concatenate(parts, axis=3)
        for _ in range(2):
            narrow = chain(value, (384, 1, 1))
            wide = chain(value, (448, 1, 1), (384, 3, 3))
            parts = [chain(value, (320, 1, 1)), chain(narrow, (384, 1, 3)), chain(narrow, (384, 3, 1))]
            parts += [chain(wide, (384, 1, 3)), chain(wide, (384, 3, 1)), average(value, 192)]
            value = jnp.concatenate(parts, axis=3)
        features: Array = self.dropping(jnp.mean(value, axis=(1, 2)), deterministic=not train)
        return features
