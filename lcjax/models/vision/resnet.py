"""Residual networks of any depth and width, in their CIFAR and ImageNet forms."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.models.classifier import Classifier
from lcjax.models.layers.convolution import Conv
from lcjax.models.layers.pooling import max_pool
from lcjax.typing import Array

__all__ = ["ResNet", "resnet"]

STAGES: dict[int, tuple[int, ...]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
HE = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class ResNet(Classifier):
    """A residual network (He et al., 2016), with strides in the 3x3 convolution of a block and projection shortcuts.

    Attributes:
        stages: blocks of each stage; every stage after the first halves the image and doubles the filters.
        classes: number of outputs.
        width: filters of the first stage.
        deep_blocks: use blocks of 1x1, 3x3, 1x1 convolutions, the last four times as wide, instead of 3x3, 3x3.
        imagenet_stem: start with a strided 7x7 convolution and a pool instead of a 3x3 convolution.

    Examples:
        >>> import jax.numpy as jnp, lcjax as lc
        >>> lc.models.parameter_count(ResNet(), jnp.zeros((1, 32, 32, 3)))
        11173962
    """

    stages: tuple[int, ...] = (2, 2, 2, 2)
    classes: int = 10
    width: int = 64
    deep_blocks: bool = False
    imagenet_stem: bool = False

    def setup(self) -> None:  # noqa: D102
        self.head = nn.Dense(self.classes)

    @nn.compact
    def features(self, inputs: Float[Array, "b height width c"], *, train: bool = False) -> Float[Array, "b d"]:
        """Return the head's inputs: the mean of each filter over the last images."""
        if self.imagenet_stem:
            value = _convolve(inputs, self.width, 7, 2, "stem", train=train)
            value = max_pool(nn.relu(value), 3, 2, ((1, 1), (1, 1)))
        else:
            value = nn.relu(_convolve(inputs, self.width, 3, 1, "stem", train=train))
        block = _DeepBlock if self.deep_blocks else _Block
        for stage, blocks in enumerate(self.stages):
            for i in range(blocks):
                stride = 2 if stage and not i else 1
                value = block(self.width * 2**stage, stride, name=f"block_{stage}_{i}")(value, train=train)
        return jnp.mean(value, axis=(1, 2))


def resnet(depth: int, *, width: float = 1.0, **fields: Any) -> ResNet:
    """Build the residual network of a depth: 10, 18, 34, 50, 101, 152, 200, or 6 k + 2 (three stages from 16 filters).

    Hestness et al. (2019) use depths from 10 to 200 and width factors from 0.0625 to 1.5. From depth 50 on, blocks have
    three convolutions.

    Args:
        depth: number of layers with weights.
        width: factor of all filters.
        fields: further fields of `ResNet`.

    Raises:
        ValueError: no network has this depth, or the width leaves no filter.

    Examples:
        >>> resnet(20).stages, resnet(50, width=0.5).width
        ((3, 3, 3), 32)
    """
    if depth in STAGES:
        filters, stages = 64, STAGES[depth]
    elif depth >= 8 and depth % 6 == 2:
        filters, stages = 16, ((depth - 2) // 6,) * 3
    else:
        raise ValueError(f"depth must be one of {', '.join(map(str, STAGES))} or 6 k + 2 from 8 on, got {depth}.")
    if not round(filters * width) >= 1:
        raise ValueError(f"A width factor of {width} leaves none of {filters} filters.")
    return ResNet(stages, width=round(filters * width), deep_blocks=depth in (50, 101, 152, 200), **fields)


def _convolve(
    value: Array, filters: int, size: int, stride: int, name: str, *, train: bool, zero: bool = False
) -> jax.Array:
    """Convolve without bias and normalize; a zero scale of the last convolution makes a block start as the identity."""
    pads = (size // 2, size // 2)
    convolution = Conv(
        filters, (size, size), (stride, stride), (pads, pads), use_bias=False, kernel_init=HE, name=f"{name}_conv"
    )
    scale = nn.initializers.zeros if zero else nn.initializers.ones
    norm = nn.BatchNorm(not train, momentum=0.9, scale_init=scale, name=f"{name}_norm")
    outputs: jax.Array = norm(convolution(value))
    return outputs


class _Block(nn.Module):
    filters: int
    stride: int

    @nn.compact
    def __call__(self, inputs: Array, *, train: bool) -> jax.Array:
        value = nn.relu(_convolve(inputs, self.filters, 3, self.stride, "first", train=train))
        value = _convolve(value, self.filters, 3, 1, "second", train=train, zero=True)
        return nn.relu(value + _shortcut(inputs, value, self.stride, train=train))


class _DeepBlock(nn.Module):
    filters: int
    stride: int

    @nn.compact
    def __call__(self, inputs: Array, *, train: bool) -> jax.Array:
        value = nn.relu(_convolve(inputs, self.filters, 1, 1, "first", train=train))
        value = nn.relu(_convolve(value, self.filters, 3, self.stride, "second", train=train))
        value = _convolve(value, 4 * self.filters, 1, 1, "third", train=train, zero=True)
        return nn.relu(value + _shortcut(inputs, value, self.stride, train=train))


def _shortcut(inputs: Array, outputs: jax.Array, stride: int, *, train: bool) -> Array:
    if stride == 1 and inputs.shape[-1] == outputs.shape[-1]:
        return inputs
    return _convolve(inputs, outputs.shape[-1], 1, stride, "shortcut", train=train)
