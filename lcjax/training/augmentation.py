"""Random changes of training images on the device, for `Program.augment`.

Each takes a key and normalized images and returns images of the same shape; `Composed` combines several. They are
frozen records of their strengths, so that they identify the program that holds them.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.typing import Array, KeyArray

__all__ = ["Brightness", "Composed", "Contrast", "Crop", "Lighting", "Saturation", "flip"]

Images: TypeAlias = Float[Array, "b height width c"]
Changed: TypeAlias = Float[jax.Array, "b height width c"]

LUMA = (0.299, 0.587, 0.114)
# Principal components of ImageNet's pixels in [0, 1]: standard deviations, and directions in the columns.
SPREAD = (0.2175, 0.0188, 0.0045)
DIRECTIONS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@dataclasses.dataclass(frozen=True)
class Composed:
    """Several changes in order, each with its own key.

    Attributes:
        changes: augmentations, first to last.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> augment = Composed((Crop(4), flip))
        >>> augment(jax.random.key(0), jnp.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    changes: tuple[Callable[[KeyArray, jax.Array], jax.Array], ...]

    def __call__(self, key: KeyArray, images: Images) -> Changed:
        """Return the changed images."""
        value = jnp.asarray(images)
        for i, change in enumerate(self.changes):
            value = change(jax.random.fold_in(key, i), value)
        return value


@dataclasses.dataclass(frozen=True)
class Crop:
    """Random window of the image's own size in the padded image.

    Attributes:
        padding: pixels added on every side.
        fill: their value, in normalized units.
    """

    padding: int = 4
    fill: float = 0.0

    def __call__(self, key: KeyArray, images: Images) -> Changed:
        """Return the windows."""
        p = self.padding
        padded = jnp.pad(images, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=self.fill)
        place = jax.random.randint(key, (len(images), 2), 0, 2 * p + 1)
        return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), images.shape[1:]))(
            padded, place
        )


def flip(key: KeyArray, images: Images) -> Changed:
    """Mirror each image left to right with probability 1/2.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> images = jnp.arange(2.0).reshape(1, 1, 2, 1) * jnp.ones((100, 1, 1, 1))
        >>> bool(35 < flip(jax.random.key(0), images)[:, 0, 0, 0].sum() < 65)
        True
    """
    mirror = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirror, jnp.asarray(images)[:, :, ::-1], images)


@dataclasses.dataclass(frozen=True)
class Brightness:
    """Distance from black times a factor per image, uniform in [1 - strength, 1 + strength].

    Attributes:
        strength: in [0, 1].
        black: value of a black pixel, in normalized units.
    """

    strength: float = 0.4
    black: float = 0.0

    def __call__(self, key: KeyArray, images: Images) -> Changed:
        """Return brighter or darker images."""
        return self.black + (jnp.asarray(images) - self.black) * _factor(key, images, self.strength)


@dataclasses.dataclass(frozen=True)
class _Scaled:
    """Change by a random factor per image; `strength`, in [0, 1], is half the width of its range around 1."""

    strength: float = 0.4


class Contrast(_Scaled):
    """Distance from the image's mean grey times a factor per image, uniform in [1 - strength, 1 + strength]."""

    def __call__(self, key: KeyArray, images: Images) -> Changed:
        """Return images with more or less contrast."""
        mean = jnp.mean(_grey(images), axis=(1, 2, 3), keepdims=True)
        return mean + (images - mean) * _factor(key, images, self.strength)


class Saturation(_Scaled):
    """Distance of each pixel from its grey times a factor per image, uniform in [1 - strength, 1 + strength]."""

    def __call__(self, key: KeyArray, images: Images) -> Changed:
        """Return more or less colourful images."""
        grey = _grey(images)
        return grey + (images - grey) * _factor(key, images, self.strength)


@dataclasses.dataclass(frozen=True)
class Lighting:
    """Shift along the principal components of ImageNet's colours (Krizhevsky et al., 2012, section 4.1).

    Attributes:
        strength: standard deviation of the random factors of the components.
        scale: normalized units from black to white.
    """

    strength: float = 0.1
    scale: float = 1.0

    def __call__(self, key: KeyArray, images: Images) -> Changed:
        """Return the images in another light.

        Raises:
            ValueError: the images do not have three channels.
        """
        if images.shape[-1] != 3:
            raise ValueError(f"Lighting needs images with three channels, got {images.shape[-1]}.")
        factors = self.strength * jax.random.normal(key, (len(images), 3), images.dtype)
        shift = (factors * jnp.asarray(SPREAD, images.dtype)) @ jnp.asarray(DIRECTIONS, images.dtype).T
        return jnp.asarray(images) + self.scale * shift[:, None, None, :]


def _factor(key: KeyArray, images: Images, strength: float) -> Float[jax.Array, "b 1 1 1"]:
    return jax.random.uniform(key, (len(images), 1, 1, 1), images.dtype, 1 - strength, 1 + strength)


def _grey(images: Images) -> Float[jax.Array, "b height width 1"]:
    if images.shape[-1] != 3:
        return jnp.mean(images, axis=3, keepdims=True)
    return (jnp.asarray(images) @ jnp.asarray(LUMA, images.dtype))[..., None]
