"""Accuracy against total bits by quantization, with a search over the fraction bits, for many networks at once."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.compression.fixed_point import nearest_even, saturate
from lcjax.compression.quantization import Overflow, Rounding, check_formats, margin, quantize_leaves
from lcjax.compression.selection import Number, Where, as_params, everything, select_leaves, under_head
from lcjax.compression.versions import as_partial, as_single, batch_options, chunk_size, first_model
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, ArrayTree

__all__ = ["QuantizeCurve", "quantize_curve"]

Params = TypeVar("Params", bound=ArrayTree)


@record
class QuantizeCurve:
    """Accuracy against total bits, with the fraction bits selected for each.

    Attributes:
        bits: total bits, `(q,)`.
        grid: candidate fraction bits, `(f,)`.
        grid_accuracy: value of the given function for each format, `(*b, q, f)`.
        fraction_bits: selected fraction bits, `(*b, q)`.
        accuracy: accuracy of the selected formats, `(*b, q)`.
        margin: `2 / |w|^2` of the selected formats, `(*b, q)`.
        measured: values of `measure` for the selected formats, each `(*b, q)`.
        full_accuracy: accuracy at full precision, `(*b,)`.
        full_margin: margin at full precision, `(*b,)`.
        full_measured: values of `measure` at full precision, each `(*b,)`.
    """

    bits: Int[Array, " q"]
    grid: Int[Array, " f"]
    grid_accuracy: Float[Array, "*b q f"]
    fraction_bits: Int[Array, "*b q"]
    accuracy: Float[Array, "*b q"]
    margin: Float[Array, "*b q"]
    measured: dict[str, Num[Array, "*b q"]]
    full_accuracy: Float[Array, "*b"]
    full_margin: Float[Array, "*b"]
    full_measured: dict[str, Num[Array, "*b"]]

    def fewest_bits(self, tolerance: float | int = 0.01) -> Int[jax.Array, "*b"]:
        """Return the fewest bits at which, and above which, accuracy is within `tolerance` of full precision.

        If no number of bits qualifies, this is one more than the most bits of the curve.

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
    params: Params,
    accuracy: Callable[[Params], Float[Array, ""]],
    *,
    measure: Callable[[Params], dict[str, Num[Array, ""]]] | None = None,
    bits: Iterable[int] = range(16, 1, -1),
    fraction_bits: Iterable[int] = range(3, 16),
    tolerance: Number = 0.01,
    rounding: Rounding = nearest_even,
    overflow: Overflow = saturate,
    where: Where = everything,
    margin_of: Where = under_head,
    models: bool = False,
    chunk: int | None = None,
) -> QuantizeCurve:
    """Quantize networks to every format, select the fraction bits for each total, and evaluate the selected formats.

    All formats and models are compiled once. For each total, the smallest number of fraction bits is selected whose
    accuracy is within `tolerance` of the best at that total. Sharma et al. (2019, section 5.3, Figure 3) search 16 to 2
    bits and 3 to 15 fraction bits by test accuracy; pass validation accuracy here and use the test set in `measure`.

    Args:
        params: parameters of one network, or of many along a leading axis of every leaf.
        accuracy: `params of one network -> ()`, the criterion of the selection; see `prune_curve`.
        measure: `params of one network -> {name: ()}`: test accuracy, loss; of the selected formats only.
        bits: total bits.
        fraction_bits: candidate fraction bits.
        tolerance: tolerated loss of accuracy, a fraction; 0 selects the best.
        rounding: see `quantize`; not `stochastic`.
        overflow: see `quantize`.
        where: leaves to quantize.
        margin_of: weights whose `margin` is recorded.
        models: True if the leaves have a leading axis of models.
        chunk: formats evaluated at a time.

    Returns:
        `QuantizeCurve` over q total bits and f fraction bits, in the order given; with `models`, every field except
        `bits` and `grid` has the models as leading axis.

    Raises:
        ValueError: see `quantize`; no bits, no fraction bits, a negative tolerance, a chunk below 1, or, with `models`,
            leaves without a common leading axis.

    Examples:
        >>> params = {"head": {"kernel": jnp.array([[3.0], [-0.2]])}}
        >>> curve = quantize_curve(params, lambda params: jnp.mean(params["head"]["kernel"] != 0), bits=(8, 4))
        >>> curve.fraction_bits, curve.accuracy, int(curve.fewest_bits())
        (Array([3, 3], dtype=int32), Array([1., 1.], dtype=float32), 4)
    """
    for name, formats in (("bits", bits), ("fraction_bits", fraction_bits)):
        if not np.iterable(formats):
            raise ValueError(f"{name} must be a sequence of whole numbers, got {formats!r}.")
        for number in formats:
            check_formats(number, name)
    totals, grid = np.asarray(list(bits), np.int32), np.asarray(list(fraction_bits), np.int32)
    if not totals.size or not grid.size:
        raise ValueError(f"A curve needs total bits and fraction bits, got {totals.tolist()} and {grid.tolist()}.")
    params = as_params(params)
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be a nonnegative fraction, got {tolerance}.")
    selection = select_leaves(first_model(params) if models else params, where)
    return _curve(
        params,
        as_partial(accuracy),
        as_partial(measure or _nothing),
        jnp.asarray(totals),
        jnp.asarray(grid),
        tolerance,
        selected=tuple(selection.values()),
        rounding=rounding,
        overflow=overflow,
        margin_of=margin_of,
        models=models,
        width=chunk_size(params, totals.size * grid.size, chunk),
    )


@jit(static_argnames=("selected", "rounding", "overflow", "margin_of", "models", "width"))
def _curve(
    params: Params,
    accuracy: Callable[[Params], Float[Array, ""]],
    measure: Callable[[Params], dict[str, Num[Array, ""]]],
    bits: Int[jax.Array, " q"],
    grid: Int[jax.Array, " f"],
    tolerance: Number,
    *,
    selected: tuple[bool, ...],
    rounding: Rounding,
    overflow: Overflow,
    margin_of: Where,
    models: bool,
    width: int,
) -> QuantizeCurve:
    def search_formats(params: Params) -> QuantizeCurve:
        def quantize(total: Int[jax.Array, ""], fraction: Int[jax.Array, ""]) -> Params:
            formats = jax.tree.map(lambda _: total, params), jax.tree.map(lambda _: fraction, params)
            result = quantize_leaves(params, *formats, None, selected=selected, rounding=rounding, overflow=overflow)
            return cast(Params, result.params)

        pairs = tuple(number.ravel() for number in jnp.meshgrid(bits, grid, indexing="ij"))
        accuracies = jax.lax.map(lambda pair: as_single(accuracy(quantize(*pair))), pairs, **batch_options(width))
        accuracies = accuracies.reshape(bits.size, grid.size)
        near = accuracies >= jnp.max(accuracies, axis=1, keepdims=True) - tolerance - 1e-6  # accuracies are rounded
        fewest = jnp.min(jnp.where(near, grid, jnp.max(grid)), axis=1)
        place = jnp.argmax(near & (grid == fewest[:, None]), axis=1)

        def evaluate(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, dict[str, Array]]:
            quantized = quantize(*pair)
            return margin(quantized, margin_of), measure(quantized)

        margins, measured = jax.lax.map(evaluate, (bits, fewest), **batch_options(width))
        selected_accuracy = jnp.take_along_axis(accuracies, place[:, None], axis=1)[:, 0]
        full = accuracy(params), margin(params, margin_of), measure(params)
        return QuantizeCurve(bits, grid, accuracies, fewest, selected_accuracy, margins, measured, *full)

    if not models:
        return search_formats(params)
    return dataclasses.replace(jax.vmap(search_formats)(params), bits=bits, grid=grid)


def _nothing(params: ArrayTree) -> dict[str, Array]:
    return {}
