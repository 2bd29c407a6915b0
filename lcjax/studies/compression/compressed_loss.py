"""Pruning and quantization of networks trained under one loss (Sharma et al., 2019, section 5)."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.complexity.vc_bound import larger_scores
from lcjax.compression.fixed_point import nearest_even, towards_zero
from lcjax.compression.pruning import prune
from lcjax.compression.pruning_curve import PruneCurve, prune_curve
from lcjax.compression.quantization import Rounding, quantize
from lcjax.compression.quantization_curve import QuantizeCurve, quantize_curve
from lcjax.compression.selection import Leaf
from lcjax.compression.storage import compression_ratio
from lcjax.data.examples import Data, Examples
from lcjax.files import read_checked, reading, write_checked
from lcjax.kernels.compilation import jit
from lcjax.records import from_dict, record
from lcjax.studies.compression.evaluation import Accuracy, block_sizes, normalize, outputs_of
from lcjax.studies.compression.recipes import Loss
from lcjax.typing import Array, Variables

__all__ = ["CompressedLoss", "Training", "Versions", "compress_loss", "load_or_make", "versions_of", "weights_only"]

BITS = tuple(range(16, 1, -1))
TOLERANCE = 0.01

PerSeed: TypeAlias = Float[np.ndarray, " r"]
Counts: TypeAlias = Int[np.ndarray, " r"]


class Training(NamedTuple):
    """Training under one loss, before compression; fields as in `CompressedLoss`."""

    chosen: dict[str, float]
    grid: dict[str, Float[np.ndarray, " g"]]
    epoch: Float[np.ndarray, " t"]
    validation_curve: Float[np.ndarray, "r t"]
    train_accuracy: PerSeed


@record
class CompressedLoss:
    """One loss with its chosen setting and its compressed networks, one for each of r seeds.

    Attributes:
        name: name of the loss, such as "H+W1+LCA".
        chosen: the chosen columns of the table of runs: learning rate and penalties.
        grid: all settings, each `(g,)`, with their "validation_accuracy"; nan for a diverged or an only setting.
        epoch: epochs at which the validation accuracy was recorded, `(t,)`.
        validation_curve: validation accuracy there, `(r, t)`.
        train_accuracy: final training accuracy, `(r,)`.
        accuracy: test accuracy before pruning, `(r,)`.
        pruned_accuracy: test accuracy at the largest compression within 1 % of the best validation accuracy, `(r,)`.
        step: that step of the pruning curve, `(r,)`.
        ratio: nonzero parameters before over after pruning, `(r,)`.
        bit_ratio: dense bits over stored bits, by format, `(r,)`.
        live: live neurons of each layer, `(r,)`.
        pruning: the pruning curve by validation accuracy, `(r, t)`.
        pruning_test: test accuracy along it, `(r, t)`.
        quantization: bits against accuracy, without pruning; `measured` has test "accuracy" and "loss" and the number
            of "surviving" parameters, `(r, q)`.
        pruned_quantization: the same for the pruned networks.
        quantized_bits: fewest bits within 1 % of the validation accuracy, the most bits tried if none are, `(r,)`.
        quantized_accuracy: test accuracy with them, `(r,)`.
        quantized_ratio: nonzero parameters before over after quantization to them, `(r,)`.
        fewest_bits: `QuantizeCurve.fewest_bits` by test accuracy, `(r,)`.
        larger_scores: fraction of test scores that quantization increases, contrary to Eq. (23), by rounding, `(r, q)`.
    """

    name: str = jax.tree.static()
    chosen: dict[str, float]
    grid: dict[str, Float[np.ndarray, " g"]]
    epoch: Float[np.ndarray, " t"]
    validation_curve: Float[np.ndarray, "r t"]
    train_accuracy: PerSeed
    accuracy: PerSeed
    pruned_accuracy: PerSeed
    step: Counts
    ratio: PerSeed
    bit_ratio: dict[str, PerSeed]
    live: dict[str, Counts]
    pruning: PruneCurve
    pruning_test: Float[np.ndarray, "r t"]
    quantization: QuantizeCurve
    pruned_quantization: QuantizeCurve
    quantized_bits: Counts
    quantized_accuracy: PerSeed
    quantized_ratio: PerSeed
    fewest_bits: Counts
    larger_scores: dict[str, Float[np.ndarray, "r q"]]


class Versions(NamedTuple):
    """Variables of one network as trained, pruned and quantized."""

    trained: Variables
    pruned: Variables
    quantized: Variables


class _Compressed(NamedTuple):
    """Compression of one network; fields as in `CompressedLoss`."""

    pruning: PruneCurve
    pruning_test: Float[Array, " t"]
    step: Int[Array, ""]
    quantization: QuantizeCurve
    pruned_quantization: QuantizeCurve
    quantized_at: Int[Array, ""]
    fewest_bits: Int[Array, ""]
    larger_scores: dict[str, Float[np.ndarray, " q"]]


def compress_loss(
    name: str,
    networks: Sequence[Variables],
    data: Data,
    model: nn.Module,
    loss: Loss,
    training: Training,
    *,
    thresholds: int,
    tolerance: float | int = TOLERANCE,
) -> CompressedLoss:
    """Prune in `thresholds` steps and quantize, losing at most `tolerance` of validation accuracy.

    Every choice is made on the validation set. The model has no dropout, and the loss no penalties.
    """
    each = [_compress(variables, data, model, loss, thresholds, tolerance) for variables in networks]
    net = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    formats = {"bits": np.asarray(each[0].quantization.bits), "grid": np.asarray(each[0].quantization.grid)}
    quantization = dataclasses.replace(net.quantization, **formats)
    seeds = np.arange(len(networks))
    measured = {key: value[seeds, net.quantized_at] for key, value in quantization.measured.items()}
    return CompressedLoss(
        name=name,
        **training._asdict(),
        accuracy=net.pruning_test[:, 0],
        pruned_accuracy=net.pruning_test[seeds, net.step],
        step=net.step,
        ratio=net.pruning.ratio[seeds, net.step],
        bit_ratio={way: value[seeds, net.step] for way, value in net.pruning.bit_ratio.items()},
        live={layer: value[seeds, net.step] for layer, value in net.pruning.live.items()},
        pruning=net.pruning,
        pruning_test=net.pruning_test,
        quantization=quantization,
        pruned_quantization=dataclasses.replace(net.pruned_quantization, **formats),
        quantized_bits=formats["bits"][net.quantized_at],
        quantized_accuracy=measured["accuracy"],
        quantized_ratio=np.asarray(compression_ratio(net.pruning.before, measured["surviving"])),
        fewest_bits=net.fewest_bits,
        larger_scores=net.larger_scores,
    )


def load_or_make(file: Path | None, make: Callable[[], CompressedLoss]) -> CompressedLoss:
    """Return the record in a file, making and writing it first if the file does not exist or is damaged.

    A new record is read back, too, so that its numbers do not depend on whether it was stored before. Nothing is stored
    if `file` is `None`.
    """
    if file is None:
        return make()
    loss = _load(file)
    if loss is None:
        write_checked(file, {"file": _name(file), "loss": make()})
        loss = _load(file)
        assert loss is not None
    return loss


def _load(file: Path) -> CompressedLoss | None:
    """Read the record in a file; None if there is none, or one that was damaged or written as another file."""
    if not file.exists():
        return None
    try:
        with reading(file):
            fields = read_checked(file)
            if fields["file"] != _name(file):
                raise ValueError(f"it was written as {fields['file']}")
            return from_dict(CompressedLoss, fields["loss"])
    except ValueError as reason:
        warnings.warn(f"{reason} The result is computed again.", stacklevel=3)
        return None


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def versions_of(loss: CompressedLoss, variables: Variables, seed: int = 0) -> Versions:
    """Return the network at index `seed` as trained, and as pruned and quantized by the choices on validation data."""
    state, params = _split(variables)
    thresholds = {layer: t[seed][loss.step[seed]] for layer, t in loss.pruning.threshold.items()}
    pruned = prune(params, thresholds, where=weights_only).params
    at = np.flatnonzero(np.asarray(loss.quantization.bits) <= loss.quantized_bits[seed])[0]
    bits, fraction_bits = int(loss.quantization.bits[at]), int(loss.quantization.fraction_bits[seed][at])
    quantized = quantize(params, bits, fraction_bits, where=weights_only).params
    return Versions(*({**state, "params": version} for version in (params, pruned, quantized)))


def weights_only(path: str, leaf: Leaf | None) -> bool:
    """Return False for the parameters of normalizations, which are neither pruned nor quantized here.

    Examples:
        >>> weights_only("norms_0/scale", None), weights_only("hidden_0/bias", None)
        (False, True)
    """
    return not any("norm" in part.lower() for part in path.split("/")[:-1])


def _compress(
    variables: Variables, data: Data, model: nn.Module, loss: Loss, thresholds: int, tolerance: float | int
) -> _Compressed:
    assert data.test is not None
    state, params = _split(variables)

    def measure(examples: Examples, loss: Loss | None = None) -> tuple[jax.tree_util.Partial, int]:
        versions, block = block_sizes(params, len(examples.targets))
        arrays = state, normalize(data, examples.inputs), jnp.asarray(examples.targets)
        return jax.tree_util.Partial(Accuracy(model, block, loss), *arrays), versions

    (validation, of_validation), (test, _), (test_loss, of_test) = (
        measure(data.validation), measure(data.test), measure(data.test, loss)
    )  # fmt: skip
    chunk = min(of_validation, of_test)
    over_thresholds = functools.partial(
        prune_curve, params, steps=thresholds, where=weights_only, chunk=min(chunk, thresholds + 1)
    )
    over_bits = functools.partial(
        quantize_curve, measure=test_loss, bits=BITS, tolerance=tolerance, where=weights_only, chunk=chunk
    )
    pruning = over_thresholds(validation)
    step = int(pruning.largest_within(tolerance))
    pruned = prune(params, {layer: t[step] for layer, t in pruning.threshold.items()}, where=weights_only).params
    quantization = over_bits(params, validation)
    by_test = dataclasses.replace(
        quantization, accuracy=quantization.measured["accuracy"], full_accuracy=quantization.full_measured["accuracy"]
    )
    compressed: _Compressed = jax.tree.map(
        np.asarray,
        _Compressed(
            pruning=pruning,
            pruning_test=over_thresholds(test).accuracy,
            step=np.asarray(step),
            quantization=quantization,
            pruned_quantization=over_bits(pruned, validation),
            quantized_at=np.asarray(np.argmax(quantization.bits <= int(quantization.fewest_bits(tolerance)))),
            fewest_bits=by_test.fewest_bits(tolerance),
            larger_scores=_larger_scores(model, variables, data, quantization),
        ),
    )
    return compressed


def _split(variables: Variables) -> tuple[Variables, Variables]:
    """Split variables into state and parameters."""
    state = {name: value for name, value in variables.items() if name != "params"}
    params: Variables = jax.tree.map(jnp.asarray, variables["params"])
    return state, params


def _larger_scores(
    model: nn.Module, variables: Variables, data: Data, curve: QuantizeCurve
) -> dict[str, Float[np.ndarray, " q"]]:
    """Return how often Eq. (23) fails on the head of a network, for each number of bits, by rounding."""
    assert data.test is not None
    features = outputs_of(model, variables, data, data.test, method="features")
    augmented = jnp.pad(jnp.asarray(features), ((0, 0), (0, 1)), constant_values=1.0)
    params = variables["params"]
    assert isinstance(params, dict)
    head = params["head"]
    assert isinstance(head, dict)
    weights = jnp.concatenate([jnp.asarray(head["kernel"]), jnp.asarray(head["bias"])[None]])
    return {
        rounding.__name__: np.asarray(_larger(weights, augmented, curve.bits, curve.fraction_bits, rounding))
        for rounding in (towards_zero, nearest_even)
    }


@jit(static_argnames="rounding")
def _larger(
    weights: Float[jax.Array, "d c"],
    augmented: Float[jax.Array, "n d"],
    bits: Int[Array, " q"],
    fraction_bits: Int[Array, " q"],
    rounding: Rounding,
) -> Float[jax.Array, " q"]:
    def fraction(form: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.mean(larger_scores(weights, quantize(weights, *form, rounding=rounding).params, augmented))

    fractions: jax.Array = jax.lax.map(fraction, (bits, fraction_bits))
    return fractions
