"""Arguments of kernels: numbers in any form become arrays that JAX accepts; errors name the argument."""

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float

from lcjax.typing import Array, Scalar

__all__ = [
    "Nested",
    "as_array",
    "as_count",
    "as_floating",
    "as_integers",
    "as_real",
    "check_finite",
    "check_precision",
    "check_sizes",
    "concrete",
    "power_of_two_above",
]

Nested: TypeAlias = Sequence[Any]  # numbers in lists or tuples, nested to any depth


def concrete(value: object) -> bool:
    """Return True unless the value is traced.

    Examples:
        >>> concrete(1.0), bool(jax.jit(lambda x: jnp.asarray(concrete(x)))(1.0))
        (True, False)
    """
    return not isinstance(value, jax.core.Tracer)


def as_array(value: Array | Nested | Scalar, name: str) -> Array:
    """Convert an argument to an array of numbers or booleans that JAX accepts.

    Lists become arrays, and a foreign byte order becomes that of the machine. An array on a mesh with explicit axes is
    moved to one whose axes the compiler propagates; its shards stay in place. Under `jax.set_mesh` of such a mesh, and
    in a function compiled for it, the array is replicated instead.

    Raises:
        ValueError: the value is ragged, masked or contains anything but numbers.

    Examples:
        >>> as_array([[1.0, 2.0]], "points").shape, as_array(np.ones(2, ">f4"), "points").dtype.isnative
        ((1, 2), True)
    """
    if isinstance(value, jax.Array):
        return _unpin_axes(value)
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked entries: fill or drop them.")
    try:
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value)):
            return jnp.asarray(value)
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == np.bool_):
        raise ValueError(f"{name} must hold numbers, got an array of {array.dtype} and shape {array.shape}.")
    if array.dtype.itemsize > np.dtype(np.complex128 if array.dtype.kind == "c" else np.float64).itemsize:
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)  # extended precision
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def as_real(value: Array | Nested | Scalar, name: str) -> Array:
    """Convert an argument to an array of integers or floating-point numbers.

    Raises:
        ValueError: see `as_array`; or the numbers are complex or boolean.

    Examples:
        >>> as_real([1, 2], "sample")
        array([1, 2])
    """
    array = as_array(value, name)
    if array.dtype == np.bool_ or jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}.")
    return array


def as_floating(value: Array | Nested | Scalar, name: str) -> jax.Array:
    """Convert an argument to floating-point numbers: integers of at most 16 bits to float32, others to JAX's default.

    Raises:
        ValueError: see `as_real`.

    Examples:
        >>> as_floating([2**40], "points"), as_floating(np.uint8([3]), "images").dtype
        (Array([1.0995116e+12], dtype=float32), dtype('float32'))
    """
    array = as_real(value, name)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return jnp.asarray(array)
    dtype = jnp.dtype(jnp.float32 if array.dtype.itemsize <= 2 else jnp.result_type(float))
    return jnp.asarray(array.astype(dtype))  # in NumPy where it is NumPy's: JAX would first wrap integers of 64 bits


def as_integers(value: Array | Nested | Scalar, name: str) -> Array:
    """Convert an argument to an array of integers.

    Raises:
        ValueError: see `as_array`; the numbers are not integers, or a number of 64 bits does not fit into JAX's
            integers.

    Examples:
        >>> as_integers([0, 1], "labels")
        array([0, 1])
    """
    array = as_array(value, name)
    if not array.size and not isinstance(value, jax.Array | np.ndarray):
        array = array.astype(np.int32)  # an empty list
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, got {array.dtype}.")
    if isinstance(array, np.ndarray) and array.dtype.itemsize == 8 and array.size:
        limits = np.iinfo(jax.dtypes.canonicalize_dtype(array.dtype))
        for extreme in (array.min(), array.max()):
            if not limits.min <= extreme <= limits.max:
                raise ValueError(f"{name} must fit into {limits.dtype}, got {extreme}; enable x64 for larger numbers.")
    return array


def as_count(value: Any, name: str, least: int = 1, most: int | None = None) -> int:
    """Convert a Python or NumPy integer to an int in a range.

    Raises:
        ValueError: it is not a whole number (a boolean is not one), or out of range.

    Examples:
        >>> as_count(np.int64(8), "n")
        8
    """
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number {bounds}, got {value!r}.") from None
    if isinstance(value, bool | np.bool_) or number < least or (most is not None and number > most):
        raise ValueError(f"{name} must be a whole number {bounds}, got {name}={value!r}.")
    return number


def check_sizes(name: str, array: Array) -> None:
    """Raise ValueError for an array of symbolic size, for algorithms that depend on the size.

    Examples:
        >>> check_sizes("points", np.ones((2, 3)))
    """
    if not all(isinstance(size, int) for size in array.shape):
        raise ValueError(
            f"{name} has the symbolic shape {array.shape}, but the algorithm depends on the size: "
            "export the function for fixed shapes."
        )


def check_finite(name: str, values: Array) -> None:
    """Raise ValueError with the first entry that is nan or infinite; traced values are not checked.

    Examples:
        >>> check_finite("targets", np.ones(3))
    """
    if concrete(values) and not (finite := np.isfinite(np.asarray(values))).all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = ", ".join(map(str, place))
        raise ValueError(f"{name} must be finite, got {np.asarray(values)[place]} at index ({where}).")


def check_precision(name: str, values: Array, dtype: jnp.dtype) -> None:
    """Raise ValueError if a column of 64-bit NumPy numbers loses its differences in this dtype.

    Examples:
        >>> check_precision("points", np.array([[2**20], [2**20 + 1]]), jnp.dtype("float32"))
        Traceback (most recent call last):
        ValueError: points lose their differences in float32: column 0 holds numbers from 1048576 to 1048577. ...
    """
    if isinstance(values, jax.Array) or values.dtype.itemsize < 8 or not values.size:
        return
    columns = values.reshape(len(values), -1)
    low, high = columns.min(axis=0), columns.max(axis=0)
    largest = np.maximum(np.abs(low.astype(float)), np.abs(high.astype(float)))
    spread = high.astype(float) - low.astype(float)
    lost = (high > low) & (largest * float(np.finfo(dtype).eps) > 0.01 * spread)
    if lost.any():
        column = int(np.argmax(lost))
        raise ValueError(
            f"{name} lose their differences in {dtype}: column {column} holds numbers from {low[column]} to "
            f"{high[column]}. Subtract an offset, or enable x64."
        )


def power_of_two_above(values: Float[jax.Array, "..."]) -> Float[jax.Array, ""]:
    """Return the next power of two above the largest magnitude, by which division is exact; 1 if all are zero.

    Examples:
        >>> float(power_of_two_above(jnp.array([3.0, -5.0])))
        8.0
    """
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(values)), initial=0)
    most = -int(np.finfo(values.dtype).minexp)
    exponent = jnp.clip(jnp.frexp(largest)[1], -most, most)
    return jnp.ldexp(jnp.ones((), values.dtype), jnp.where(jnp.isfinite(largest), exponent, 0))


def _unpin_axes(x: jax.Array) -> jax.Array:
    if AxisType.Explicit in jax.sharding.get_abstract_mesh().axis_types:
        replicated: jax.Array = jax.sharding.reshard(x, PartitionSpec())
        return replicated
    sharding = None if isinstance(x, jax.core.Tracer) else x.sharding
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return x
    mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
    if mesh.axis_types == sharding.mesh.axis_types:
        return x
    placed: jax.Array = jax.device_put(x, NamedSharding(mesh, sharding.spec))
    return placed
