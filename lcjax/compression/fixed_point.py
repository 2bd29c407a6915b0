"""Rounding of values to whole numbers, and overflow of those that a given number of bits cannot hold."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float, Int, Num

from lcjax.kernels.arguments import Nested, as_floating
from lcjax.typing import Array, KeyArray, Scalar

__all__ = [
    "downwards",
    "ends",
    "half_up",
    "nearest_even",
    "power_of_two",
    "saturate",
    "stochastic",
    "towards_zero",
    "wrap",
]

Bits = Int[Array, ""] | int


def nearest_even(value: Num[Array, "*n"] | Nested | Scalar, key: KeyArray | None = None) -> Float[jax.Array, "*n"]:
    """Round to the nearest whole number, ties to the even one (the default of IEEE 754).

    Examples:
        >>> nearest_even(jnp.array([0.5, 1.5, -0.5, -1.2]))
        Array([ 0.,  2., -0., -1.], dtype=float32)
    """
    return jnp.round(as_floating(value, "value"))


def half_up(value: Num[Array, "*n"] | Nested | Scalar, key: KeyArray | None = None) -> Float[jax.Array, "*n"]:
    """Round to the nearest whole number, ties upwards.

    Examples:
        >>> half_up(jnp.array([0.5, 1.5, -0.5, 0.49999997]))
        Array([1., 2., 0., 0.], dtype=float32)
    """
    value = as_floating(value, "value")
    below = jnp.floor(value)
    return below + (value - below >= 0.5)  # value + 0.5 would round 0.49999997 to 1


def downwards(value: Num[Array, "*n"] | Nested | Scalar, key: KeyArray | None = None) -> Float[jax.Array, "*n"]:
    """Round down to a whole number, as dropping bits of a two's complement does.

    Examples:
        >>> downwards(jnp.array([0.9, -0.1]))
        Array([ 0., -1.], dtype=float32)
    """
    return jnp.floor(as_floating(value, "value"))


def towards_zero(value: Num[Array, "*n"] | Nested | Scalar, key: KeyArray | None = None) -> Float[jax.Array, "*n"]:
    """Drop the fraction, so that no weight grows, as Theorem 1 of Sharma et al. (2019) assumes (Eq. (21)).

    Examples:
        >>> towards_zero(jnp.array([0.9, -1.1]))
        Array([ 0., -1.], dtype=float32)
    """
    return jnp.trunc(as_floating(value, "value"))


def stochastic(value: Num[Array, "*n"] | Nested | Scalar, key: KeyArray | None = None) -> Float[jax.Array, "*n"]:
    """Round up with probability equal to the fraction, without bias.

    Raises:
        ValueError: `key` is None.

    Examples:
        >>> bool(jnp.isin(stochastic(jnp.array([0.25, -1.5]), jax.random.key(0)), jnp.array([0, 1, -1, -2])).all())
        True
    """
    if key is None:
        raise ValueError("Stochastic rounding needs a key: quantize(..., rounding=stochastic, key=jax.random.key(0)).")
    value = as_floating(value, "value")
    below = jnp.floor(value)
    return below + (jax.random.uniform(key, value.shape, value.dtype) < value - below)


def saturate(value: Num[Array, "*n"] | Nested | Scalar, bits: Bits) -> Float[jax.Array, "*n"]:
    """Clip whole numbers to `[-2^(bits-1), 2^(bits-1) - 1]`.

    If the dtype cannot represent the upper end (float32 from 26 bits on, bfloat16 from 10), the largest number of the
    dtype below it takes its place.

    Examples:
        >>> saturate(jnp.array([200.0, -200.0, 3.0]), 8)
        Array([ 127., -128.,    3.], dtype=float32)
    """
    value = as_floating(value, "value")
    return jnp.clip(value, *ends(value.dtype, bits))


def wrap(value: Num[Array, "*n"] | Nested | Scalar, bits: Bits) -> Float[jax.Array, "*n"]:
    """Reduce whole numbers modulo `2^bits` to `[-2^(bits-1), 2^(bits-1) - 1]`, as two's complement does.

    Examples:
        >>> wrap(jnp.array([128.0, -129.0, 3.0]), 8)
        Array([-128.,  127.,    3.], dtype=float32)
    """
    value = as_floating(value, "value")
    period = power_of_two(value.dtype, bits)
    rest = value - period * jnp.floor(value / period)  # exact: all three are multiples of the value's last bit
    return jnp.where(rest >= period / 2, rest - period, rest)


def power_of_two(dtype: DTypeLike, exponent: Int[Array, "*n"] | int) -> Float[jax.Array, "*n"]:
    """Compute `2^exponent` exactly, in contrast to `jnp.exp2`.

    Examples:
        >>> power_of_two("float32", -3)
        Array(0.125, dtype=float32)
    """
    return jnp.ldexp(jnp.ones((), dtype), exponent)


def ends(dtype: DTypeLike, bits: Int[Array, "*n"] | int) -> tuple[Float[jax.Array, "*n"], Float[jax.Array, "*n"]]:
    """Return the smallest and the largest whole number of `bits` bits, as far as the dtype can represent them.

    Examples:
        >>> [float(end) for end in ends("float32", 8)], float(ends("bfloat16", 16)[1])
        ([-128.0, 127.0], 32640.0)
    """
    bits, wide = jnp.asarray(bits), jnp.promote_types(dtype, jnp.float32)
    half = power_of_two(wide, bits - 1)
    spacing = power_of_two(wide, jnp.maximum(bits - 2 - jnp.finfo(dtype).nmant, 0))  # of the numbers below `half`
    return -half, half - spacing
