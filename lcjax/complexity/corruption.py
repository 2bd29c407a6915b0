"""Randomized labels and pixels by key: the null experiments of Zhang et al. (2017), section 2.1.

Every function draws the numbers of an example from `fold_in(key, number of the example)`. The corruption of an example
is thus fixed for a run, independent of the minibatch that contains it, and needs no copy of the data.

| condition | training labels | training images | test labels | test images |
|---|---|---|---|---|
| true labels | true | true | true | true |
| corrupted, random labels | `corrupt_labels` | true | true | true |
| shuffled pixels | true | one permutation | true | the same permutation |
| random pixels | true | one permutation each | true | one permutation each, independent |
| Gaussian pixels | true | noise | true | independent noise with the moments of the training set |

The paper reports only the training loss for random and Gaussian pixels; their test images are our choice. Test labels
are always true: with random training labels the test error is the chance error.
"""

from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Integer, Key, Num

from lcjax.complexity.images import check_images
from lcjax.kernels.arguments import Nested, as_array, as_count, as_integers
from lcjax.kernels.compilation import jit
from lcjax.typing import Array, KeyArray, Scalar

__all__ = ["corrupt_labels", "gaussian_pixels", "random_pixels", "shuffle_pixels"]

_SELECTION, _REPLACEMENT = 0, 1  # streams of `corrupt_labels`
_PACKED_PIXELS = 4096  # largest count at which a pixel's number and 20 or more random bits share one word


def corrupt_labels(
    key: KeyArray,
    labels: Integer[Array, " n"] | Nested,
    classes: SupportsIndex,
    probability: Scalar | int,
    *,
    index: Integer[Array, " _"] | Nested | None = None,
) -> Integer[jax.Array, " n"]:
    """Replace each label, with the given probability, by a class drawn uniformly.

    The new class may equal the old one, so that a share `probability * (1 - 1 / classes)` actually changes: Zhang et
    al. (2017), section 2.1, "partially corrupted labels"; `probability=1` gives their "random labels". The labels
    corrupted at one probability are among those corrupted at any larger one, with the same replacements.

    Args:
        key: typed key of the run.
        labels: class numbers from 0.
        classes: number of classes.
        probability: in [0, 1]; not checked if traced.
        index: number of each example in its set, `arange(n)` by default.

    Returns:
        Labels in the dtype of `labels`; at `probability=0` the labels themselves.

    Raises:
        ValueError: the probability lies outside [0, 1], there is only one class, the labels are not integers of a type
            that holds the classes, or `index` has another length or negative numbers.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> labels = jnp.arange(1000) % 10
        >>> noisy = corrupt_labels(jax.random.key(0), labels, 10, 0.5)
        >>> print(round(float(jnp.mean(noisy != labels)), 2))
        0.44
    """
    _check_probability(probability)
    true, count = as_integers(labels, "labels"), as_count(classes, "classes")
    if count < 2:
        raise ValueError(f"Corruption of labels needs at least two classes, got classes={count}.")
    if true.ndim != 1 or count - 1 > np.iinfo(true.dtype).max:
        raise ValueError(
            f"labels must be (n,) in a dtype that holds {count} classes, got {true.shape} in {true.dtype}."
        )
    return _corrupt_labels(key, jnp.asarray(true), count, probability, _numbers(true, index))


def shuffle_pixels(key: KeyArray, images: Num[Array, "n *shape"] | Nested) -> Num[jax.Array, "n *shape"]:
    """Apply one permutation of the pixels to all images, keeping the channels of a pixel together.

    Zhang et al. (2017), section 2.1, "shuffled pixels": use the same key for training and test images.

    Args:
        key: typed key of the run.
        images: `(n, height, width, channels)`; shape and dtype are kept.

    Raises:
        ValueError: the images have no channel axis.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> images = jnp.arange(8).reshape(2, 2, 2, 1)
        >>> shuffled = shuffle_pixels(jax.random.key(0), images)
        >>> print(jnp.all(shuffled[1] - shuffled[0] == 4))
        True
    """
    return _shuffle_pixels(key, jnp.asarray(check_images(images)))


def random_pixels(
    key: KeyArray, images: Num[Array, "n *shape"] | Nested, *, index: Integer[Array, " _"] | Nested | None = None
) -> Num[jax.Array, "n *shape"]:
    """Apply an independent permutation to the pixels of each image, keeping the channels of a pixel together.

    Zhang et al. (2017), section 2.1, "random pixels".

    Args:
        key: typed key of the run; use another one for the test set.
        images: `(n, height, width, channels)`; shape and dtype are kept.
        index: number of each example in its set, `arange(n)` by default; a minibatch needs it to match the whole set.

    Raises:
        ValueError: the images have no channel axis, or `index` has another length.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> images = jax.random.uniform(jax.random.key(1), (5, 8, 8, 3))
        >>> whole = random_pixels(jax.random.key(0), images)
        >>> some = jnp.array([4, 2])
        >>> print(jnp.all(random_pixels(jax.random.key(0), images[some], index=some) == whole[some]))
        True
    """
    pixels = check_images(images)
    return _random_pixels(key, jnp.asarray(pixels), _numbers(pixels, index))


def gaussian_pixels(
    key: KeyArray,
    images: Num[Array, "n *shape"] | Nested,
    *,
    index: Integer[Array, " _"] | Nested | None = None,
    mean: Num[Array, "*m"] | float | None = None,
    standard_deviation: Num[Array, "*s"] | float | None = None,
) -> Float[jax.Array, "n *shape"]:
    """Replace every image by independent normal noise with the mean and variance of the data.

    Zhang et al. (2017), section 2.1, "Gaussian": "with matching mean and variance to the original image dataset". A
    mean and variance per channel are our choice; they match those over all channels too. The noise is neither rounded
    nor clipped, which would change its moments.

    Args:
        key: typed key of the run; use another one for the test set.
        images: `(n, height, width, channels)`; only their shape matters if both moments are given.
        index: number of each example in its set, `arange(n)` by default.
        mean: mean of the data, broadcast against an image; that of each channel of `images` by default. For a part of
            the data, such as a minibatch, pass both moments of the whole.
        standard_deviation: standard deviation of the data, likewise.

    Returns:
        Images of the same shape in the floating dtype of `images`, float32 for bytes and other integers.

    Raises:
        ValueError: the images have no channel axis, or `index` has another length.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> noise = gaussian_pixels(jax.random.key(0), jnp.full((100, 8, 8, 1), 7), standard_deviation=2.0)
        >>> print(round(float(noise.mean()), 1), round(float(noise.std()), 1))
        7.0 2.0
    """
    pixels = check_images(images)
    return _gaussian_pixels(key, jnp.asarray(pixels), _numbers(pixels, index), mean, standard_deviation)


@jit(static_argnames="classes")
def _corrupt_labels(
    key: KeyArray,
    labels: Integer[jax.Array, " n"],
    classes: int,
    probability: Scalar,
    index: Integer[jax.Array, "n ..."],
) -> Integer[jax.Array, " n"]:
    selection, replacement = (_per_example(jax.random.fold_in(key, s), index) for s in (_SELECTION, _REPLACEMENT))
    # float32 and int32 draws are the same with and without x64.
    uniform = jax.vmap(lambda k: jax.random.uniform(k, dtype=jnp.float32))(selection)
    other = jax.vmap(lambda k: jax.random.randint(k, (), 0, classes, jnp.int32))(replacement)
    return jnp.where(uniform < jnp.asarray(probability), other.astype(labels.dtype), labels)


@jit
def _shuffle_pixels(key: KeyArray, images: Num[jax.Array, "n h w c"]) -> Num[jax.Array, "n h w c"]:
    n, height, width, channels = images.shape
    flat = images.reshape(n, height * width, channels)
    return flat[:, permutation(key, height * width)].reshape(images.shape)


@jit
def _random_pixels(
    key: KeyArray, images: Num[jax.Array, "n h w c"], index: Integer[jax.Array, "n ..."]
) -> Num[jax.Array, "n h w c"]:
    n, height, width, channels = images.shape
    order = jax.vmap(lambda k: permutation(k, height * width))(_per_example(key, index))
    flat = images.reshape(n, height * width, channels)
    return jnp.take_along_axis(flat, order[..., None], axis=1).reshape(images.shape)


@jit
def _gaussian_pixels(
    key: KeyArray,
    images: Num[jax.Array, "n h w c"],
    index: Integer[jax.Array, "n ..."],
    mean: Num[Array, "*m"] | float | None,
    deviation: Num[Array, "*s"] | float | None,
) -> Float[jax.Array, "n h w c"]:
    dtype = images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.float32
    if mean is None or deviation is None:
        values = images.astype(dtype)
        mean = jnp.mean(values, axis=(0, 1, 2)) if mean is None else mean
        deviation = jnp.std(values, axis=(0, 1, 2)) if deviation is None else deviation
    noise: jax.Array = jax.vmap(lambda k: jax.random.normal(k, images.shape[1:], dtype))(_per_example(key, index))
    return jnp.asarray(mean, dtype) + jnp.asarray(deviation, dtype) * noise


def permutation(key: KeyArray, count: int) -> Int[jax.Array, " {count}"]:
    """Draw a uniformly random permutation of `count` numbers by sorting single integer words.

    XLA sorts such words several times faster, on CPU and GPU, than the pairs of `jax.random.permutation`.
    """
    bits = jax.random.bits(key, (count + 1,), jnp.uint32)
    if count > _PACKED_PIXELS:
        return jax.lax.sort_key_val(bits[1:], jnp.arange(count))[1]
    width = max(count - 1, 1).bit_length()
    low = jnp.uint32((1 << width) - 1)
    # The low bits of random words hold the numbers. Flipping some of these bits at random breaks ties either way.
    flip = bits[0] & low
    words = (bits[1:] & ~low) | (jnp.arange(count, dtype=jnp.uint32) ^ flip)
    ordered = jnp.sort(jax.lax.bitcast_convert_type(words, jnp.int32))
    order: jax.Array = (jax.lax.bitcast_convert_type(ordered, jnp.uint32) & low) ^ flip
    return order.astype(jnp.int32)


def _per_example(key: KeyArray, index: Integer[jax.Array, "n ..."]) -> Key[jax.Array, " n"]:
    """Return the key of each number; a number beyond 32 bits has two words, the higher first."""
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    if index.ndim == 1:
        return fold(key, index)
    low: jax.Array = fold(key, index[:, 1])
    both = jax.vmap(jax.random.fold_in)(low, index[:, 0])
    return jnp.where(index[:, 0] == 0, low, both)


def _numbers(values: Num[Array, "n ..."], index: Integer[Array, " _"] | Nested | None) -> Integer[jax.Array, "n ..."]:
    """Return the number of each example, or its two words `(n, 2)` if one of them has more than 32 bits."""
    n = values.shape[0]
    if index is None:
        return jnp.arange(n)
    numbers = as_array(index, "index")
    if numbers.shape != (n,) or not (jnp.issubdtype(numbers.dtype, jnp.integer) or not n):
        raise ValueError(
            f"index must have one whole number for each of {n} examples, got shape {numbers.shape} of {numbers.dtype}."
        )
    if isinstance(numbers, np.ndarray) and n:
        if numbers.min() < 0:
            raise ValueError(f"index must not be negative, got {numbers.min()}.")
        if numbers.max() > np.iinfo(np.uint32).max:
            return jnp.asarray(np.stack([numbers >> 32, numbers & np.uint32(2**32 - 1)], axis=1).astype(np.uint32))
        return jnp.asarray(numbers.astype(np.uint32))
    return jnp.asarray(numbers)


def _check_probability(probability: Scalar | int) -> None:
    if isinstance(probability, jax.core.Tracer):
        return
    value = np.asarray(probability)
    if not np.all((value >= 0) & (value <= 1)):
        raise ValueError(f"probability must lie in [0, 1], got {value}.")
