"""Orders by integer keys: stable argsort built from sorts without a payload, which XLA runs several times faster."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float

__all__ = ["argsort_words", "order_words", "rough_order"]

Array = jax.Array | np.ndarray


def order_words(value: Float[Array, "*b"]) -> list[jax.Array]:
    """Unsigned words, most significant first, that order as the values do; -0 equals 0, nan is not expected."""
    value = jnp.asarray(value)
    value = jnp.where(value == 0, jnp.zeros_like(value), value)
    if value.dtype == jnp.float64:
        bits = lax.bitcast_convert_type(value, jnp.uint64)
        bits = jnp.where(bits >> 63 == 1, ~bits, bits | (jnp.uint64(1) << 63))
        return [(bits >> 32).astype(jnp.uint32), bits.astype(jnp.uint32)]
    bits = lax.bitcast_convert_type(value, jnp.uint32)
    return [jnp.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))]


def argsort_words(words: list[jax.Array]) -> jax.Array:
    """Stable order of each row by its words, the first the most significant; `(r, w)` int32.

    Each pass sorts some digits of the key packed with the position, least significant digits first.
    """
    rows, width = words[0].shape
    place = max(1, (width - 1).bit_length())
    free = 32 - place
    position = lax.broadcasted_iota(jnp.uint32, (rows, width), 1)
    order = position.astype(jnp.int32)
    for word in reversed(words):
        for shift in range(0, 32, free):
            digits = word >> shift
            if shift > 0 or word is not words[-1]:
                digits = jnp.take_along_axis(digits, order, axis=1)
            packed = lax.sort(digits << place | position, dimension=1, is_stable=False)
            step = (packed & np.uint32((1 << place) - 1)).astype(jnp.int32)
            order = jnp.take_along_axis(order, step, axis=1)
    return order


def rough_order(value: Float[Array, "r w"], live: Bool[Array, "r w"]) -> jax.Array:
    """Order of each row by its values, to about 15 digits; entries that are not live come last; `(r, w)` int32.

    The order groups points for a search; it need not be exact. Differences from a middle value of the row are
    rounded to their leading bits, so that offsets and outliers do not blur the bulk.
    """
    rows, width = value.shape
    sample = jnp.sort(jnp.where(live, value, 0)[:, :: max(1, width // 64)], axis=1)
    centred = (value - sample[:, sample.shape[1] // 2 :][:, :1]).astype(jnp.float32)
    key = jnp.where(live, order_words(centred)[0], np.uint32(2**32 - 1))
    place = max(1, (width - 1).bit_length())
    free = 32 - place
    position = lax.broadcasted_iota(jnp.uint32, (rows, width), 1)
    order = position.astype(jnp.int32)
    for skipped in (0,) if free >= 16 else (free, 0):
        digits = key << skipped >> place << place
        if skipped == 0 and free < 16:
            digits = jnp.take_along_axis(digits, order, axis=1)
        packed = lax.sort(digits | position, dimension=1, is_stable=False)
        step = (packed & np.uint32((1 << place) - 1)).astype(jnp.int32)
        order = jnp.take_along_axis(order, step, axis=1)
    return order
