"""A rough order of points along one direction, to group them for a search."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from lcjax.kernels.integer_sort import argsort, order_words

__all__ = ["rough_order"]

Array = jax.Array | np.ndarray


def rough_order(value: Float[Array, "r w"], live: Bool[Array, "r w"]) -> jax.Array:
    """Order of each row by its values, in float32; entries that are not live come last; `(r, w)` int32.

    The order groups points for a search; it need not be exact. Differences from a middle value of the row are
    rounded, so that an offset does not blur the bulk.
    """
    sample = jnp.sort(jnp.where(live, value, 0)[:, :: max(1, value.shape[1] // 64)], axis=1)
    centred = (value - sample[:, sample.shape[1] // 2 :][:, :1]).astype(jnp.float32)
    return argsort([jnp.where(live, order_words(centred)[0], np.uint32(2**32 - 1))])
