import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lcjax.compression.fixed_point import (
    downwards,
    ends,
    half_up,
    nearest_even,
    power_of_two,
    saturate,
    stochastic,
    towards_zero,
    wrap,
)

VALUES = np.array([-2.5, -1.75, -0.5, -0.25, 0.0, 0.5, 0.75, 1.5, 2.5], np.float32)


@pytest.mark.parametrize(
    ("rounding", "reference"),
    [(nearest_even, round), (half_up, lambda x: math.floor(x + 0.5)), (downwards, math.floor), (towards_zero, int)],
)
def test_rounding(rounding, reference):
    np.testing.assert_array_equal(rounding(VALUES), [reference(float(value)) for value in VALUES])


def test_stochastic_rounding_takes_the_two_neighbors():
    rounded = np.asarray(stochastic(np.repeat(VALUES, 20), jax.random.key(0))).reshape(-1, 20)
    assert [set(row) for row in rounded] == [{math.floor(value), math.ceil(value)} for value in VALUES.tolist()]
    with pytest.raises(ValueError, match="needs a key"):
        stochastic(VALUES)


@pytest.mark.parametrize("bits", [2, 5])
def test_overflow(bits):
    whole = np.arange(-40, 41, dtype=np.float32)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(saturate(whole, bits), np.clip(whole, low, high))
    np.testing.assert_array_equal(wrap(whole, bits), (whole - low) % 2**bits + low)


@pytest.mark.parametrize(("dtype", "digits"), [(jnp.bfloat16, 8), (jnp.float16, 11), (jnp.float32, 24)])
def test_ends_are_numbers_of_the_dtype(dtype, digits):
    for bits in (2, digits + 1, digits + 2, digits + 6):
        low, high = (float(end) for end in ends(dtype, bits))
        assert low == -(2 ** (bits - 1))
        assert high == 2 ** (bits - 1) - 2 ** max(bits - 1 - digits, 0)


def test_powers_of_two_are_exact():
    exponents = jnp.arange(-100, 101)
    np.testing.assert_array_equal(power_of_two("float32", exponents), 2.0 ** np.arange(-100, 101))
