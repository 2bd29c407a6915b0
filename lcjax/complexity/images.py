"""Check of image batches, shared by corruptions and filters."""

from jaxtyping import Num

from lcjax.kernels.arguments import Nested, as_real
from lcjax.typing import Array

__all__ = ["check_images"]


def check_images(images: Num[Array, "n *shape"] | Nested) -> Array:
    """Return the images as an array, or raise ValueError unless they have the shape (n, height, width, channels)."""
    pixels = as_real(images, "images")
    if pixels.ndim != 4:
        raise ValueError(
            f"Images must have the shape (n, height, width, channels), got {pixels.shape}; "
            "images[..., None] adds a channel axis to grey images."
        )
    return pixels
