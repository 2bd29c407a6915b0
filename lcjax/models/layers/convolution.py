"""Convolution as a banded matrix product, which stays fast inside scans and under vmap, and as XLA's operation."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.lax import optimization_barrier
from jax.nn.initializers import Initializer
from jaxtyping import Float

from lcjax.models.interception import override_calls
from lcjax.typing import Array

__all__ = ["Conv", "Padding", "banded_convolution", "plain_convolutions", "transposed_gradients"]

Pads = tuple[tuple[int, int], tuple[int, int]]
Padding = str | Pads

PRODUCT_COLUMNS = 64  # of the banded weight: best, or within 10 %, for the layers of LeNet and DrivingNet on CPU
MOST_COLUMNS = 4
MANY_INPUTS = 256  # of a linear layer: from here on its gradient is worth two transpositions
FEW_CHANNELS = 4  # of images: up to here XLA's convolution is slow on CPU


def banded_convolution(
    inputs: Float[Array, "b height width c"],
    kernel: Float[Array, "kh kw c2 o"],
    *,
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
    columns: int | None = None,
) -> Float[jax.Array, "b height2 width2 o"]:
    """Compute a two-dimensional convolution as one matrix product with a banded weight.

    `columns` neighboring output columns are computed together: their window of kw + columns - 1 input columns, its kh
    rows concatenated, times the kernel repeated along a band. The arithmetic grows by (kw + columns - 1) / kw, but the
    product, its gradients and their batched forms are plain matrix products. On CPU, XLA runs them several times faster
    than convolutions inside scans (whose gradients use a naive loop) or under vmap over kernels.

    Args:
        inputs: images, channels last, as are the outputs.
        kernel: weights, as in `flax.linen.Conv`.
        strides: rows and columns between outputs; above 1, blocks of pixels become channels first.
        padding: "SAME", "VALID" or zeros before and after rows and columns, as in `jax.lax.conv_general_dilated`.
        columns: output columns computed together; by default fewer for more filters.

    Raises:
        ValueError: the channels do not match, or the kernel is larger than the padded image.

    Examples:
        >>> import jax.numpy as jnp
        >>> banded_convolution(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), padding="VALID")[0, :, :, 0]
        Array([[9., 9.],
               [9., 9.]], dtype=float32)
    """
    (_, height, width, c), (kh, kw, kernel_c, _) = inputs.shape, kernel.shape
    columns = columns or max(1, min(MOST_COLUMNS, PRODUCT_COLUMNS // kernel.shape[3]))
    if c != kernel_c:
        raise ValueError(f"The kernel expects {kernel_c} channels, but the images have {c}.")
    pads = jax.lax.padtype_to_pads((height, width), (kh, kw), strides, padding) if isinstance(padding, str) else padding
    rows, columns_out = (
        (n + low + high - k) // stride + 1
        for n, (low, high), k, stride in zip((height, width), pads, (kh, kw), strides, strict=True)
    )
    if rows < 1 or columns_out < 1:
        raise ValueError(f"A {kh}x{kw} kernel does not fit {height}x{width} images with padding {padding}.")
    inputs = jnp.pad(inputs, ((0, 0), *pads, (0, 0)))
    if strides != (1, 1):
        inputs = _blocks_as_channels(inputs, strides)
        kernel = jnp.moveaxis(_blocks_as_channels(jnp.moveaxis(kernel, 3, 0), strides), 0, 3)
    return _banded_product(inputs, kernel, (rows, columns_out), min(columns, columns_out))


def _banded_product(
    inputs: Float[Array, "b height width c"], kernel: Float[Array, "kh kw c o"], shape: tuple[int, int], columns: int
) -> Float[jax.Array, "b height2 width2 o"]:
    b, c = inputs.shape[0], inputs.shape[3]
    (kh, kw, _, o), (rows, width) = kernel.shape, shape
    blocks, window = -(-width // columns), kw + columns - 1
    parts = -(-window // columns)  # blocks of input columns that overlap a window
    padded = _resize(inputs, 2, (blocks + parts - 1) * columns).reshape(b, -1, blocks + parts - 1, columns * c)
    windows = [padded[:, :, i : i + blocks, : (window - i * columns) * c] for i in range(parts)]
    windows = [windows_[:, i : i + rows] for i in range(kh) for windows_ in windows]
    outputs = jnp.concatenate(windows, axis=3) @ _band(kernel, columns)
    return outputs.reshape(b, rows, blocks * columns, o)[:, :, :width]


def _band(kernel: Float[Array, "kh kw c o"], columns: int) -> Float[jax.Array, "i j"]:
    """Build the weight of `columns` neighboring outputs: the kernel, shifted right by one column for each."""
    kh, kw, c, o = kernel.shape
    shifted = [jnp.pad(kernel, ((0, 0), (q, columns - 1 - q), (0, 0), (0, 0))) for q in range(columns)]
    return jnp.stack(shifted, axis=3).reshape(kh * (kw + columns - 1) * c, columns * o)


def _blocks_as_channels(
    value: Float[Array, "b height width c"], block: tuple[int, int]
) -> Float[jax.Array, "b height2 width2 c2"]:
    """Rearrange blocks of pixels as channels; zeros fill the last blocks."""
    (b, height, width, c), (p, q) = value.shape, block
    rows, columns = -(-height // p), -(-width // q)
    padded = jnp.pad(value, ((0, 0), (0, rows * p - height), (0, columns * q - width), (0, 0)))
    blocks = padded.reshape(b, rows, p, columns, q, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(b, rows, columns, p * q * c)


def _resize(value: Float[Array, "..."], axis: int, length: int) -> Float[jax.Array, "..."]:
    """Cut or zero-pad the end of an axis."""
    value = jax.lax.slice_in_dim(jnp.asarray(value), 0, min(length, value.shape[axis]), axis=axis)
    missing = length - value.shape[axis]
    return jnp.pad(value, [(0, missing if i == axis else 0) for i in range(value.ndim)])


class Conv(nn.Module):
    """A convolution by `banded_convolution` with the parameters of `flax.linen.Conv`.

    Attributes:
        filters: output channels.
        kernel_size: rows and columns.
        strides: rows and columns between outputs.
        padding: "SAME", "VALID" or zeros before and after rows and columns.
        use_bias: add a bias to each filter's outputs.
        kernel_init: initializer of the weights.
        banded: use `banded_convolution`; False uses XLA's convolution.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> layer = Conv(6, (5, 5), padding="VALID")
        >>> layer.init_with_output(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))[0].shape
        (1, 24, 24, 6)
    """

    filters: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    banded: bool = True

    @nn.compact
    def __call__(self, inputs: Float[Array, "b height width c"]) -> Float[jax.Array, "b height2 width2 o"]:
        """Return the outputs, `(b, height2, width2, filters)`."""
        kernel = self.param("kernel", self.kernel_init, (*self.kernel_size, inputs.shape[-1], self.filters))
        convolution = banded_convolution if self.banded else _plain_convolution
        outputs = convolution(inputs, kernel, strides=self.strides, padding=self.padding)
        if not self.use_bias:
            return outputs
        return outputs + self.param("bias", nn.initializers.zeros_init(), (self.filters,))


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """Use XLA's convolution in models applied within the context: fast for many channels, single-threaded on CPU.

    On CPU, strides become blocks of pixels as channels, and only reverse mode can differentiate the convolution.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> layer, images = Conv(2, (3, 3)), jnp.ones((1, 4, 4, 1))
        >>> variables = layer.init(jax.random.key(0), images)
        >>> with plain_convolutions():
        ...     plain = layer.apply(variables, images)
        >>> bool(jnp.allclose(plain, layer.apply(variables, images), atol=1e-6))
        True
    """
    with override_calls(Conv, banded=False):
        yield


@contextmanager
def transposed_gradients() -> Iterator[None]:
    """Compute weight gradients of wide layers applied within the context as (dy^T x)^T: twice as fast on CPU.

    Only reverse mode can differentiate these layers.

    Examples:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> layer, inputs = nn.Dense(2), jnp.ones((3, 300))
        >>> variables = layer.init(jax.random.key(0), inputs)
        >>> with transposed_gradients():
        ...     gradient = jax.grad(lambda v: jnp.sum(layer.apply(v, inputs)))(variables)
        >>> float(gradient["params"]["kernel"].sum())
        1800.0
    """
    with override_calls(nn.Dense, dot_general=_dot_general):
        yield


def _dot_general(lhs: jax.Array, rhs: jax.Array, dimension_numbers: Any, **options: Any) -> jax.Array:
    wide = lhs.ndim == rhs.ndim == 2 and rhs.shape[0] >= MANY_INPUTS
    if not wide or any(value is not None for value in options.values()):
        return jax.lax.dot_general(lhs, rhs, dimension_numbers, **options)
    return _product(lhs, rhs)


@jax.custom_vjp
def _product(inputs: Float[jax.Array, "b i"], kernel: Float[jax.Array, "i o"]) -> Float[jax.Array, "b o"]:
    return inputs @ kernel


def _product_forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return inputs @ kernel, (inputs, kernel)


def _product_backward(operands: tuple[jax.Array, jax.Array], cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = operands
    # Without barriers XLA would fold the transpositions into the product.
    return cotangent @ kernel.T, optimization_barrier(optimization_barrier(cotangent.T) @ inputs).T


_product.defvjp(_product_forward, _product_backward)


def _plain_convolution(
    inputs: Float[Array, "b height width c"],
    kernel: Float[Array, "kh kw c o"],
    *,
    strides: tuple[int, int],
    padding: Padding,
) -> Float[jax.Array, "b height2 width2 o"]:
    images, weights = jnp.asarray(inputs), jnp.asarray(kernel)
    if jax.default_backend() != "cpu":
        return _convolution(images, weights, strides, padding)
    kh, kw = weights.shape[:2]
    pads = padding
    if isinstance(pads, str):
        (low, high), (left, right) = jax.lax.padtype_to_pads(images.shape[1:3], (kh, kw), strides, pads)
        pads = (low, high), (left, right)
    if strides != (1, 1):
        rows, columns = (
            (n + sum(pad) - k) // stride + 1
            for n, pad, k, stride in zip(images.shape[1:3], pads, (kh, kw), strides, strict=True)
        )
        images = jnp.pad(images, ((0, 0), *pads, (0, 0)))
        if (kh, kw) == (1, 1):
            images = images[:, :: strides[0], :: strides[1]]
        else:
            images = _blocks_as_channels(images, strides)
            weights = jnp.moveaxis(_blocks_as_channels(jnp.moveaxis(weights, 3, 0), strides), 0, 3)
        images = images[:, : rows + weights.shape[0] - 1, : columns + weights.shape[1] - 1]
        pads = (0, 0), (0, 0)
    return _canonical(images, weights, pads)


def _convolution(inputs: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    return jax.lax.conv_general_dilated(inputs, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _canonical(inputs: jax.Array, kernel: jax.Array, padding: Pads) -> jax.Array:
    """Convolve with gradients that are convolutions of channels-last images; other layouts are slow in loops."""
    if inputs.shape[3] > FEW_CHANNELS or inputs.shape[2] + sum(padding[1]) < kernel.shape[1]:
        return _convolution(inputs, kernel, (1, 1), padding)
    return _pairwise(inputs, kernel, padding)


def _pairwise(inputs: jax.Array, kernel: jax.Array, padding: Pads) -> jax.Array:
    """Compute two neighboring output columns together, with pairs of input columns as channels."""
    (b, _, width, c), (kh, kw, _, o) = inputs.shape, kernel.shape
    columns = width + sum(padding[1]) - kw + 1
    pairs, window = -(-columns // 2), -(-(kw + 1) // 2)
    padded = _resize(jnp.pad(inputs, ((0, 0), *padding, (0, 0))), 2, 2 * (pairs + window - 1))
    padded = padded.reshape(b, -1, pairs + window - 1, 2 * c)
    band = _resize(_band(kernel, 2).reshape(kh, kw + 1, c, 2 * o), 1, 2 * window).reshape(kh, window, 2 * c, 2 * o)
    return _convolution(padded, band, (1, 1), "VALID").reshape(b, -1, 2 * pairs, o)[:, :, :columns]


def _canonical_forward(
    inputs: jax.Array, kernel: jax.Array, padding: Pads
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _canonical(inputs, kernel, padding), (inputs, kernel)


def _canonical_backward(
    padding: Pads, operands: tuple[jax.Array, jax.Array], cotangent: Array
) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = operands
    (low, high), (left, right) = padding
    kh, kw = kernel.shape[0] - 1, kernel.shape[1] - 1
    # Without barriers XLA would fold the transpositions into the convolution.
    rotated = optimization_barrier(kernel[::-1, ::-1].swapaxes(2, 3))
    to_inputs = _convolution(jnp.asarray(cotangent), rotated, (1, 1), ((kh - low, kh - high), (kw - left, kw - right)))
    images = optimization_barrier(inputs.transpose(3, 1, 2, 0))
    filters = optimization_barrier(jnp.asarray(cotangent).transpose(1, 2, 0, 3))
    return to_inputs, _convolution(images, filters, (1, 1), padding).transpose(1, 2, 0, 3)


_canonical.defvjp(_canonical_forward, _canonical_backward)
