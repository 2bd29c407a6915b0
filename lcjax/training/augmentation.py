"""Random changes of training images, on the device: `augment` of a program; none by default.

Each takes a key and normalised images and gives images of the same shape; several are combined by `Composed`. They are
frozen records of their strengths, so that a program that holds one is known by it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

__all__ = ["Brightness", "Composed", "Contrast", "Crop", "Lighting", "Saturation", "flip"]

Array = jax.Array | np.ndarray
Images = Float[Array, "b height width c"]

LUMA = (0.299, 0.587, 0.114)
# Principal components of ImageNet's pixels in [0, 1]: standard deviations, and directions in the columns.
SPREAD = (0.2175, 0.0188, 0.0045)
DIRECTIONS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@dataclasses.dataclass(frozen=True)
class Composed:
    """One change after the other, each with a key of its own.

    Attributes:
        changes: in this order.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> augment = Composed((Crop(4), flip))
        >>> augment(jax.random.key(0), jnp.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    changes: tuple[Callable[..., Any], ...]

    def __call__(self, key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
        """The changed images."""
        value: Any = jnp.asarray(images)
        for i, change in enumerate(self.changes):
            value = change(jax.random.fold_in(key, i), value)
        return value


@dataclasses.dataclass(frozen=True)
class Crop:
    """A window of the image's own size somewhere in the image padded with `fill`.

    Attributes:
        padding: pixels added on every side.
        fill: what they hold, in normalised units.
    """

    padding: int = 4
    fill: float = 0.0

    def __call__(self, key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
        """The windows."""
        p = self.padding
        padded = jnp.pad(images, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=self.fill)
        place = jax.random.randint(key, (len(images), 2), 0, 2 * p + 1)
        return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:]))(
            padded, place
        )


def flip(key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
    """Left and right exchanged, for each image with probability 1/2.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> images = jnp.arange(2.0).reshape(1, 1, 2, 1) * jnp.ones((100, 1, 1, 1))
        >>> bool(35 < flip(jax.random.key(0), images)[:, 0, 0, 0].sum() < 65)
        True
    """
    chosen = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(chosen, jnp.asarray(images)[:, :, ::-1], images)


@dataclasses.dataclass(frozen=True)
class Brightness:
    """Each image's distance from black times a factor drawn uniformly from [1 - strength, 1 + strength].

    Attributes:
        strength: in [0, 1].
        black: the value of a black pixel, in normalised units.
    """

    strength: float = 0.4
    black: float = 0.0

    def __call__(self, key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
        """The brighter or darker images."""
        return self.black + (jnp.asarray(images) - self.black) * _factor(key, images, self.strength)


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Each image's distance from its mean grey times a factor drawn uniformly from [1 - strength, 1 + strength].

    Attributes:
        strength: in [0, 1].
    """

    strength: float = 0.4

    def __call__(self, key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
        """The images with more or less contrast."""
        mean = jnp.mean(_grey(images), axis=(1, 2, 3), keepdims=True)
        return mean + (images - mean) * _factor(key, images, self.strength)


@dataclasses.dataclass(frozen=True)
class Saturation:
    """Each pixel's distance from its grey times a factor drawn uniformly from [1 - strength, 1 + strength].

    Attributes:
        strength: in [0, 1].
    """

    strength: float = 0.4

    def __call__(self, key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
        """The more or less colourful images."""
        grey = _grey(images)
        return grey + (images - grey) * _factor(key, images, self.strength)


@dataclasses.dataclass(frozen=True)
class Lighting:
    """Each image shifted along the principal components of ImageNet's colours (Krizhevsky et al., 2012, section 4.1).

    Attributes:
        strength: standard deviation of the random factors of the components.
        scale: normalised units for the step from black to white.
    """

    strength: float = 0.1
    scale: float = 1.0

    def __call__(self, key: Key[Array, ""], images: Images) -> Float[jax.Array, "b height width c"]:
        """The images in another light.

        Raises:
            ValueError: they have not three channels.
        """
        if images.shape[-1] != 3:
            raise ValueError(f"Lighting changes images of three channels, got {images.shape[-1]}.")
        factors = self.strength * jax.random.normal(key, (len(images), 3), images.dtype)
        shift = (factors * jnp.asarray(SPREAD, images.dtype)) @ jnp.asarray(DIRECTIONS, images.dtype).T
        return jnp.asarray(images) + self.scale * shift[:, None, None, :]


def _factor(key: Key[Array, ""], images: Images, strength: float) -> jax.Array:
    return jax.random.uniform(key, (len(images), 1, 1, 1), images.dtype, 1 - strength, 1 + strength)


def _grey(images: Images) -> jax.Array:
    if images.shape[-1] != 3:
        return jnp.mean(images, axis=3, keepdims=True)
    return (jnp.asarray(images) @ jnp.asarray(LUMA, images.dtype))[..., None]
