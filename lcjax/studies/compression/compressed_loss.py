"""Nets that were trained under one loss, pruned and quantized, with what that costs (Sharma et al., section 5)."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.complexity.vc_bound import larger_scores
from lcjax.compression.fixed_point import nearest_even, towards_zero
from lcjax.compression.pruning import prune
from lcjax.compression.pruning_curve import PruneCurve, prune_curve
from lcjax.compression.quantization import quantize
from lcjax.compression.quantization_curve import QuantizeCurve, quantize_curve
from lcjax.compression.storage import compression_ratio
from lcjax.data.examples import Data, Examples
from lcjax.files import write_json
from lcjax.kernels.compilation import jit
from lcjax.records import from_dict, record
from lcjax.studies.compression.net_accuracy import Accuracy, as_seen, outputs_of, thresholds_at_once

__all__ = [
    "BITS",
    "TOLERANCE",
    "CompressedLoss",
    "Versions",
    "compress_loss",
    "kept_loss",
    "versions_of",
    "weights_only",
]

BITS = tuple(range(16, 1, -1))
TOLERANCE = 0.01


@record
class CompressedLoss:
    """One loss: what was chosen for it, and its nets, one for each of r seeds.

    Attributes:
        name: "H+W1+LCA" and the like: objective, penalties.
        chosen: columns of the table of runs that were chosen: learning rate, penalties.
        grid: all that was tried, each `(g,)`, and its "validation_accuracy"; nan where a training diverged, or where
            there was one setting only and so nothing to choose.
        epoch: at which the validation accuracy was looked at, `(t,)`.
        validation_curve: validation accuracy there, `(r, t)`.
        train_accuracy: in the end, `(r,)`.
        accuracy: of the test set, nothing pruned, `(r,)`.
        pruned_accuracy: of the test set at the largest compression within 1 % of the best validation accuracy, `(r,)`.
        step: that step of the curve, `(r,)`.
        ratio: non-zero parameters before by after, `(r,)`.
        bit_ratio: bits, dense, by bits stored, `(r,)`.
        live: live neurons of each layer, `(r,)`.
        pruning: the whole curve by validation accuracy, `(r, t)`.
        pruning_test: test accuracy along it, `(r, t)`.
        quantization: bits against accuracy, not pruned; `measured` has test "accuracy" and "loss" and "surviving"
            parameters, `(r, q)`.
        pruned_quantization: the same of the pruned nets.
        quantized_bits: the fewest that keep the validation accuracy within 1 %, the most tried if none do, `(r,)`.
        quantized_accuracy: of the test set with them, `(r,)`.
        quantized_ratio: non-zero parameters before by those after quantization to them, `(r,)`.
        fewest_bits: see `QuantizeCurve.fewest_bits`, by test accuracy, `(r,)`.
        larger_scores: share of test scores that quantization enlarges, against Eq. (23), by rounding, `(r, q)`.
    """

    name: str = jax.tree.static()
    chosen: dict[str, float]
    grid: dict[str, Float[np.ndarray, " g"]]
    epoch: Float[np.ndarray, " t"]
    validation_curve: Float[np.ndarray, "r t"]
    train_accuracy: Float[np.ndarray, " r"]
    accuracy: Float[np.ndarray, " r"]
    pruned_accuracy: Float[np.ndarray, " r"]
    step: Int[np.ndarray, " r"]
    ratio: Float[np.ndarray, " r"]
    bit_ratio: dict[str, Float[np.ndarray, " r"]]
    live: dict[str, Int[np.ndarray, " r"]]
    pruning: PruneCurve
    pruning_test: Float[np.ndarray, "r t"]
    quantization: QuantizeCurve
    pruned_quantization: QuantizeCurve
    quantized_bits: Int[np.ndarray, " r"]
    quantized_accuracy: Float[np.ndarray, " r"]
    quantized_ratio: Float[np.ndarray, " r"]
    fewest_bits: Int[np.ndarray, " r"]
    larger_scores: dict[str, Float[np.ndarray, "r q"]]


class Versions(NamedTuple):
    """One net's variables as trained, pruned, quantized."""

    trained: Any
    pruned: Any
    quantized: Any


class _Net(NamedTuple):
    pruning: PruneCurve
    pruning_test: Any
    step: Any
    quantization: QuantizeCurve
    pruned_quantization: QuantizeCurve
    quantized_at: Any
    fewest_bits: Any
    larger_scores: Any


def compress_loss(
    name: str,
    nets: Sequence[Any],
    data: Data,
    model: nn.Module,
    objective: Any,
    *,
    thresholds: int,
    tolerance: float | int = TOLERANCE,
    **found: Any,
) -> CompressedLoss:
    """Prune and quantize nets, every choice made on the validation set.

    Args:
        name: of the loss.
        nets: variables, as `SweepResult.params` has them.
        data: with a test split.
        model: without dropout.
        objective: of the loss.
        thresholds: steps of the pruning.
        tolerance: accuracy that compression may cost on the validation set.
        found: what was found in training, the other fields of `CompressedLoss`.

    Returns:
        All numbers.
    """
    every = [_compressed(variables, data, model, objective, thresholds, tolerance) for variables in nets]
    net = jax.tree.map(lambda *leaves: np.stack(leaves), *every)
    shared = {"bits": np.asarray(every[0].quantization.bits), "grid": np.asarray(every[0].quantization.grid)}
    quantization = dataclasses.replace(net.quantization, **shared)
    seeds = np.arange(len(nets))
    measured = {key: value[seeds, net.quantized_at] for key, value in quantization.measured.items()}
    return CompressedLoss(
        name=name,
        accuracy=net.pruning_test[:, 0],
        pruned_accuracy=net.pruning_test[seeds, net.step],
        step=net.step,
        ratio=net.pruning.ratio[seeds, net.step],
        bit_ratio={way: value[seeds, net.step] for way, value in net.pruning.bit_ratio.items()},
        live={layer: value[seeds, net.step] for layer, value in net.pruning.live.items()},
        pruning=net.pruning,
        pruning_test=net.pruning_test,
        quantization=quantization,
        pruned_quantization=dataclasses.replace(net.pruned_quantization, **shared),
        quantized_bits=shared["bits"][net.quantized_at],
        quantized_accuracy=measured["accuracy"],
        quantized_ratio=np.asarray(compression_ratio(net.pruning.before, measured["surviving"])),
        fewest_bits=net.fewest_bits,
        larger_scores=net.larger_scores,
        **found,
    )


def kept_loss(file: Path | None, make: Callable[[], CompressedLoss]) -> CompressedLoss:
    """What a file has, or what is made, and then written there; always as read, so that the numbers are the same.

    Args:
        file: where it is kept; `None` for nowhere.
        make: finds it.
    """
    if file is None:
        return make()
    if not file.exists():
        write_json(file, make())
    loss = from_dict(CompressedLoss, json.loads(file.read_text()))
    curves = {}
    for name in ("quantization", "pruned_quantization"):
        curve = getattr(loss, name)  # what it measured has no type to be read by
        measured = {key: np.asarray(value) for key, value in curve.measured.items()}
        full = {key: np.asarray(value) for key, value in curve.full_measured.items()}
        curves[name] = dataclasses.replace(curve, measured=measured, full_measured=full)
    return dataclasses.replace(loss, **curves)


def versions_of(loss: CompressedLoss, variables: Any, seed: int = 0) -> Versions:
    """A net as trained, and pruned and quantized as the validation set has chosen.

    Args:
        loss: what was found.
        variables: of one of its nets.
        seed: its place among the loss's nets.
    """
    state = {name: value for name, value in variables.items() if name != "params"}
    params = jax.tree.map(jnp.asarray, variables["params"])
    thresholds = {layer: t[seed][loss.step[seed]] for layer, t in loss.pruning.threshold.items()}
    pruned = prune(params, thresholds, where=weights_only).params
    at = np.flatnonzero(np.asarray(loss.quantization.bits) <= loss.quantized_bits[seed])[0]
    form = int(loss.quantization.bits[at]), int(loss.quantization.fraction_bits[seed][at])
    quantized = quantize(params, *form, where=weights_only).params
    return Versions(*({**state, "params": each} for each in (params, pruned, quantized)))


def weights_only(path: str, leaf: Any) -> bool:
    """All but the parameters of normalizations, which are neither pruned nor quantized here.

    Examples:
        >>> weights_only("norms_0/scale", None), weights_only("hidden_0/bias", None)
        (False, True)
    """
    return not any("norm" in part.lower() for part in path.split("/")[:-1])


def _compressed(
    variables: Any, data: Data, model: nn.Module, objective: Any, thresholds: int, tolerance: float | int
) -> _Net:
    assert data.test is not None
    state = {name: value for name, value in variables.items() if name != "params"}
    params = jax.tree.map(jnp.asarray, variables["params"])

    def on(examples: Examples, objective: Any = None) -> tuple[Any, int]:
        many, block = thresholds_at_once(params, len(examples.targets))
        arrays = state, as_seen(data, examples.inputs), jnp.asarray(examples.targets)
        return jax.tree_util.Partial(Accuracy(model, block, objective), *arrays), many

    (validation, chunk), (test, _), (both, many) = on(data.validation), on(data.test), on(data.test, objective)
    options: dict[str, Any] = {"steps": thresholds, "where": weights_only, "chunk": min(chunk, many, thresholds + 1)}
    pruning = prune_curve(params, validation, **options)
    pruning_test = prune_curve(params, test, **options).accuracy
    step = int(pruning.largest_within(tolerance))
    pruned = prune(params, {layer: t[step] for layer, t in pruning.threshold.items()}, where=weights_only).params
    options = {
        "measure": both, "bits": BITS, "tolerance": tolerance, "where": weights_only, "chunk": min(chunk, many)
    }  # fmt: skip
    quantization = quantize_curve(params, validation, **options)
    pruned_quantization = quantize_curve(pruned, validation, **options)
    at = int(np.argmax(np.asarray(quantization.bits) <= int(quantization.fewest_bits(tolerance))))
    by_test = dataclasses.replace(
        quantization,
        accuracy=quantization.measured["accuracy"],
        full_accuracy=quantization.full_measured["accuracy"],
    )
    net = _Net(
        pruning=pruning,
        pruning_test=pruning_test,
        step=step,
        quantization=quantization,
        pruned_quantization=pruned_quantization,
        quantized_at=at,
        fewest_bits=by_test.fewest_bits(tolerance),
        larger_scores=_larger_scores(model, variables, data, quantization),
    )
    return jax.tree.map(np.asarray, net)


def _larger_scores(
    model: nn.Module, variables: Any, data: Data, curve: QuantizeCurve
) -> dict[str, Float[np.ndarray, " q"]]:
    """How often Eq. (23) fails on the head of a net, at each number of bits, by the rounding."""
    assert data.test is not None
    features = outputs_of(model, variables, data, data.test, method="features")
    augmented = jnp.pad(jnp.asarray(features), ((0, 0), (0, 1)), constant_values=1.0)
    head = variables["params"]["head"]
    weights = jnp.concatenate([head["kernel"], jnp.asarray(head["bias"])[None]])
    return {
        rounding.__name__: np.asarray(_larger(weights, augmented, curve.bits, curve.fraction_bits, rounding=rounding))
        for rounding in (towards_zero, nearest_even)
    }


@jit(static_argnames="rounding")
def _larger(weights: jax.Array, augmented: jax.Array, bits: Any, fraction_bits: Any, *, rounding: Any) -> jax.Array:
    def at(form: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.mean(larger_scores(weights, quantize(weights, *form, rounding=rounding).params, augmented))

    return jax.lax.map(at, (bits, fraction_bits))
