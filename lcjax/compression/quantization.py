"""Fixed-point numbers: every weight a whole multiple of a power of two, in a given number of bits."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from lcjax.compression.fixed_point import ends, nearest_even, power_of_two, saturate
from lcjax.compression.selection import (
    Where,
    batches,
    chosen,
    everything,
    first_model,
    under_head,
    value_of,
    versions_at_once,
)
from lcjax.compression.storage import stored_bits
from lcjax.kernels.compilation import jit
from lcjax.records import record

__all__ = [
    "QuantizationReport",
    "QuantizeCurve",
    "Quantized",
    "margin",
    "quantize",
    "quantize_curve",
    "straight_through",
    "widest_fraction_bits",
]

Array = jax.Array | np.ndarray

Rounding = Callable[[Any, Any], jax.Array]  # (value, key) -> whole number
Overflow = Callable[[Any, Any], jax.Array]  # (whole number, total bits) -> one that the bits can hold


@record
class QuantizationReport:
    """What quantization has done.

    Attributes:
        largest_error: largest `|quantized - w|`, `(*b,)`.
        saturated: share of the weights outside the format's range, `(*b,)`.
        zeros: share of the weights that became or were zero, `(*b,)`.
        bits: of the net, dense, at the given total bits; what is not quantized counts by its dtype, `(*b,)`.
        ratio: bits of the net as given, by those, `(*b,)`.
    """

    largest_error: Float[Array, "*b"]
    saturated: Float[Array, "*b"]
    zeros: Float[Array, "*b"]
    bits: Float[Array, "*b"]
    ratio: Float[Array, "*b"]


class Quantized(NamedTuple):
    """A quantized net: params in their own dtypes, each on its grid, and what was done."""

    params: Any
    report: QuantizationReport


def quantize(
    params: Any,
    bits: Any,
    fraction_bits: Any,
    *,
    rounding: Rounding = nearest_even,
    overflow: Overflow = saturate,
    where: Where = everything,
    key: Key[jax.Array, ""] | None = None,
) -> Quantized:
    """Round weights to fixed point: whole multiples of `2^-fraction_bits` that `bits` bits hold, sign included.

        w -> 2^-f * overflow(rounding(2^f * w)),   in [-2^(bits-1), 2^(bits-1) - 1] * 2^-f

    Both numbers may be traced, so that a grid of formats is one vmapped call. Exact: scaling is by powers of two.

    Args:
        params: any pytree of arrays.
        bits: total bits, at least 2; one for the net, or a pytree like `params` with one for each tensor.
        fraction_bits: bits after the point, one for the net or one for each tensor; they may exceed `bits` (all numbers
            are then small) or be negative (the step is then above 1); magnitude at most 100.
        rounding: `nearest_even`, `half_up`, `downwards`, `towards_zero` or `stochastic`.
        overflow: `saturate` or `wrap`.
        where: `(path, leaf) -> bool`, leaves to quantize; all by default.
        key: of stochastic rounding.

    Returns:
        `(params, report)`; nan stays nan.

    Raises:
        ValueError: fewer than 2 bits, fraction bits out of range, either no whole number or not like `params`, a
            missing key, or `where` chooses nothing or a leaf of integers.

    Examples:
        >>> params = {"head": {"kernel": jnp.array([[0.3, -5.0]]), "bias": jnp.array([0.1])}}
        >>> quantized, report = quantize(params, bits=4, fraction_bits=2)
        >>> quantized["head"]["kernel"], float(report.ratio)
        (Array([[ 0.25, -2.  ]], dtype=float32), 8.0)
    """
    selected = tuple(chosen(params, where).values())
    formats = (_formats(bits, params, "bits", 2, 64), _formats(fraction_bits, params, "fraction_bits", -100, 100))
    return _quantized(params, *formats, key, selected=selected, rounding=rounding, overflow=overflow)


def straight_through(params: Any, bits: Any, fraction_bits: Any, **options: Any) -> Any:
    """Quantized params through which gradients pass: for training with quantized weights.

    The value is that of `quantize`; the gradient is that of the identity where a weight is inside the format's range,
    and zero where it is not (Hubara et al., 2016, Eq. 6).

    Args:
        params: as in `quantize`.
        bits: as in `quantize`.
        fraction_bits: as in `quantize`.
        options: of `quantize`.

    Returns:
        A pytree like `params`.

    Examples:
        >>> weight = jnp.array([0.3, 9.0])
        >>> jax.grad(lambda weight: jnp.sum(straight_through(weight, 4, 2) * jnp.array([2.0, 3.0])))(weight)
        Array([2., 0.], dtype=float32)
    """
    fixed = jax.lax.stop_gradient(params)
    quantized = quantize(fixed, bits, fraction_bits, **options).params
    where = options.get("where", everything)
    selected = jax.tree.unflatten(jax.tree.structure(params), chosen(params, where).values())

    def pass_on(leaf: Any, value: Any, total: Any, fraction: Any, chosen_: bool) -> Any:
        if not chosen_:
            return leaf
        low, high = (end / power_of_two(end.dtype, fraction) for end in ends(leaf.dtype, total))
        passing = jnp.where((leaf >= low) & (leaf <= high), leaf, jax.lax.stop_gradient(leaf))
        return value + (passing - jax.lax.stop_gradient(passing))

    formats = (_formats(bits, params, "bits", 2, 64), _formats(fraction_bits, params, "fraction_bits", -100, 100))
    return jax.tree.map(pass_on, params, quantized, *formats, selected)


def widest_fraction_bits(params: Any, bits: Any, *, per_tensor: bool = False) -> Any:
    """The most fraction bits with which no weight is outside the range: the finest grid without saturation.

    Args:
        params: any pytree of floating arrays.
        bits: total bits.
        per_tensor: whether each tensor gets its own, instead of one format for the net.

    Returns:
        A whole number, or a pytree of them like `params`; 0 where all weights are zero.

    Examples:
        >>> int(widest_fraction_bits({"a": jnp.array([0.9]), "b": jnp.array([-4.0])}, 8))
        5
        >>> widest_fraction_bits({"a": jnp.array([0.9]), "b": jnp.array([-4.0])}, 8, per_tensor=True)
        {'a': Array(7, dtype=int32), 'b': Array(5, dtype=int32)}
    """
    bits = jnp.asarray(bits, jnp.int32)

    def fitting(leaf: Any) -> jax.Array:
        candidates = jnp.arange(-100, 101)

        def fits(fraction: jax.Array) -> jax.Array:
            low, high = ends(leaf.dtype, bits)
            scaled = jnp.round(leaf * power_of_two(low.dtype, fraction))
            return jnp.all((scaled >= low) & (scaled <= high))

        largest = jnp.max(jnp.where(jax.lax.map(fits, candidates), candidates, -100)).astype(jnp.int32)
        return jnp.where(jnp.any(leaf != 0), largest, jnp.int32(0))

    found = jax.tree.map(fitting, params)
    if per_tensor:
        return found
    used = [
        jnp.where(jnp.any(leaf != 0), f, 101) for leaf, f in zip(*map(jax.tree.leaves, (params, found)), strict=True)
    ]
    least = jnp.min(jnp.stack(used))
    return jnp.where(least == 101, 0, least)


def margin(params: Any, where: Where = under_head) -> Float[jax.Array, ""]:
    """Margin of Sharma et al. (section 5.3), `2 / |w|^2`; inf where all weights are zero.

    Args:
        params: of one net.
        where: the weights w: those of the module `head` by default, or of all layers where there is none.

    Examples:
        >>> float(margin({"head": {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.array([9.0])}}))
        0.07999999821186066
    """
    paths = chosen(params, lambda path, leaf: jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.ndim > 1)
    leaves = {path: leaf for (path, usable), leaf in zip(paths.items(), jax.tree.leaves(params), strict=True) if usable}
    weights = [leaf for path, leaf in leaves.items() if where(path, leaf)] or list(leaves.values())
    return 2 / sum(jnp.sum(jnp.square(leaf)) for leaf in weights)  # type: ignore[return-value]


@record
class QuantizeCurve:
    """Accuracy against total bits, the fraction bits chosen for each.

    Attributes:
        bits: total bits, `(q,)`.
        grid: fraction bits that were tried, `(f,)`.
        grid_accuracy: what the given function says of each format, `(*b, q, f)`.
        fraction_bits: chosen, `(*b, q)`.
        accuracy: of the formats chosen, `(*b, q)`.
        margin: `2 / |w|^2` there, `(*b, q)`.
        measured: what `measure` says there, each `(*b, q)`.
        full_accuracy: of the net as given, `(*b,)`.
        full_margin: alike.
        full_measured: alike, each `(*b,)`.
    """

    bits: Int[Array, " q"]
    grid: Int[Array, " f"]
    grid_accuracy: Float[Array, "*b q f"]
    fraction_bits: Int[Array, "*b q"]
    accuracy: Float[Array, "*b q"]
    margin: Float[Array, "*b q"]
    measured: Any
    full_accuracy: Float[Array, "*b"]
    full_margin: Float[Array, "*b"]
    full_measured: Any

    def fewest_bits(self, tolerance: float | int = 0.01) -> Int[jax.Array, "*b"]:
        """The fewest bits such that with them and all more of the curve the accuracy is within `tolerance` of full.

        One more than the most bits of the curve where there is none.

        Examples:
            >>> none, bits, accuracy = jnp.zeros(()), jnp.array([8, 4, 2]), jnp.array([0.9, 0.9, 0.5])
            >>> QuantizeCurve(bits, *[none] * 3, accuracy, none, {}, jnp.array(0.9), none, {}).fewest_bits()
            Array(4, dtype=int32)
        """
        bits, order = jnp.asarray(self.bits), jnp.argsort(jnp.asarray(self.bits), descending=True)
        near = (self.accuracy >= jnp.asarray(self.full_accuracy)[..., None] - tolerance - 1e-6)[..., order]
        unbroken = jnp.cumprod(near, axis=-1)
        return jnp.min(jnp.where(unbroken == 1, bits[order], jnp.max(bits) + 1), axis=-1)


def quantize_curve(
    params: Any,
    accuracy: Callable[[Any], jax.Array],
    *,
    measure: Callable[[Any], Any] | None = None,
    bits: Iterable[int] = range(16, 1, -1),
    fraction_bits: Iterable[int] = range(3, 16),
    tolerance: float | int = 0.01,
    rounding: Rounding = nearest_even,
    overflow: Overflow = saturate,
    where: Where = everything,
    margin_of: Where = under_head,
    models: bool = False,
    chunk: int | None = None,
) -> QuantizeCurve:
    """Quantize nets to every format, search the fraction bits for each number of bits, and measure what is chosen.

    All formats and models are one compiled call. For each total the fewest fraction bits are chosen whose accuracy is
    within `tolerance` of the best at that total. Sharma et al. (section 5.3, Figure 3) search 16 to 2 bits and 3 to 15
    fraction bits by test accuracy; give validation accuracy here and the test set to `measure`.

    Args:
        params: of one net, or of many along a leading axis of every leaf.
        accuracy: `params of one net -> ()`, for the choice; see `prune_curve`.
        measure: `params of one net -> pytree of ()`: test accuracy, loss; of the chosen formats only.
        bits: total bits.
        fraction_bits: those that are tried.
        tolerance: of accuracy, a share; 0 takes the best.
        rounding: see `quantize`; not `stochastic`.
        overflow: see `quantize`.
        where: leaves to quantize.
        margin_of: the weights whose `margin` is recorded.
        models: whether the leaves have a leading axis of models.
        chunk: formats evaluated at a time.

    Returns:
        The curve.

    Raises:
        ValueError: see `quantize`; no bits or no fraction bits.

    Examples:
        >>> params = {"head": {"kernel": jnp.array([[3.0], [-0.2]])}}
        >>> curve = quantize_curve(params, lambda params: jnp.mean(params["head"]["kernel"] != 0), bits=(8, 4))
        >>> curve.fraction_bits, curve.accuracy, int(curve.fewest_bits())
        (Array([3, 3], dtype=int32), Array([1., 1.], dtype=float32), 4)
    """
    totals, grid = np.asarray(list(bits), np.int32), np.asarray(list(fraction_bits), np.int32)
    if not totals.size or not grid.size:
        raise ValueError(f"A curve needs total bits and fraction bits, got {totals.tolist()} and {grid.tolist()}.")
    for total in totals.tolist():
        _formats(total, 0, "bits", 2, 64)
    for fraction in grid.tolist():
        _formats(fraction, 0, "fraction_bits", -100, 100)
    if not tolerance >= 0:
        raise ValueError(f"A tolerance is a share of accuracy, at least 0; got {tolerance}.")
    one = first_model(params) if models else params
    selected = tuple(chosen(one, where).values())
    size = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    width = max(1, min(totals.size * grid.size, versions_at_once(size))) if chunk is None else chunk
    if width < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}.")
    return _curve(
        params,
        _as_argument(accuracy),
        _as_argument(measure or _nothing),
        jnp.asarray(totals),
        jnp.asarray(grid),
        tolerance,
        selected=selected,
        rounding=rounding,
        overflow=overflow,
        margin_of=margin_of,
        models=models,
        width=width,
    )


@jit(static_argnames=("selected", "rounding", "overflow", "margin_of", "models", "width"))
def _curve(
    params: Any,
    accuracy: Callable[[Any], jax.Array],
    measure: Callable[[Any], Any],
    bits: jax.Array,
    grid: jax.Array,
    tolerance: Any,
    *,
    selected: Any,
    rounding: Rounding,
    overflow: Overflow,
    margin_of: Where,
    models: bool,
    width: int,
) -> QuantizeCurve:
    def one(params: Any) -> QuantizeCurve:
        def quantized(total: jax.Array, fraction: jax.Array) -> Any:
            formats = jax.tree.map(lambda _: total, params), jax.tree.map(lambda _: fraction, params)
            return _quantized(params, *formats, None, selected=selected, rounding=rounding, overflow=overflow).params

        total, fraction = (number.ravel() for number in jnp.meshgrid(bits, grid, indexing="ij"))
        found = jax.lax.map(lambda pair: accuracy(quantized(*pair)), (total, fraction), **batches(width))
        found = found.reshape(bits.size, grid.size)
        near = found >= jnp.max(found, axis=1, keepdims=True) - tolerance - 1e-6  # shares are rounded
        fewest = jnp.min(jnp.where(near, grid, jnp.max(grid)), axis=1)
        place = jnp.argmax(near & (grid == fewest[:, None]), axis=1)

        def at(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Any]:
            net = quantized(*pair)
            return margin(net, margin_of), measure(net)

        margins, measured = jax.lax.map(at, (bits, fewest), **batches(width))
        return QuantizeCurve(
            bits=bits,
            grid=grid,
            grid_accuracy=found,
            fraction_bits=fewest,
            accuracy=jnp.take_along_axis(found, place[:, None], axis=1)[:, 0],
            margin=margins,
            measured=measured,
            full_accuracy=accuracy(params),
            full_margin=margin(params, margin_of),
            full_measured=measure(params),
        )

    if not models:
        return one(params)
    every = jax.vmap(one)(params)
    return dataclasses.replace(every, bits=bits, grid=grid)


def _nothing(params: Any) -> dict[str, jax.Array]:
    return {}


def _as_argument(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)


@jit(static_argnames=("selected", "rounding", "overflow"))
def _quantized(
    params: Any, bits: Any, fraction_bits: Any, key: Any, *, selected: Any, rounding: Rounding, overflow: Overflow
) -> Quantized:
    leaves, structure = jax.tree.flatten(params)
    formats = list(zip(jax.tree.leaves(bits), jax.tree.leaves(fraction_bits), strict=True))
    found, weights = [], 0
    error: Any = jnp.zeros((), jnp.result_type(float))
    outside, zeros, taken = 0.0 * error, 0.0 * error, 0.0 * error
    for i, (leaf, (total, fraction), taking) in enumerate(zip(leaves, formats, selected, strict=True)):
        if not taking:
            found.append(leaf)
            if jnp.issubdtype(leaf.dtype, jnp.floating):
                taken += float(leaf.size * 8 * leaf.dtype.itemsize)
            continue
        wide = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))  # 2^f may exceed what 16 bits hold
        scale = power_of_two(wide.dtype, fraction)
        whole = rounding(wide * scale, None if key is None else jax.random.fold_in(key, i))
        low, high = ends(leaf.dtype, total)
        value = jnp.clip(overflow(whole, total), low, high) / scale
        found.append(value.astype(leaf.dtype))
        outside += jnp.sum((whole < low) | (whole > high))
        zeros += jnp.sum(value == 0)
        if leaf.size:
            error = jnp.maximum(error, jnp.max(jnp.abs(value - wide)))
        taken += jnp.asarray(total, error.dtype) * leaf.size
        weights += leaf.size
    count = max(weights, 1)
    report = QuantizationReport(error, outside / count, zeros / count, taken, stored_bits(params)["dense"] / taken)
    return Quantized(jax.tree.unflatten(structure, found), report)


def _formats(value: Any, params: Any, name: str, low: int, high: int) -> Any:
    """One number a leaf."""
    given, structure = jax.tree.structure(value), jax.tree.structure(params)
    alike = bool(given == structure)  # type: ignore[operator]
    tree = value if alike else jax.tree.map(lambda _: value, params)
    if not alike and (not jax.tree_util.treedef_is_leaf(given) or np.ndim(value) != 0):
        raise ValueError(f"{name} must be one number or a pytree like the params, {structure}; got {given}.")
    for leaf in jax.tree.leaves(tree):
        known = value_of(leaf)
        if known is not None and not (known.ndim == 0 and known == np.round(known) and low <= known <= high):
            raise ValueError(f"{name} must be a whole number from {low} to {high}, got {leaf}.")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.int32), tree)
