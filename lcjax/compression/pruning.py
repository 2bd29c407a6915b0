"""Pruning by magnitude: one net, or the whole curve of accuracy against compression for many nets at once.

Sharma et al., "Smaller Models, Better Generalization", section 5.2.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.compression.selection import (
    Where,
    batches,
    chosen,
    everything,
    first_model,
    layer_of,
    value_of,
    versions_at_once,
)
from lcjax.compression.storage import compression_ratio, live_neurons, stored_bits, surviving
from lcjax.kernels.compilation import jit
from lcjax.records import record

__all__ = ["PruneCurve", "Pruned", "PruningReport", "majority_accuracy", "mask_params", "prune", "prune_curve"]

Array = jax.Array | np.ndarray
Layers = tuple[str | None, ...]  # of each leaf; None where it is not pruned

SMALLEST, STEPS = 1e-3, 50  # of the paper, for fully connected nets; 100 steps for convolutional ones


@record
class PruningReport:
    """What pruning has left.

    Attributes:
        before: parameters that were not zero, biases included, `(*b,)`.
        surviving: those that are not zero now, `(*b,)`.
        ratio: before / surviving, the paper's compression ratio, `(*b,)`; inf where nothing is left.
        layers: surviving parameters of each layer, `(*b,)`.
        live: live neurons of each layer, see `live_neurons`, `(*b,)`.
        bits: stored bits, see `stored_bits`, `(*b,)`.
        bit_ratio: bits of the net before pruning, dense, by those of each way of storing it now, `(*b,)`.
    """

    before: Int[Array, "*b"]
    surviving: Int[Array, "*b"]
    ratio: Float[Array, "*b"]
    layers: dict[str, Int[Array, "*b"]]
    live: dict[str, Int[Array, "*b"]]
    bits: dict[str, Float[Array, "*b"]]
    bit_ratio: dict[str, Float[Array, "*b"]]


class Pruned(NamedTuple):
    """A pruned net.

    Attributes:
        params: with zeros for what was pruned, in the dtypes given.
        masks: False for what was pruned, the params' structure; `lcjax.sweep(..., mask=masks)` holds them in training.
        report: what is left.
    """

    params: Any
    masks: Any
    report: PruningReport


def prune(
    params: Any,
    threshold: Num[Array, ""] | float | int | Mapping[str, Any] | None = None,
    sparsity: Num[Array, ""] | float | int | None = None,
    scope: str = "layer",
    where: Where = everything,
) -> Pruned:
    """Set to zero the weights of least magnitude: those below a threshold, or a share of them.

    Works under `jit` and `vmap` with a traced threshold or sparsity. A layer is a module: its kernel and its bias
    together (the paper's ratio of 5063 = 20,252 / 4 is one survivor in each of four layers, biases pruned too).

    Args:
        params: any pytree of arrays.
        threshold: weights with `|w| < threshold` go, so that 0 changes nothing; one number, or one for each layer.
        sparsity: share of the weights that goes, in [0, 1], rounded to whole weights; of equals, the first go.
        scope: whether each layer loses that share ("layer"), or the net as a whole ("global").
        where: `(path, leaf) -> bool`, leaves that may be pruned; all by default, biases included.

    Returns:
        `(params, masks, report)`.

    Raises:
        ValueError: not exactly one of `threshold` and `sparsity` is given, one is out of range, `threshold` does not
            name the layers, `scope` is unknown, or `where` chooses nothing or a leaf of integers.

    Examples:
        >>> import numpy as np
        >>> params = {"head": {"bias": np.array([0.1, -0.3]), "kernel": np.array([[2.0, 0.2], [-0.5, 0.0]])}}
        >>> pruned, masks, report = prune(params, threshold=0.3)
        >>> pruned["head"]["kernel"].tolist(), masks["head"]["bias"].tolist(), float(report.ratio)
        ([[2.0, 0.0], [-0.5, 0.0]], [False, True], 1.6666666269302368)
        >>> int(prune(params, sparsity=0.5, scope="global").report.surviving)
        3
    """
    layers = _layers(params, where)
    if (threshold is None) == (sparsity is None):
        raise ValueError(f"prune takes either a threshold or a sparsity, got {threshold} and {sparsity}.")
    if threshold is not None:
        return _by_threshold(params, _thresholds(threshold, layers), layers=layers)
    if scope not in ("layer", "global"):
        raise ValueError(f'scope must be "layer" or "global", got {scope!r}.')
    known = value_of(sparsity)
    if known is not None and not 0 <= known <= 1:
        raise ValueError(f"A sparsity is a share in [0, 1], got {sparsity}.")
    groups = layers if scope == "layer" else tuple(None if layer is None else "" for layer in layers)
    return _by_share(params, jnp.asarray(sparsity, jnp.result_type(float)), groups=groups)


def mask_params(params: Any, masks: Any) -> Any:
    """Params with zeros where the masks say so: what holds a mask between the steps of a training loop of one's own.

    Examples:
        >>> mask_params({"bias": jnp.array([1.0, 2.0])}, {"bias": jnp.array([True, False])})
        {'bias': Array([1., 0.], dtype=float32)}
    """
    return jax.tree.map(lambda leaf, mask: jnp.where(mask, leaf, jnp.zeros_like(leaf)), params, masks)


def majority_accuracy(train_targets: Int[Array, " n"], targets: Int[Array, " m"]) -> float:
    """Accuracy of the net that always says the largest class of the training set: what a pruned net must beat.

    Examples:
        >>> majority_accuracy(np.array([0, 1, 1]), np.array([1, 1, 0, 1]))
        0.75
    """
    return float(np.mean(np.asarray(targets) == np.bincount(np.asarray(train_targets)).argmax()))


@record
class PruneCurve:
    """Accuracy against compression, step by step; step 0 is the net as trained.

    Attributes:
        threshold: of each layer at each step, `(*b, t)`, ascending; 0 at step 0.
        accuracy: what the given function says, `(*b, t)`.
        before: parameters of the net as trained that are not zero, `(*b,)`.
        surviving: parameters left, `(*b, t)`, descending.
        ratio: before / surviving, `(*b, t)`; inf where nothing is left.
        layers: surviving parameters of each layer, `(*b, t)`.
        live: live neurons of each layer, `(*b, t)`.
        bit_ratio: bits of the dense net by those stored, `(*b, t)`, by the way of storing.
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
        """The step of largest compression whose accuracy is within `tolerance` of the best of all steps.

        Examples:
            >>> none = jnp.zeros(3)
            >>> PruneCurve({}, jnp.array([0.9, 0.92, 0.5]), 9, none, none, {}, {}, {}).largest_within(0.01)
            Array(1, dtype=int32)
        """
        accuracy = jnp.asarray(self.accuracy)
        near = accuracy >= jnp.max(accuracy, axis=-1, keepdims=True) - tolerance - 1e-6  # shares are rounded
        return jnp.max(jnp.where(near, jnp.arange(accuracy.shape[-1], dtype=jnp.int32), 0), axis=-1)


def prune_curve(
    params: Any,
    accuracy: Callable[[Any], jax.Array],
    *,
    steps: int = STEPS,
    smallest: float | int = SMALLEST,
    where: Where = everything,
    models: bool = False,
    chunk: int | None = None,
) -> PruneCurve:
    """Prune nets at every threshold of the paper and measure each, in one compiled call over thresholds and models.

    The thresholds of a layer lie evenly from `smallest` to its largest |w| (Sharma et al., section 5.2), so that the
    last step leaves one weight a layer; a layer whose weights are all below `smallest` is pruned whole at the first.

    Args:
        params: of one net, or of many along a leading axis of every leaf.
        accuracy: `params of one net -> ()`. A `jax.tree_util.Partial` carries its arrays as arguments, so that a
            curve on other data of the same shape compiles nothing; what a plain function closes over is compiled in.
        steps: thresholds: 50 in the paper for fully connected, 100 for convolutional nets.
        smallest: first threshold.
        where: leaves that may be pruned, see `prune`.
        models: whether the leaves have a leading axis of models.
        chunk: thresholds evaluated at a time, for nets whose activations at all of them exceed the memory.

    Returns:
        The curve, with `steps + 1` entries: the first is the net as trained.

    Raises:
        ValueError: see `prune`; fewer than two steps, or a negative smallest threshold.

    Examples:
        >>> params = {"kernel": jnp.array([[3.0, -2.0], [0.5, 0.0]])}
        >>> curve = prune_curve(params, lambda params: jnp.mean(params["kernel"] > 0), steps=3)
        >>> curve.ratio, int(curve.largest_within(0.3))
        (Array([1. , 1. , 1.5, 3. ], dtype=float32), 3)
    """
    if steps < 2 or not smallest >= 0:
        raise ValueError(f"A curve needs two steps and a smallest threshold from 0, got {steps} and {smallest}.")
    one = first_model(params) if models else params
    layers = _layers(one, where)
    size = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    width = max(1, min(steps + 1, versions_at_once(size))) if chunk is None else chunk
    if width < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}.")
    function = accuracy if isinstance(accuracy, jax.tree_util.Partial) else jax.tree_util.Partial(accuracy)
    return _curve(params, function, smallest, steps=steps, layers=layers, models=models, width=width)


@jit(static_argnames=("steps", "layers", "models", "width"))
def _curve(
    params: Any,
    accuracy: Callable[[Any], jax.Array],
    smallest: Any,
    *,
    steps: int,
    layers: Layers,
    models: bool,
    width: int,
) -> PruneCurve:
    def one(params: Any) -> PruneCurve:
        top: dict[str, jax.Array] = {}
        for leaf, layer in zip(jax.tree.leaves(params), layers, strict=True):
            if layer is not None and leaf.size:
                top[layer] = jnp.maximum(top.get(layer, 0.0), jnp.max(_magnitude(leaf)))
        share = jnp.arange(steps) / (steps - 1)
        threshold = {}
        for layer, largest in top.items():
            end = jnp.maximum(largest, smallest)
            rising = jnp.minimum(smallest + (end - smallest) * share, end)  # rounding must not prune the largest
            threshold[layer] = jnp.concatenate([jnp.zeros_like(end)[None], rising])

        def at(threshold: dict[str, jax.Array]) -> tuple[Any, ...]:
            pruned = _apply(params, _masks(params, threshold, layers))
            report = _report(params, pruned)
            return accuracy(pruned), report.surviving, report.ratio, report.layers, report.live, report.bit_ratio

        found = jax.lax.map(at, threshold, **batches(width))
        before = sum(surviving(params).values())
        return PruneCurve(threshold, found[0], before, *found[1:])  # type: ignore[arg-type]

    return jax.vmap(one)(params) if models else one(params)


def _layers(params: Any, where: Where) -> Layers:
    return tuple(layer_of(path) if pruned else None for path, pruned in chosen(params, where).items())


def _thresholds(threshold: Any, layers: Layers) -> dict[str, jax.Array]:
    names = list(dict.fromkeys(layer for layer in layers if layer is not None))
    given = dict(threshold) if isinstance(threshold, Mapping) else dict.fromkeys(names, threshold)
    if sorted(given) != sorted(names):
        raise ValueError(f"Thresholds are given for {', '.join(sorted(given))}; the layers are {', '.join(names)}.")
    for name, value in given.items():
        known = value_of(value)
        if known is not None and not np.all(known >= 0):
            raise ValueError(f"A threshold is a magnitude, at least 0; got {value} for layer {name!r}.")
    return {name: jnp.asarray(value, jnp.result_type(float)) for name, value in given.items()}


@jit(static_argnames="layers")
def _by_threshold(params: Any, threshold: dict[str, jax.Array], *, layers: Layers) -> Pruned:
    masks = _masks(params, threshold, layers)
    pruned = _apply(params, masks)
    return Pruned(pruned, masks, _report(params, pruned))


@jit(static_argnames="groups")
def _by_share(params: Any, sparsity: jax.Array, *, groups: Layers) -> Pruned:
    leaves, structure = jax.tree.flatten(params)
    masks: list[Bool[jax.Array, "..."]] = [jnp.ones(leaf.shape, bool) for leaf in leaves]
    for group in {group for group in groups if group is not None}:
        members = [i for i, other in enumerate(groups) if other == group]
        magnitude = jnp.concatenate([_magnitude(leaves[i]).ravel() for i in members])
        kept = ~_smallest(magnitude, jnp.round(sparsity * magnitude.size))
        parts = jnp.split(kept, np.cumsum([leaves[i].size for i in members])[:-1])
        for i, part in zip(members, parts, strict=True):
            masks[i] = part.reshape(leaves[i].shape)
    tree = jax.tree.unflatten(structure, masks)
    pruned = _apply(params, tree)
    return Pruned(pruned, tree, _report(params, pruned))


def _smallest(magnitude: jax.Array, count: jax.Array) -> Bool[jax.Array, " n"]:
    """Which are the `count` smallest, of equals the first, nan last.

    The bits of numbers from 0 on, as integers, are in the order of the numbers; XLA sorts integers alone some ten times
    faster on CPU than it sorts floating numbers and their places.
    """
    if not magnitude.size:
        return jnp.zeros(0, bool)
    bits = jax.lax.bitcast_convert_type(magnitude, jnp.int64 if magnitude.dtype.itemsize == 8 else jnp.int32)
    count = count.astype(jnp.int32)
    last = jnp.sort(bits)[jnp.maximum(count - 1, 0)]
    equal = bits == last
    below = bits < last
    chosen = below | (equal & (jnp.cumsum(equal) <= count - jnp.sum(below)))
    return chosen & (count > 0)


def _magnitude(leaf: Any) -> jax.Array:
    return jnp.abs(leaf).astype(jnp.promote_types(leaf.dtype, jnp.float32))  # thresholds are finer than bfloat16


def _masks(params: Any, threshold: Mapping[str, jax.Array], layers: Layers) -> Any:
    leaves, structure = jax.tree.flatten(params)
    masks = [
        jnp.ones(leaf.shape, bool) if layer is None or not leaf.size else ~(_magnitude(leaf) < threshold[layer])
        for leaf, layer in zip(leaves, layers, strict=True)
    ]
    return jax.tree.unflatten(structure, masks)


_apply = mask_params


def _report(params: Any, pruned: Any) -> PruningReport:
    before, layers = sum(surviving(params).values()), surviving(pruned)
    left = sum(layers.values())
    bits, dense = stored_bits(pruned), stored_bits(params)["dense"]
    return PruningReport(
        before=before,  # type: ignore[arg-type]
        surviving=left,  # type: ignore[arg-type]
        ratio=compression_ratio(before, left),  # type: ignore[arg-type]
        layers=layers,
        live=live_neurons(pruned),
        bits=bits,
        bit_ratio={name: dense / value for name, value in bits.items()},
    )
