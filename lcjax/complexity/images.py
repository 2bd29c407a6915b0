"""Check of image batches, shared by corruptions and filters."""

from jaxtyping import Num

from lcjax.typing import Array

__all__ = ["check_images"]


def check_images(images: Num[Array, "n *shape"]) -> None:
    """Raise ValueError unless the images have the shape (n, height, width, channels)."""
    if images.ndim != 4:
        raise ValueError(
            f"Images must have the shape (n, height, width, channels), got {images.shape}; "
            "images[..., None] adds a channel axis to grey images."
        )
