"""Sorting by integer keys: the order of the numbers, several times faster where XLA compares floats."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Int32, Num, UInt32

from lcjax.kernels.arguments import Nested, as_floating
from lcjax.typing import Array

__all__ = ["argsort", "ascending", "order_words"]


def ascending(values: Num[Array, "*b n"] | Nested) -> Float[jax.Array, "*b n"]:
    """Sort floating numbers along the last axis, nan last, by their bits as integers.

    Args:
        values: floating numbers of any precision, in any unit.

    Returns:
        The same numbers in order, in that unit; -0 comes before 0. Differentiable.

    Raises:
        ValueError: the values are not an array of real numbers.

    Examples:
        >>> import jax.numpy as jnp
        >>> ascending(jnp.array([2.0, jnp.nan, -jnp.inf, -1.0])).tolist()
        [-inf, -1.0, 2.0, nan]
    """
    numbers = as_floating(values, "values")
    if numbers.ndim == 0:
        raise ValueError("values must have an axis to sort along, got one number.")
    return _ascending(numbers)


@jax.custom_jvp
def _ascending(values: Float[Array, "*b n"]) -> Float[jax.Array, "*b n"]:
    return lax.bitcast_convert_type(_flip(jnp.sort(_keys(values), axis=-1)), values.dtype)


@_ascending.defjvp
def _ascending_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (values,), (change,) = primals, tangents
    rows = values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
    rows = jnp.where(jnp.isnan(rows), jnp.nan, rows).astype(jnp.promote_types(rows.dtype, jnp.float32))
    order = argsort(order_words(rows)).reshape(values.shape)
    return jnp.take_along_axis(values, order, axis=-1), jnp.take_along_axis(change, order, axis=-1)


def _keys(values: Float[Array, "*b n"]) -> Int[jax.Array, "*b n"]:
    """Return integers in the order of the numbers; every nan maps to the integer above that of inf."""
    values = jnp.where(jnp.isnan(values), jnp.asarray(jnp.nan, values.dtype), values)
    return _flip(lax.bitcast_convert_type(values, jnp.dtype(f"int{8 * values.dtype.itemsize}")))


def _flip(bits: Int[jax.Array, "*b n"]) -> Int[jax.Array, "*b n"]:
    """Reverse the order of the negative integers; an involution."""
    return jnp.asarray(bits ^ (bits >> (8 * bits.dtype.itemsize - 1) & np.iinfo(bits.dtype).max))


def order_words(value: Float[Array, "*b"]) -> list[jax.Array]:
    """Return unsigned words, most significant first, in the order of the values; -0 equals 0, nan is not handled."""
    value = jnp.asarray(value)
    value = jnp.where(value == 0, jnp.zeros_like(value), value)
    if value.dtype == jnp.float64:
        bits = lax.bitcast_convert_type(value, jnp.uint64)
        bits = jnp.where(bits >> 63 == 1, ~bits, bits | (jnp.uint64(1) << 63))
        return [(bits >> 32).astype(jnp.uint32), bits.astype(jnp.uint32)]
    bits = lax.bitcast_convert_type(value, jnp.uint32)
    return [jnp.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))]


def argsort(words: list[jax.Array]) -> Int32[jax.Array, "r w"]:
    """Sort the indices of each row by its words, the first the most significant; equal ones stay in order."""
    order = _order(words[-1])
    for word in words[-2::-1]:
        step = _order(jnp.take_along_axis(word, order, axis=1))
        order = jnp.take_along_axis(order, step, axis=1)
    return order


def _order(word: UInt32[Array, "r w"]) -> Int32[jax.Array, "r w"]:
    """Sort the indices of each row by one word: one sort without a payload, whatever the caller's precision."""
    with jax.enable_x64(True):  # for this sort only: 64-bit integers hold the word and the place
        place = lax.broadcasted_iota(jnp.uint64, word.shape, 1)
        packed = lax.convert_element_type(word, jnp.uint64) << jnp.uint64(32) | place
        # The places differ, so stability changes nothing; XLA's stable sort is the faster on CPU.
        packed = lax.sort(packed, dimension=1, is_stable=True)
        return lax.convert_element_type(packed & jnp.uint64(2**32 - 1), jnp.int32)
