"""Orders by integer keys: argsort by sorting each key packed with its place, which XLA runs several times faster."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, UInt32

__all__ = ["argsort", "order_words", "rough_order"]

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


def argsort(words: list[jax.Array]) -> jax.Array:
    """Stable order of each row by its words, the first the most significant; `(r, w)` int32."""
    order = _order(words[-1])
    for word in words[-2::-1]:
        step = _order(jnp.take_along_axis(word, order, axis=1))
        order = jnp.take_along_axis(order, step, axis=1)
    return order


def _order(word: UInt32[Array, "r w"]) -> jax.Array:
    """Stable order of each row by one word: one sort without a payload, whatever the caller's precision."""
    with jax.enable_x64(True):  # for this sort only: 64-bit integers hold the word and the place
        place = lax.broadcasted_iota(jnp.uint64, word.shape, 1)
        packed = lax.convert_element_type(word, jnp.uint64) << jnp.uint64(32) | place
        # The places differ, so stability changes nothing; XLA's stable sort is the faster on CPU.
        packed = lax.sort(packed, dimension=1, is_stable=True)
        return lax.convert_element_type(packed & jnp.uint64(2**32 - 1), jnp.int32)


def rough_order(value: Float[Array, "r w"], live: Bool[Array, "r w"]) -> jax.Array:
    """Order of each row by its values, in float32; entries that are not live come last; `(r, w)` int32.

    The order groups points for a search; it need not be exact. Differences from a middle value of the row are
    rounded, so that an offset does not blur the bulk.
    """
    sample = jnp.sort(jnp.where(live, value, 0)[:, :: max(1, value.shape[1] // 64)], axis=1)
    centred = (value - sample[:, sample.shape[1] // 2 :][:, :1]).astype(jnp.float32)
    return _order(jnp.where(live, order_words(centred)[0], np.uint32(2**32 - 1)))
