"""Accuracy against compression by pruning, for many networks at once."""

import dataclasses
from collections.abc import Callable
from typing import SupportsIndex, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.compression.pruning import Layers, layers_of_leaves, magnitude, prune_below
from lcjax.compression.selection import Number, Where, as_one_number, as_params, everything
from lcjax.compression.versions import as_partial, as_single, batch_options, chunk_size, first_model
from lcjax.kernels.arguments import as_count, concrete
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, ArrayTree

__all__ = ["SMALLEST", "STEPS", "PruneCurve", "prune_curve"]

Params = TypeVar("Params", bound=ArrayTree)

SMALLEST, STEPS = 1e-3, 50  # Sharma et al. (2019) for fully connected networks; 100 steps for convolutional ones


@record
class PruneCurve:
    """Accuracy against compression at ascending thresholds; step 0 is the trained network.

    Attributes:
        threshold: threshold of each layer, `(*b, t)`, ascending; 0 at step 0.
        accuracy: value of the given function, `(*b, t)`.
        before: nonzero parameters of the trained network, `(*b,)`.
        surviving: nonzero parameters after pruning, `(*b, t)`, descending.
        ratio: before / surviving, `(*b, t)`; inf if nothing is left.
        layers: surviving parameters of each layer, `(*b, t)`.
        live: live neurons of each layer, `(*b, t)`.
        bit_ratio: bits of the dense network divided by those of each storage format, `(*b, t)`.
    """

    threshold: dict[str, Float[Array, "*b t"]]
    accuracy: Float[Array, "*b t"]
    before: Int[Array, "*b"]
    surviving: Int[Array, "*b t"]
    ratio: Float[Array, "*b t"]
    layers: dict[str, Int[Array, "*b t"]]
    live: dict[str, Int[Array, "*b t"]]
    bit_ratio: dict[str, Float[Array, "*b t"]]

    def largest_within(self, tolerance: float | int = 0.01) -> Int[jax.Array, "*b"]:
        """Return the step of largest compression whose accuracy is within `tolerance` of the best step.

        Examples:
            >>> none = jnp.zeros(3)
            >>> PruneCurve({}, jnp.array([0.9, 0.92, 0.5]), 9, none, none, {}, {}, {}).largest_within(0.01)
            Array(1, dtype=int32)
        """
        accuracy = jnp.asarray(self.accuracy)
        near = accuracy >= jnp.max(accuracy, axis=-1, keepdims=True) - tolerance - 1e-6  # accuracies are rounded
        return jnp.max(jnp.where(near, jnp.arange(accuracy.shape[-1], dtype=jnp.int32), 0), axis=-1)


def prune_curve(
    params: Params,
    accuracy: Callable[[Params], Float[Array, ""]],
    *,
    steps: SupportsIndex = STEPS,
    smallest: Number = SMALLEST,
    where: Where = everything,
    models: bool = False,
    chunk: SupportsIndex | None = None,
) -> PruneCurve:
    """Prune networks at all thresholds of the paper and evaluate each, compiled once for all thresholds and models.

    The thresholds of a layer are evenly spaced from `smallest` to its largest |w| (Sharma et al., 2019, section 5.2),
    so that the last step leaves one weight a layer. A layer with all weights below `smallest` is pruned at the first.

    Args:
        params: parameters of one network, or of many along a leading axis of every leaf.
        accuracy: `params of one network -> ()`. A `jax.tree_util.Partial` carries its arrays as arguments, so that a
            curve on other data of the same shapes needs no compilation; a plain function's closure is compiled in.
        steps: number of thresholds, besides step 0; in the paper 50 for fully connected and 100 for convolutional nets.
        smallest: first threshold.
        where: leaves that may be pruned, see `prune`.
        models: True if the leaves have a leading axis of models.
        chunk: thresholds evaluated at a time, for networks whose activations at all thresholds exceed the memory.

    Returns:
        `PruneCurve` with t = `steps + 1` entries, the first that of the trained network; with `models`, every field has
        the models as leading axis.

    Raises:
        ValueError: see `prune`; an accuracy of several numbers, no weight, fewer than two steps, a negative smallest
            threshold, a chunk below 1, or, with `models`, leaves without a common leading axis.

    Examples:
        >>> params = {"kernel": jnp.array([[3.0, -2.0], [0.5, 0.0]])}
        >>> curve = prune_curve(params, lambda params: jnp.mean(params["kernel"] > 0), steps=3)
        >>> curve.ratio, int(curve.largest_within(0.3))
        (Array([1. , 1. , 1.5, 3. ], dtype=float32), 3)
    """
    count, least = as_count(steps, "steps"), as_one_number(smallest, "smallest")
    if count < 2 or (concrete(least) and not least >= 0):
        raise ValueError(
            f"A curve needs at least two steps and a nonnegative smallest threshold, got {steps} and {smallest}."
        )
    params = as_params(params)
    layers = layers_of_leaves(first_model(params) if models else params, where)
    if not sum(np.size(leaf) for leaf, layer in zip(jax.tree.leaves(params), layers, strict=True) if layer is not None):
        raise ValueError("The leaves that may be pruned are empty: a curve needs at least one weight.")
    width = chunk_size(params, count + 1, chunk)
    return _curve(
        params, as_partial(accuracy), jnp.asarray(least, float), steps=count, layers=layers, models=models, width=width
    )


@jit(static_argnames=("steps", "layers", "models", "width"))
def _curve(
    params: Params,
    accuracy: Callable[[Params], Float[Array, ""]],
    smallest: Number,
    *,
    steps: int,
    layers: Layers,
    models: bool,
    width: int,
) -> PruneCurve:
    def prune_one(params: Params) -> PruneCurve:
        top: dict[str, jax.Array] = {}
        for leaf, layer in zip(jax.tree.leaves(params), layers, strict=True):
            if layer is not None and leaf.size:
                top[layer] = jnp.maximum(top.get(layer, 0.0), jnp.max(magnitude(leaf)))
        fraction = jnp.arange(steps) / (steps - 1)
        threshold: dict[str, Array] = {}
        for layer, largest in top.items():
            end = jnp.maximum(largest, smallest)
            rising = jnp.minimum(smallest + (end - smallest) * fraction, end)  # rounding must not prune the largest
            threshold[layer] = jnp.concatenate([jnp.zeros_like(end)[None], rising])

        def evaluate(at: dict[str, Array]) -> PruneCurve:
            pruned, _, report = prune_below(params, at, layers)
            counts = report.before, report.surviving, report.ratio, report.layers, report.live, report.bit_ratio
            return PruneCurve(at, as_single(accuracy(pruned)), *counts)

        curve: PruneCurve = jax.lax.map(evaluate, threshold, **batch_options(width))
        return dataclasses.replace(curve, threshold=threshold, before=curve.before[0])

    return jax.vmap(prune_one)(params) if models else prune_one(params)
