"""Fixed image features for kernels: Gabor filters, and random filters cut from the images."""

import math
from collections.abc import Callable
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.complexity.images import check_images
from lcjax.kernels.arguments import Nested, as_count, check_finite
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, KeyArray, Scalar

__all__ = ["Filters", "gabor_features", "random_filter_gram", "random_filters"]

_HIGHEST = jax.lax.Precision.HIGHEST
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def gabor_features(
    images: Num[Array, "n *shape"] | Nested,
    *,
    wavelengths: tuple[float, ...] = (4.0, 6.0, 9.0),
    orientations: SupportsIndex = 8,
    pool: SupportsIndex = 4,
    batch: SupportsIndex = 500,
) -> Float[jax.Array, "n d"]:
    """Compute the magnitudes of a Gabor wavelet transform, averaged over squares of `pool` pixels.

    A filter is a plane wave under a Gaussian whose standard deviation is 0.45 wavelengths, with zero mean; the
    magnitude is that of its even and odd part. Zhang et al. (2017), section 5, name a "Gabor wavelet transform" without
    parameters: these are our choice.

    Args:
        images: `(n, height, width, channels)`.
        wavelengths: in pixels.
        orientations: number of directions, evenly over half a turn.
        pool: side of the squares; the image is cropped to a multiple.
        batch: number of images per pass.

    Returns:
        Features `(n, (height // pool) * (width // pool) * orientations * wavelengths * channels)`.

    Raises:
        ValueError: the images have no channel axis or are smaller than a square.

    Examples:
        >>> import jax.numpy as jnp
        >>> gabor_features(jnp.ones((2, 28, 28, 1))).shape
        (2, 1176)
    """
    pixels = check_images(images)
    _, height, width, _ = pixels.shape
    side, directions = as_count(pool, "pool"), as_count(orientations, "orientations")
    if min(height, width) < side:
        raise ValueError(f"Squares of {side} pixels do not fit into images of {height}x{width}.")
    if not wavelengths or not all(0 < wavelength < math.inf for wavelength in wavelengths):
        raise ValueError(f"wavelengths must be positive numbers of pixels, got {wavelengths}.")
    bank = jnp.asarray(_gabor_bank(wavelengths, directions), jnp.float32)
    return _in_batches(lambda part: _gabor(part, bank, side), pixels, as_count(batch, "batch"))


def _in_batches(
    function: Callable[[Num[Array, "b h w c"]], Float[jax.Array, "b d"]], images: Num[Array, "n h w c"], batch: int
) -> Float[jax.Array, "n d"]:
    """Apply a function to batches of one size, the last one padded with zeros, so that it is compiled once."""
    n = len(images)
    batch = min(batch, max(n, 1))
    if n == 0:  # one batch gives the width
        return function(np.zeros((1, *images.shape[1:]), images.dtype))[:0]
    padded = np.concatenate([np.asarray(images), np.zeros((-n % batch, *images.shape[1:]), images.dtype)])
    return jnp.concatenate([function(padded[i : i + batch]) for i in range(0, len(padded), batch)])[:n]


def _gabor_bank(wavelengths: tuple[float, ...], orientations: int) -> Float[np.ndarray, "k k f"]:
    """Return even and odd filters, each pair with the energy of one."""
    radius = math.ceil(1.1 * max(wavelengths))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    filters = []
    for wavelength in wavelengths:
        window = np.exp(-(x**2 + y**2) / (2 * (0.45 * wavelength) ** 2))
        for i in range(orientations):
            angle = np.pi * i / orientations
            phase = 2 * np.pi / wavelength * (x * np.cos(angle) + y * np.sin(angle))
            even = window * (np.cos(phase) - np.sum(window * np.cos(phase)) / np.sum(window))
            odd = window * np.sin(phase)
            filters += [part / np.sqrt(np.sum(even**2)) for part in (even, odd)]
    return np.stack(filters, axis=2)


@jit(static_argnames="pool")
def _gabor(images: Num[Array, "b h w c"], bank: Float[jax.Array, "k k f"], pool: int) -> Float[jax.Array, "b d"]:
    b, height, width, channels = images.shape
    planes = jnp.moveaxis(images.astype(bank.dtype), 3, 1).reshape(b * channels, height, width, 1)
    answer = jax.lax.conv_general_dilated(
        planes, bank[:, :, None], (1, 1), "SAME", dimension_numbers=_DIMENSIONS, precision=_HIGHEST
    )
    magnitude = jnp.sqrt(jnp.sum(answer.reshape(*answer.shape[:3], -1, 2) ** 2, axis=-1) + 1e-12)
    rows, columns = height // pool, width // pool
    squares = magnitude[:, : rows * pool, : columns * pool].reshape(-1, rows, pool, columns, pool, magnitude.shape[-1])
    return jnp.mean(squares, axis=(2, 4)).reshape(b, -1)


@record
class Filters:
    """Random filters for whitened patches, in float32.

    Attributes:
        kernel: `(side, side, c, f)`.
        bias: contribution of the mean patch, `(f,)`.
        floor: added to the variance of a patch before division by its contrast, `()`.
    """

    kernel: Float[Array, "k k2 c f"]
    bias: Float[Array, " f"]
    floor: Float[Array, ""]


def random_filters(
    key: KeyArray,
    images: Num[Array, "n *shape"] | Nested,
    count: SupportsIndex,
    *,
    side: SupportsIndex = 6,
    patches: SupportsIndex = 20_000,
) -> Filters:
    """Draw filters at random from the whitened patches of images, without k-means or training.

    Coates and Ng (2012); Zhang et al. (2017), section 5, use "a random convolutional neural net with 32,000 random
    filters" and refer to this line of work.

    Args:
        key: typed key of the draw.
        images: `(n, height, width, channels)`, from which patches are cut.
        count: number of filters.
        side: side of a patch in pixels.
        patches: number of patches for mean and covariance.

    Raises:
        ValueError: the images have no channel axis or are smaller than a patch, or `count` is not positive.

    Examples:
        >>> import jax
        >>> images = jax.random.uniform(jax.random.key(0), (50, 12, 12, 3))
        >>> random_filters(jax.random.key(1), images, 7, patches=500).kernel.shape
        (6, 6, 3, 7)
    """
    pixels = check_images(images)
    n, height, width, channels = pixels.shape
    count, side, patches = as_count(count, "count"), as_count(side, "side"), as_count(patches, "patches")
    if n == 0 or side > min(height, width):
        raise ValueError(
            f"count={count} patches of {side}x{side} pixels cannot be cut from images of {height}x{width}, {n} of them."
        )
    check_finite("images", pixels)
    total = max(count, patches)
    limits = n, height - side + 1, width - side + 1
    draws = zip(jax.random.split(key, 3), limits, strict=True)
    number, top, left = (np.asarray(jax.random.randint(k, (total,), 0, limit)) for k, limit in draws)
    rows, columns = top[:, None, None] + np.arange(side)[:, None], left[:, None, None] + np.arange(side)
    patch = np.asarray(pixels)[number[:, None, None], rows, columns].reshape(total, -1).astype(np.float64)
    patch -= patch.mean(axis=1, keepdims=True)
    floor = 0.05 * np.mean(patch**2)
    if not floor > 0:
        raise ValueError(f"Filters need images with contrast, got {n} images of equal pixels.")
    patch /= np.sqrt(np.mean(patch**2, axis=1, keepdims=True) + floor)
    mean = patch.mean(axis=0)
    value, vector = np.linalg.eigh(np.cov(patch, rowvar=False))
    whiten = vector * np.sqrt(1 / (value + 1e-2 * value.max()))[None] @ vector.T
    filters = (patch[:count] - mean) @ whiten
    filters /= np.maximum(np.linalg.norm(filters, axis=1, keepdims=True), 1e-12)
    kernel = (whiten @ filters.T).reshape(side, side, channels, count)
    return Filters(*(jnp.asarray(value, jnp.float32) for value in (kernel, -(mean @ whiten) @ filters.T, floor)))


def random_filter_gram(
    filters: Filters,
    rows: Num[Array, "m *shape"] | Nested,
    columns: Num[Array, "n *shape"] | Nested | None = None,
    *,
    threshold: float = 0.25,
    filters_at_once: SupportsIndex = 256,
    batch: SupportsIndex = 500,
) -> Float[jax.Array, "m n"]:
    """Compute the Gram matrix of the images' random features for `gram_interpolation`, without storing the features.

    The features of an image are `relu(response - threshold)` and `relu(-response - threshold)` of every filter on
    patches of unit contrast, averaged over the four quarters of the image: 8 numbers per filter. Memory is m n numbers
    and the features of `filters_at_once` filters.

    Args:
        filters: from `random_filters`.
        rows: m images.
        columns: n images; the rows by default.
        threshold: of a response.
        filters_at_once: number of filters per pass.
        batch: number of images per pass.

    Raises:
        ValueError: the images have no channel axis.

    Examples:
        >>> import jax
        >>> images = jax.random.uniform(jax.random.key(0), (20, 12, 12, 1))
        >>> filters = random_filters(jax.random.key(1), images, 30, patches=500)
        >>> random_filter_gram(filters, images[:2], images).shape
        (2, 20)
    """
    left_images = check_images(rows)
    right_images = None if columns is None else check_images(columns)
    at_once, batch = as_count(filters_at_once, "filters_at_once"), as_count(batch, "batch")
    gram = jnp.zeros((), filters.kernel.dtype)
    count = filters.bias.shape[0]
    for i in range(0, count, at_once):
        some = slice(i, i + at_once)
        part = Filters(filters.kernel[..., some], filters.bias[some], filters.floor)
        left = _features(left_images, part, threshold, batch)
        right = left if right_images is None else _features(right_images, part, threshold, batch)
        gram = gram + jnp.matmul(left, right.T, precision=_HIGHEST)
    return gram / count


def _features(images: Num[Array, "n h w c"], filters: Filters, threshold: float, batch: int) -> Float[jax.Array, "n d"]:
    return _in_batches(lambda part: _responses(part, filters, threshold), images, batch)


@jit
def _responses(images: Num[Array, "b h w c"], filters: Filters, threshold: Scalar) -> Float[jax.Array, "b d"]:
    kernel = jnp.asarray(filters.kernel)
    side, channels = kernel.shape[0], kernel.shape[2]
    values = jnp.asarray(images).astype(kernel.dtype)

    def convolve(
        values: Float[jax.Array, "b h w c"], kernel: Float[jax.Array, "k k2 c f"]
    ) -> Float[jax.Array, "b y x f"]:
        return jax.lax.conv_general_dilated(
            values, kernel, (1, 1), "VALID", dimension_numbers=_DIMENSIONS, precision=_HIGHEST
        )

    limit = jnp.asarray(threshold)
    # Every patch is normalized to mean 0 and unit contrast by correcting its response.
    ones = jnp.ones((side, side, channels, 1), kernel.dtype) / (side * side * channels)
    mean = convolve(values, ones)
    contrast = jnp.sqrt(jnp.maximum(convolve(values**2, ones) - mean**2, 0) + filters.floor)
    response = (convolve(values, kernel) - mean * jnp.sum(kernel, axis=(0, 1, 2))) / contrast + filters.bias
    parts = jnp.concatenate([jax.nn.relu(response - limit), jax.nn.relu(-response - limit)], axis=3)
    height, width = parts.shape[1] // 2, parts.shape[2] // 2
    quarters = [
        jnp.mean(parts[:, y, x], axis=(1, 2))
        for y in (slice(height), slice(height, None))
        for x in (slice(width), slice(width, None))
    ]
    return jnp.concatenate(quarters, axis=1)
