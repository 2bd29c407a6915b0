"""Randomized labels and pixels by key: the null experiments of Zhang et al. (2017), section 2.1.

Every function draws the numbers of an example from `fold_in(key, number of the example)`. What an example becomes is
thus fixed once for a run, whichever minibatch it comes in, and needs no copy of the data.

What becomes of the test set:

| condition | training labels | training images | test labels | test images |
|---|---|---|---|---|
| true labels | true | true | true | true |
| corrupted, random labels | `corrupt_labels` | true | true | true |
| shuffled pixels | true | one permutation | true | the same permutation |
| random pixels | true | one permutation each | true | one permutation each, of their own |
| Gaussian pixels | true | noise | true | noise of their own, with the moments of the training set |

The paper shows the training loss only for random and Gaussian pixels; their test images are our choice. Test labels
stay true always: with random training labels the test error is that of guessing.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Integer, Key, Num

from lcjax.kernels.compilation import jit

__all__ = ["corrupt_labels", "gaussian_pixels", "random_pixels", "shuffle_pixels"]

Array = jax.Array | np.ndarray

_CHOSEN, _REPLACEMENT = 0, 1  # streams of `corrupt_labels`
_PACKED_PIXELS = 4096  # up to which a pixel's number and 20 or more random bits share one word


def corrupt_labels(
    key: Key[Array, ""],
    labels: Integer[Array, " n"],
    classes: int,
    probability: Num[Array, ""] | float | int,
    *,
    index: Integer[Array, " _"] | None = None,
) -> Integer[jax.Array, " n"]:
    """Replace each label with the given probability by a class drawn uniformly.

    The new class may equal the old one, so that a share `probability * (1 - 1 / classes)` really changes: Zhang et al.
    (2017), section 2.1, "partially corrupted labels"; `probability=1` is their "random labels". The labels corrupted at
    one probability are among those corrupted at any larger one, and become the same.

    Args:
        key: typed key of the run.
        labels: class numbers from 0.
        classes: how many there are.
        probability: in [0, 1]; may be traced, and is then not checked.
        index: number of each example in its set, `arange(n)` by default.

    Returns:
        Labels in the dtype of `labels`; at `probability=0` the labels themselves.

    Raises:
        ValueError: the probability lies outside [0, 1], there is one class only, or `index` has another length.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> labels = jnp.arange(1000) % 10
        >>> noisy = corrupt_labels(jax.random.key(0), labels, 10, 0.5)
        >>> print(round(float(jnp.mean(noisy != labels)), 2))
        0.44
    """
    _check_probability(probability)
    if classes < 2:
        raise ValueError(f"Labels are corrupted among at least two classes, got classes={classes}.")
    return _corrupt_labels(key, jnp.asarray(labels), classes, probability, _numbers(labels, index))


def shuffle_pixels(key: Key[Array, ""], images: Num[Array, "n *shape"]) -> Num[jax.Array, "n *shape"]:
    """Apply one permutation of the pixels to all images; the channels of a pixel move together.

    Zhang et al. (2017), section 2.1, "shuffled pixels": training and test images by the same key.

    Args:
        key: typed key of the run.
        images: `(n, height, width, channels)`.

    Returns:
        Images of the same shape and dtype.

    Raises:
        ValueError: the images have no channel axis.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> images = jnp.arange(8).reshape(2, 2, 2, 1)
        >>> shuffled = shuffle_pixels(jax.random.key(0), images)
        >>> print(jnp.all(shuffled[1] - shuffled[0] == 4))
        True
    """
    _check_images(images)
    return _shuffle_pixels(key, jnp.asarray(images))


def random_pixels(
    key: Key[Array, ""], images: Num[Array, "n *shape"], *, index: Integer[Array, " _"] | None = None
) -> Num[jax.Array, "n *shape"]:
    """Apply a permutation of its own to the pixels of each image; the channels of a pixel move together.

    Zhang et al. (2017), section 2.1, "random pixels".

    Args:
        key: typed key of the run; one of its own for the test set.
        images: `(n, height, width, channels)`.
        index: number of each example in its set, `arange(n)` by default: gathering images and numbers first gives the
            same pixels.

    Returns:
        Images of the same shape and dtype.

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
    _check_images(images)
    return _random_pixels(key, jnp.asarray(images), _numbers(images, index))


def gaussian_pixels(
    key: Key[Array, ""],
    images: Num[Array, "n *shape"],
    *,
    index: Integer[Array, " _"] | None = None,
    mean: Num[Array, "..."] | float | None = None,
    standard_deviation: Num[Array, "..."] | float | None = None,
) -> Float[jax.Array, "n *shape"]:
    """Replace every image by independent normal noise with mean and variance of the data.

    Zhang et al. (2017), section 2.1, "Gaussian": "with matching mean and variance to the original image dataset". One
    mean and variance a channel are our choice; they match those over all channels too. Noise is neither rounded nor
    clipped, which would change its moments.

    Args:
        key: typed key of the run; one of its own for the test set.
        images: `(n, height, width, channels)`; only their shape counts where both moments are given.
        index: number of each example in its set, `arange(n)` by default.
        mean: of the data, broadcast against an image; by default that of each channel of `images`. Where `images` is a
            part of the data, a minibatch for instance, give both moments of the whole.
        standard_deviation: likewise.

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
    _check_images(images)
    return _gaussian_pixels(key, jnp.asarray(images), _numbers(images, index), mean, standard_deviation)


@jit(static_argnames="classes")
def _corrupt_labels(key: Any, labels: Any, classes: int, probability: Any, index: Any) -> jax.Array:
    chosen, replacement = (_per_example(jax.random.fold_in(key, s), index) for s in (_CHOSEN, _REPLACEMENT))
    uniform = jax.vmap(lambda k: jax.random.uniform(k, dtype=jnp.float32))(chosen)  # alike with and without x64
    drawn = jax.vmap(lambda k: jax.random.randint(k, (), 0, classes, jnp.int32))(replacement)
    return jnp.where(uniform < probability, drawn.astype(labels.dtype), labels)


@jit
def _shuffle_pixels(key: Any, images: Num[jax.Array, "n h w c"]) -> jax.Array:
    n, height, width, channels = images.shape
    flat = images.reshape(n, height * width, channels)
    return flat[:, permutation(key, height * width)].reshape(images.shape)


@jit
def _random_pixels(key: Any, images: Num[jax.Array, "n h w c"], index: Int[jax.Array, " n"]) -> jax.Array:
    n, height, width, channels = images.shape
    order = jax.vmap(lambda k: permutation(k, height * width))(_per_example(key, index))
    flat = images.reshape(n, height * width, channels)
    return jnp.take_along_axis(flat, order[..., None], axis=1).reshape(images.shape)


@jit
def _gaussian_pixels(key: Any, images: Num[jax.Array, "n h w c"], index: Any, mean: Any, deviation: Any) -> jax.Array:
    dtype = images.dtype if jnp.issubdtype(images.dtype, jnp.floating) else jnp.float32
    if mean is None or deviation is None:
        values = images.astype(dtype)
        mean = jnp.mean(values, axis=(0, 1, 2)) if mean is None else mean
        deviation = jnp.std(values, axis=(0, 1, 2)) if deviation is None else deviation
    noise = jax.vmap(lambda k: jax.random.normal(k, images.shape[1:], dtype))(_per_example(key, index))
    return jnp.asarray(mean, dtype) + jnp.asarray(deviation, dtype) * noise


def permutation(key: Key[Array, ""], count: int) -> Int[jax.Array, " {count}"]:
    """A uniformly random permutation of `count` numbers, by one sort of integer words without companions.

    XLA sorts such words several times faster than pairs, as `jax.random.permutation` needs them, on CPU and GPU.
    """
    bits = jax.random.bits(key, (count + 1,), jnp.uint32)
    if count > _PACKED_PIXELS:
        return jax.lax.sort_key_val(bits[1:], jnp.arange(count))[1]
    width = max(count - 1, 1).bit_length()
    low = jnp.uint32((1 << width) - 1)
    # Numbers fill the low bits of random words. Flipping some of those bits at random breaks ties either way.
    flip = bits[0] & low
    words = (bits[1:] & ~low) | (jnp.arange(count, dtype=jnp.uint32) ^ flip)
    ordered = jnp.sort(jax.lax.bitcast_convert_type(words, jnp.int32))
    return ((jax.lax.bitcast_convert_type(ordered, jnp.uint32) & low) ^ flip).astype(jnp.int32)


def _per_example(key: Any, index: Any) -> jax.Array:
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)


def _numbers(values: Any, index: Any) -> jax.Array:
    n = values.shape[0]
    if index is None:
        return jnp.arange(n)
    if index.shape != (n,):
        raise ValueError(f"index must have one number for each of {n} examples, got shape {index.shape}.")
    return jnp.asarray(index)


def _check_probability(probability: Any) -> None:
    if isinstance(probability, jax.core.Tracer):
        return
    value = np.asarray(probability)
    if not np.all((value >= 0) & (value <= 1)):
        raise ValueError(f"probability must lie in [0, 1], got {value}.")


def _check_images(images: Any) -> None:
    if images.ndim != 4:
        raise ValueError(
            f"Images must have the shape (n, height, width, channels), got {images.shape}; "
            "images[..., None] adds a channel axis to grey images."
        )
