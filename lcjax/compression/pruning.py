"""Pruning of networks by weight magnitude (Sharma et al., 2019, section 5.2)."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.compression.selection import (
    Number,
    Where,
    as_one_number,
    as_params,
    concrete_value,
    everything,
    layer_of,
    select_leaves,
)
from lcjax.compression.storage import compression_ratio, live_neurons, nonzero_counts, stored_bits
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, ArrayTree

__all__ = [
    "Layers",
    "Pruned",
    "PruningReport",
    "chance_error",
    "layers_of_leaves",
    "magnitude",
    "mask_params",
    "prune",
    "prune_below",
]

Params = TypeVar("Params", bound=ArrayTree)
Layers = tuple[str | None, ...]  # layer of each leaf; None if the leaf is not pruned


@record
class PruningReport:
    """Parameters and bits that are left after pruning.

    Attributes:
        before: nonzero parameters before pruning, biases included, `(*b,)`.
        surviving: nonzero parameters after pruning, `(*b,)`.
        ratio: before / surviving, the paper's compression ratio, `(*b,)`; inf if nothing is left.
        layers: surviving parameters of each layer, `(*b,)`.
        live: live neurons of each layer, see `live_neurons`, `(*b,)`.
        bits: bits in each storage format, see `stored_bits`, `(*b,)`.
        bit_ratio: bits of the dense network before pruning, divided by those of each storage format now, `(*b,)`.
    """

    before: Int[Array, "*b"]
    surviving: Int[Array, "*b"]
    ratio: Float[Array, "*b"]
    layers: dict[str, Int[Array, "*b"]]
    live: dict[str, Int[Array, "*b"]]
    bits: dict[str, Float[Array, "*b"]]
    bit_ratio: dict[str, Float[Array, "*b"]]


class Pruned(NamedTuple):
    """A pruned network.

    Attributes:
        params: parameters with zeros where pruned, in their dtypes.
        masks: False where pruned, of the same structure; `lcjax.sweep(..., mask=masks)` keeps the zeros in training.
        report: parameters and bits that are left.
    """

    params: Any  # as given
    masks: Any
    report: PruningReport


def prune(
    params: ArrayTree,
    threshold: Number | np.generic | Mapping[str, Number | np.generic] | None = None,
    sparsity: Number | np.generic | None = None,
    scope: str = "layer",
    where: Where = everything,
) -> Pruned:
    """Set the weights of smallest magnitude to zero: those below a threshold, or a given fraction.

    Works under `jit` and `vmap` with a traced threshold or sparsity. A layer is a module: its kernel and its bias
    together (the paper's ratio of 5063 = 20,252 / 4 is one survivor in each of four layers, biases pruned too).

    Args:
        params: any pytree of arrays.
        threshold: weights with `|w| < threshold` are pruned, so that 0 prunes nothing; one for all layers or one each.
        sparsity: fraction of the weights that is pruned, in [0, 1], rounded to whole weights; ties by position.
        scope: "layer" prunes that fraction of each layer, "global" that of the whole network.
        where: `(path, leaf) -> bool`, True for leaves that may be pruned; by default all, biases included.

    Returns:
        `Pruned`, the tuple `(params, masks, report)`; under `vmap` the report has fields `(*b,)`.

    Raises:
        ValueError: not exactly one of `threshold` and `sparsity` is given, either is out of range, `threshold` does not
            name the layers, `scope` is unknown, or `where` selects no leaf or a leaf of integers.

    Examples:
        >>> import numpy as np
        >>> params = {"head": {"bias": np.array([0.1, -0.3]), "kernel": np.array([[2.0, 0.2], [-0.5, 0.0]])}}
        >>> pruned, masks, report = prune(params, threshold=0.3)
        >>> pruned["head"]["kernel"].tolist(), masks["head"]["bias"].tolist(), float(report.ratio)
        ([[2.0, 0.0], [-0.5, 0.0]], [False, True], 1.6666666269302368)
        >>> int(prune(params, sparsity=0.5, scope="global").report.surviving)
        3
    """
    params = as_params(params)
    layers = layers_of_leaves(params, where)
    if threshold is not None and sparsity is None:
        return _prune_below(params, _thresholds(threshold, layers), layers=layers)
    if sparsity is None or threshold is not None:
        raise ValueError(f"Pass either a threshold or a sparsity to prune, got {threshold} and {sparsity}.")
    if scope not in ("layer", "global"):
        raise ValueError(f'scope must be "layer" or "global", got {scope!r}.')
    fraction = as_one_number(sparsity, "sparsity")
    known = concrete_value(fraction)
    if known is not None and not 0 <= known <= 1:
        raise ValueError(f"sparsity must be a fraction in [0, 1], got {sparsity}.")
    groups = layers if scope == "layer" else tuple(None if layer is None else "" for layer in layers)
    return _prune_fraction(params, jnp.asarray(fraction, jnp.result_type(float)), groups=groups)


def mask_params(params: Params, masks: Params) -> Params:
    """Set parameters to zero where their mask is False, for instance after each step of your own training loop.

    Examples:
        >>> mask_params({"bias": jnp.array([1.0, 2.0])}, {"bias": jnp.array([True, False])})
        {'bias': Array([1., 0.], dtype=float32)}
    """
    masked: Params = jax.tree.map(lambda leaf, mask: jnp.where(mask, leaf, jnp.zeros_like(leaf)), params, masks)
    return masked


def chance_error(train_targets: Int[Array, " n"], targets: Int[Array, " m"]) -> float:
    """Return the error of always predicting the largest class of the training set, which a pruned network must beat.

    Examples:
        >>> chance_error(np.array([0, 1, 1]), np.array([1, 1, 0, 1]))
        0.25
    """
    return float(np.mean(np.asarray(targets) != np.bincount(np.asarray(train_targets)).argmax()))


def layers_of_leaves(params: ArrayTree, where: Where) -> Layers:
    """Return the layer of each leaf, None if the leaf is not pruned."""
    return tuple(layer_of(path) if pruned else None for path, pruned in select_leaves(params, where).items())


def magnitude(leaf: Array) -> Float[jax.Array, "..."]:
    """Return absolute values in at least float32, because thresholds are finer than bfloat16."""
    return jnp.abs(leaf).astype(jnp.promote_types(leaf.dtype, jnp.float32))


def prune_below(params: ArrayTree, threshold: Mapping[str, Float[Array, ""]], layers: Layers) -> Pruned:
    """Set weights below the threshold of their layer to zero."""
    leaves, structure = jax.tree.flatten(params)
    masks = [
        jnp.ones(leaf.shape, bool) if layer is None or not leaf.size else ~(magnitude(leaf) < threshold[layer])
        for leaf, layer in zip(leaves, layers, strict=True)
    ]
    return _apply_masks(params, jax.tree.unflatten(structure, masks))


_prune_below = jit(static_argnames="layers")(prune_below)


@jit(static_argnames="groups")
def _prune_fraction(params: ArrayTree, sparsity: Float[jax.Array, ""], *, groups: Layers) -> Pruned:
    leaves, structure = jax.tree.flatten(params)
    masks = [jnp.ones(leaf.shape, bool) for leaf in leaves]
    for group in {group for group in groups if group is not None}:
        members = [i for i, other in enumerate(groups) if other == group]
        magnitudes = jnp.concatenate([magnitude(leaves[i]).ravel() for i in members])
        mask = ~_is_smallest(magnitudes, jnp.round(sparsity * magnitudes.size))
        parts = jnp.split(mask, np.cumsum([leaves[i].size for i in members])[:-1])
        for i, part in zip(members, parts, strict=True):
            masks[i] = part.reshape(leaves[i].shape)
    return _apply_masks(params, jax.tree.unflatten(structure, masks))


def _is_smallest(magnitudes: Float[jax.Array, " n"], count: Float[jax.Array, ""]) -> Bool[jax.Array, " n"]:
    """Mark the `count` smallest numbers; ties go to the first, nan is the largest.

    The bit patterns of nonnegative numbers, read as integers, have the order of the numbers, and on CPU XLA sorts
    integers about ten times faster than floating-point numbers with their positions.
    """
    if not magnitudes.size:
        return jnp.zeros(0, bool)
    bits = jax.lax.bitcast_convert_type(magnitudes, jnp.int64 if magnitudes.dtype.itemsize == 8 else jnp.int32)
    whole = count.astype(jnp.int32)
    last = jnp.sort(bits)[jnp.maximum(whole - 1, 0)]
    equal, below = bits == last, bits < last
    return (below | (equal & (jnp.cumsum(equal) <= whole - jnp.sum(below)))) & (whole > 0)


def _thresholds(
    threshold: Number | np.generic | Mapping[str, Number | np.generic], layers: Layers
) -> dict[str, Float[jax.Array, ""]]:
    names = list(dict.fromkeys(layer for layer in layers if layer is not None))
    by_layer = dict(threshold) if isinstance(threshold, Mapping) else dict.fromkeys(names, threshold)
    if sorted(by_layer) != sorted(names):
        raise ValueError(
            f"Thresholds must name each layer of {', '.join(names)} once, got {', '.join(sorted(by_layer))}."
        )
    for name, value in by_layer.items():
        known = concrete_value(as_one_number(value, f"threshold of layer {name!r}"))
        if known is not None and not known >= 0:
            raise ValueError(f"A threshold is a magnitude and must be at least 0, got {value} for layer {name!r}.")
    return {name: jnp.asarray(value, jnp.result_type(float)) for name, value in by_layer.items()}


def _apply_masks(params: ArrayTree, masks: ArrayTree) -> Pruned:
    pruned = mask_params(params, masks)
    layers, bits, dense = nonzero_counts(pruned), stored_bits(pruned), stored_bits(params)["dense"]
    before, surviving = (functools.reduce(jnp.add, counts.values()) for counts in (nonzero_counts(params), layers))
    ratio, live = compression_ratio(before, surviving), live_neurons(pruned)
    bit_ratio = {name: dense / value for name, value in bits.items()}
    return Pruned(pruned, masks, PruningReport(before, surviving, ratio, layers, live, bits, bit_ratio))
