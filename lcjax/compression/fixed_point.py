"""Whole numbers of so many bits: how a value is rounded to one, and what happens to one that does not fit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

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

Array = jax.Array | np.ndarray


def nearest_even(value: Float[Array, "*n"], key: Key[jax.Array, ""] | None = None) -> Float[jax.Array, "*n"]:
    """Round to the nearest whole number, halves to the even one (the default of IEEE 754).

    Examples:
        >>> nearest_even(jnp.array([0.5, 1.5, -0.5, -1.2]))
        Array([ 0.,  2., -0., -1.], dtype=float32)
    """
    return jnp.round(value)


def half_up(value: Float[Array, "*n"], key: Key[jax.Array, ""] | None = None) -> Float[jax.Array, "*n"]:
    """Round to the nearest whole number, halves upwards.

    Examples:
        >>> half_up(jnp.array([0.5, 1.5, -0.5, 0.49999997]))
        Array([1., 2., 0., 0.], dtype=float32)
    """
    below = jnp.floor(value)
    return below + (value - below >= 0.5)  # value + 0.5 would round 0.49999997 to 1


def downwards(value: Float[Array, "*n"], key: Key[jax.Array, ""] | None = None) -> Float[jax.Array, "*n"]:
    """Round to the whole number below (floor): what dropping bits of a two's complement does.

    Examples:
        >>> downwards(jnp.array([0.9, -0.1]))
        Array([ 0., -1.], dtype=float32)
    """
    return jnp.floor(value)


def towards_zero(value: Float[Array, "*n"], key: Key[jax.Array, ""] | None = None) -> Float[jax.Array, "*n"]:
    """Drop the fraction: no weight grows, which is what Theorem 1 of Sharma et al. assumes (Eq. 21).

    Examples:
        >>> towards_zero(jnp.array([0.9, -1.1]))
        Array([ 0., -1.], dtype=float32)
    """
    return jnp.trunc(value)


def stochastic(value: Float[Array, "*n"], key: Key[jax.Array, ""] | None = None) -> Float[jax.Array, "*n"]:
    """Round up with the probability that the fraction gives, so that the mean is the value.

    Raises:
        ValueError: there is no key.

    Examples:
        >>> bool(jnp.isin(stochastic(jnp.array([0.25, -1.5]), jax.random.key(0)), jnp.array([0, 1, -1, -2])).all())
        True
    """
    if key is None:
        raise ValueError("Stochastic rounding needs a key: quantize(..., rounding=stochastic, key=jax.random.key(0)).")
    value = jnp.asarray(value)
    below = jnp.floor(value)
    return below + (jax.random.uniform(key, value.shape, value.dtype) < value - below)


def saturate(value: Float[Array, "*n"], bits: Int[Array, ""] | int) -> Float[jax.Array, "*n"]:
    """Take whole numbers outside `[-2^(bits-1), 2^(bits-1) - 1]` to the nearer end.

    Where the dtype cannot hold the upper end (float32 from 26 bits on, bfloat16 from 10), it is the largest number of
    the dtype below it.

    Examples:
        >>> saturate(jnp.array([200.0, -200.0, 3.0]), 8)
        Array([ 127., -128.,    3.], dtype=float32)
    """
    return jnp.clip(value, *ends(jnp.asarray(value).dtype, bits))


def wrap(value: Float[Array, "*n"], bits: Int[Array, ""] | int) -> Float[jax.Array, "*n"]:
    """Take whole numbers modulo `2^bits` into `[-2^(bits-1), 2^(bits-1) - 1]`, as two's complement does.

    Examples:
        >>> wrap(jnp.array([128.0, -129.0, 3.0]), 8)
        Array([-128.,  127.,    3.], dtype=float32)
    """
    value = jnp.asarray(value)
    period = power_of_two(value.dtype, bits)
    rest = value - period * jnp.floor(value / period)  # exact: all three have the value's last bit
    return jnp.where(rest >= period / 2, rest - period, rest)


def power_of_two(dtype: Any, exponent: Int[Array, "*n"] | int) -> Float[jax.Array, "*n"]:
    """`2^exponent`, exactly, which `jnp.exp2` is not.

    Examples:
        >>> power_of_two("float32", -3)
        Array(0.125, dtype=float32)
    """
    return jnp.ldexp(jnp.ones((), dtype), exponent)


def ends(dtype: Any, bits: Int[Array, "*n"] | int) -> tuple[Float[jax.Array, "*n"], Float[jax.Array, "*n"]]:
    """The least and the largest whole number of so many bits, as far as the dtype can hold them.

    Examples:
        >>> [float(end) for end in ends("float32", 8)], float(ends("bfloat16", 16)[1])
        ([-128.0, 127.0], 32640.0)
    """
    bits, wide = jnp.asarray(bits), jnp.promote_types(dtype, jnp.float32)
    half = power_of_two(wide, bits - 1)
    spacing = power_of_two(
        wide, jnp.maximum(bits - 2 - jnp.finfo(dtype).nmant, 0)
    )  # of the dtype's numbers below `half`
    return -half, half - spacing
