"""Fixed-point quantization: every weight a whole multiple of a power of two, in a given number of bits."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.compression.fixed_point import ends, nearest_even, power_of_two, saturate
from lcjax.compression.selection import Where, as_params, concrete_value, everything, select_leaves, under_head
from lcjax.compression.storage import stored_bits
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, ArrayTree, KeyArray, check_key

__all__ = [
    "Overflow",
    "QuantizationReport",
    "Quantized",
    "Rounding",
    "check_formats",
    "margin",
    "quantize",
    "quantize_leaves",
    "straight_through",
    "widest_fraction_bits",
]

Params = TypeVar("Params", bound=ArrayTree)
Bits = Int[Array, ""] | int
Rounding = Callable[[jax.Array, KeyArray | None], jax.Array]  # (value, key) -> whole number
Overflow = Callable[[jax.Array, Bits], jax.Array]  # (whole number, total bits) -> one that the bits can hold

LIMITS = {"bits": (2, 64), "fraction_bits": (-100, 100)}


class QuantizeOptions(TypedDict, total=False):
    """Keyword arguments of `quantize`."""

    rounding: Rounding
    overflow: Overflow
    where: Where
    key: KeyArray | None


@record
class QuantizationReport:
    """Errors and size of a quantized network.

    Attributes:
        largest_error: largest `|quantized - w|`, `(*b,)`.
        saturated: fraction of the weights outside the format's range, `(*b,)`.
        zeros: fraction of the weights that are zero after quantization, `(*b,)`.
        bits: bits of the dense network at the given total bits; leaves not quantized count by dtype, `(*b,)`.
        ratio: bits of the network before quantization, divided by `bits`, `(*b,)`.
    """

    largest_error: Float[Array, "*b"]
    saturated: Float[Array, "*b"]
    zeros: Float[Array, "*b"]
    bits: Float[Array, "*b"]
    ratio: Float[Array, "*b"]


class Quantized(NamedTuple):
    """A quantized network: parameters in their dtypes, each on its grid, and a report.

    Attributes:
        params: parameters on the grid of their format, in their dtypes; leaves that `where` excludes are unchanged.
        report: errors and size, a `QuantizationReport`.
    """

    params: Any  # as given
    report: QuantizationReport


def quantize(
    params: ArrayTree,
    bits: Bits | ArrayTree,
    fraction_bits: Bits | ArrayTree,
    *,
    rounding: Rounding = nearest_even,
    overflow: Overflow = saturate,
    where: Where = everything,
    key: KeyArray | None = None,
) -> Quantized:
    """Round weights to fixed point: whole multiples of `2^-fraction_bits` that `bits` bits hold, sign included.

        w -> 2^-f * overflow(rounding(2^f * w)),   in [-2^(bits-1), 2^(bits-1) - 1] * 2^-f

    Both numbers may be traced, so that a grid of formats is one vmapped call. Scaling by powers of two is exact, and
    nan stays nan.

    Args:
        params: any pytree of arrays.
        bits: total bits, at least 2; one number for the network, or a pytree like `params` with one for each tensor.
        fraction_bits: bits after the binary point, one number or one for each tensor; they may exceed `bits` (all
            numbers are then small) or be negative (the step is then above 1); magnitude at most 100.
        rounding: `nearest_even`, `half_up`, `downwards`, `towards_zero` or `stochastic`.
        overflow: `saturate` or `wrap`.
        where: `(path, leaf) -> bool`, True for leaves to quantize; by default all.
        key: key of stochastic rounding.

    Returns:
        `Quantized`, the tuple `(params, report)`; under `vmap` the report has fields `(*b,)`.

    Raises:
        ValueError: fewer than 2 bits, fraction bits out of range, numbers that are not whole or not a tree like
            `params`, a missing key, or `where` selects no leaf or a leaf of integers.

    Examples:
        >>> params = {"head": {"kernel": jnp.array([[0.3, -5.0]]), "bias": jnp.array([0.1])}}
        >>> quantized, report = quantize(params, bits=4, fraction_bits=2)
        >>> quantized["head"]["kernel"], float(report.ratio)
        (Array([[ 0.25, -2.  ]], dtype=float32), 8.0)
    """
    if key is not None:
        check_key(key)
    params = as_params(params)
    selected = tuple(select_leaves(params, where).values())
    formats = _formats(bits, params, "bits"), _formats(fraction_bits, params, "fraction_bits")
    return _quantize(params, *formats, key, selected=selected, rounding=rounding, overflow=overflow)


def straight_through(
    params: Params, bits: Bits | ArrayTree, fraction_bits: Bits | ArrayTree, **options: Unpack[QuantizeOptions]
) -> Params:
    """Quantize parameters with a straight-through gradient, for quantization-aware training.

    The arguments and the value are those of `quantize`. The gradient is that of the identity for weights inside the
    format's range and zero outside (Hubara et al., 2016, Eq. (6)).

    Examples:
        >>> weight = jnp.array([0.3, 9.0])
        >>> jax.grad(lambda weight: jnp.sum(straight_through(weight, 4, 2) * jnp.array([2.0, 3.0])))(weight)
        Array([2., 0.], dtype=float32)
    """
    params = as_params(params)
    quantized = quantize(jax.lax.stop_gradient(params), bits, fraction_bits, **options).params
    selection = select_leaves(params, options.get("where", everything))
    selected = jax.tree.unflatten(jax.tree.structure(params), selection.values())

    def pass_gradient(leaf: Array, value: Array, total: jax.Array, fraction: jax.Array, is_quantized: bool) -> Array:
        if not is_quantized:
            return leaf
        low, high = (end / power_of_two(end.dtype, fraction) for end in ends(leaf.dtype, total))
        passing = jnp.where((leaf >= low) & (leaf <= high), leaf, jax.lax.stop_gradient(leaf))
        return value + (passing - jax.lax.stop_gradient(passing))

    formats = _formats(bits, params, "bits"), _formats(fraction_bits, params, "fraction_bits")
    result: Params = jax.tree.map(pass_gradient, params, quantized, *formats, selected)
    return result


def widest_fraction_bits(params: ArrayTree, bits: Bits, *, per_tensor: bool = False) -> ArrayTree:
    """Return the largest number of fraction bits at which no weight saturates: the finest grid without overflow.

    Args:
        params: any pytree of floating-point arrays.
        bits: total bits.
        per_tensor: choose a format for each tensor instead of one for the network.

    Returns:
        A whole number, or a pytree of them like `params`; 0 if all weights are zero.

    Raises:
        ValueError: `bits` is not a whole number from 2 to 64, there are no leaves, or one holds other numbers.

    Examples:
        >>> int(widest_fraction_bits({"a": jnp.array([0.9]), "b": jnp.array([-4.0])}, 8))
        5
        >>> widest_fraction_bits({"a": jnp.array([0.9]), "b": jnp.array([-4.0])}, 8, per_tensor=True)
        {'a': Array(7, dtype=int32), 'b': Array(5, dtype=int32)}
    """
    params = as_params(params)
    select_leaves(params, everything)
    check_formats(bits, "bits")
    return _widest_fraction_bits(params, jnp.asarray(bits, jnp.int32), per_tensor=per_tensor)


@jit(static_argnames="per_tensor")
def _widest_fraction_bits(params: ArrayTree, total: Int[jax.Array, ""], *, per_tensor: bool) -> ArrayTree:
    def widest(leaf: Array) -> Int[jax.Array, ""]:
        candidates = jnp.arange(-100, 101)

        def fits(fraction: Int[jax.Array, ""]) -> jax.Array:
            low, high = ends(leaf.dtype, total)
            scaled = jnp.round(leaf * power_of_two(low.dtype, fraction))
            return jnp.all((scaled >= low) & (scaled <= high))

        largest = jnp.max(jnp.where(jax.lax.map(fits, candidates), candidates, -100)).astype(jnp.int32)
        return jnp.where(jnp.any(leaf != 0), largest, jnp.int32(0))

    each: ArrayTree = jax.tree.map(widest, params)
    if per_tensor:
        return each
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(each), strict=True)
    least = jnp.min(jnp.stack([jnp.where(jnp.any(leaf != 0), fraction, 101) for leaf, fraction in pairs]))
    return jnp.where(least == 101, 0, least)


def margin(params: ArrayTree, where: Where = under_head) -> Float[jax.Array, ""]:
    """Compute the margin `2 / |w|^2` of Sharma et al. (2019), section 5.3; inf if all weights are zero.

    Args:
        params: parameters of one network.
        where: the weights w, leaves of two axes or more: those of the module `head` by default, or of all layers if
            there is none. A network of vectors alone has all of them.

    Examples:
        >>> float(margin({"head": {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.array([9.0])}}))
        0.07999999821186066
    """
    params = as_params(params)
    selection = select_leaves(params, lambda path, leaf: jnp.issubdtype(jnp.result_type(leaf), jnp.floating))
    pairs = zip(selection.items(), jax.tree.leaves(params), strict=True)
    floating = {path: jnp.asarray(leaf) for (path, is_floating), leaf in pairs if is_floating}
    leaves = {path: leaf for path, leaf in floating.items() if leaf.ndim > 1} or floating
    weights = [leaf for path, leaf in leaves.items() if where(path, leaf)] or list(leaves.values())
    return 2 / functools.reduce(jnp.add, (jnp.sum(jnp.square(leaf)) for leaf in weights))


def quantize_leaves(
    params: ArrayTree,
    bits: ArrayTree,
    fraction_bits: ArrayTree,
    key: KeyArray | None,
    *,
    selected: tuple[bool, ...],
    rounding: Rounding,
    overflow: Overflow,
) -> Quantized:
    """Quantize the selected leaves, in formats like the params, without checks."""
    leaves, structure = jax.tree.flatten(params)
    formats = list(zip(jax.tree.leaves(bits), jax.tree.leaves(fraction_bits), strict=True))
    values, weights = [], 0
    error = jnp.zeros((), jnp.result_type(float))
    outside, zeros, size = 0.0 * error, 0.0 * error, 0.0 * error
    for i, (leaf, (total, fraction), is_selected) in enumerate(zip(leaves, formats, selected, strict=True)):
        if not is_selected:
            values.append(leaf)
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                size += float(leaf.size * 8 * leaf.dtype.itemsize)
            continue
        wide = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))  # 2^f may overflow 16 bits
        scale = power_of_two(wide.dtype, fraction)
        whole = rounding(wide * scale, None if key is None else jax.random.fold_in(key, i))
        low, high = ends(leaf.dtype, total)
        value = jnp.clip(overflow(whole, total), low, high) / scale
        values.append(value.astype(leaf.dtype))
        outside += jnp.sum((whole < low) | (whole > high))
        zeros += jnp.sum(value == 0)
        if leaf.size:
            error = jnp.maximum(error, jnp.max(jnp.abs(value - wide)))
        size += jnp.asarray(total, error.dtype) * leaf.size
        weights += leaf.size
    count = max(weights, 1)
    report = QuantizationReport(error, outside / count, zeros / count, size, stored_bits(params)["dense"] / size)
    return Quantized(jax.tree.unflatten(structure, values), report)


_quantize = jit(static_argnames=("selected", "rounding", "overflow"))(quantize_leaves)


def check_formats(numbers: Bits | ArrayTree, name: str) -> None:
    """Raise ValueError unless `bits` or `fraction_bits` are whole numbers in range; traced numbers pass."""
    low, high = LIMITS[name]
    for leaf in jax.tree.leaves(numbers, is_leaf=lambda leaf: leaf is None):
        known = None if leaf is None else concrete_value(leaf)
        if leaf is None or (known is not None and known.dtype.kind not in "iuf"):
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {leaf!r}.")
        if known is not None and not (known.ndim == 0 and known == np.round(known) and low <= known <= high):
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {leaf}.")


def _formats(value: Bits | ArrayTree, params: ArrayTree, name: str) -> ArrayTree:
    """Return one number for each leaf of `params`."""
    if value is None:
        check_formats(value, name)
    given, structure = jax.tree.structure(value), jax.tree.structure(params)
    matches = given in (structure,)  # PyTreeDef declares no ==
    if not matches and not (jax.tree_util.treedef_is_leaf(given) and np.ndim(jax.tree.leaves(value)[0]) == 0):
        raise ValueError(f"{name} must be one number or a pytree like the params, {structure}; got {given}.")
    check_formats(value, name)
    numbers = value if matches else jax.tree.map(lambda _: value, params)
    tree: ArrayTree = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.int32), numbers)
    return tree
