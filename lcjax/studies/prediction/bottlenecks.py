"""Effective dimension of a net's features: bottlenecks of every width, fine-tuned, against the net without one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from lcjax.curves.standard_errors import mean_and_standard_error
from lcjax.data.examples import Data
from lcjax.kernels.neighbors import nearest_neighbors
from lcjax.models.layers.convolution import Bottlenecked
from lcjax.records import record
from lcjax.studies.prediction.stages import Report, refuse_failures, runs_folder, stage_progress
from lcjax.studies.recipes import Recipe
from lcjax.theory.dimension import (
    DimensionEstimate,
    EffectiveDimension,
    effective_dimension,
    levina_bickel,
    nearest_neighbor_accuracy,
    spectral_dimension,
    two_nn,
)
from lcjax.training.evaluation import features
from lcjax.training.result import SweepResult
from lcjax.training.runs import Runs
from lcjax.training.sweep import sweep

__all__ = ["WIDTHS", "BottleneckSweep", "measure_dimension"]

Array = jax.Array | np.ndarray

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
INTRINSIC: tuple[Any, ...] = (two_nn, levina_bickel, spectral_dimension)


@record
class BottleneckSweep:
    """Accuracy against the width of the bottleneck, on validation data (Bisla et al. 2021, section 3.1, Figures 2, 5).

    Attributes:
        width: bottleneck widths, `(b,)`.
        accuracy: mean validation accuracy over seeds, `(b,)`.
        difference_error: standard error of `accuracy - reference`, paired by seed and example, `(b,)`.
        replicates: validation accuracy of each seed, `(r, b)`.
        neighbor_accuracy: accuracy of the 1-nearest-neighbour rule on the bottleneck's features, `(b,)`.
        reference: mean validation accuracy of the nets without a bottleneck, `()`.
        neighbor_reference: 1-nearest-neighbour accuracy on the features of the nets without a bottleneck, `()`.
        estimate: smallest width that is not inferior to the reference.
        intrinsic: intrinsic dimension of each seed's features without bottleneck by other estimators, as a
            cross-check; each with fields of shape `(r,)`.
    """

    width: Int[Array, " b"]
    accuracy: Float[Array, " b"]
    difference_error: Float[Array, " b"]
    replicates: Float[Array, "r b"]
    neighbor_accuracy: Float[Array, " b"]
    reference: Float[Array, ""]
    neighbor_reference: Float[Array, ""]
    estimate: EffectiveDimension
    intrinsic: dict[str, DimensionEstimate]


def measure_dimension(
    key: Key[jax.Array, ""],
    data: Data,
    recipe: Recipe,
    trained: SweepResult,
    rows: Sequence[int],
    *,
    widths: Sequence[int] = WIDTHS,
    margin: float = 0.005,
    level: float = 0.05,
    folder: Path | None = None,
    on_progress: Report | None = None,
) -> BottleneckSweep:
    """Put bottlenecks of every width into trained nets, fine-tune, and find the smallest width that loses nothing.

    The whole net is fine-tuned on the shard that it was trained on (Bisla et al. 2021, section 3.1). Accuracies are of
    the validation split, and compared with the same net before, example by example. As a second opinion the
    1-nearest-neighbour rule is applied to the d'-dimensional features, as in the paper's Figure 5.

    Args:
        key: the key that the nets were trained with, so that their shards are the same.
        data: the task.
        recipe: the net and how it is fine-tuned.
        trained: a sweep that kept the variables of the nets.
        rows: the nets to take, one a seed.
        widths: bottleneck widths, ascending.
        margin: loss of accuracy up to which a bottleneck counts as not inferior.
        level: of the non-inferiority test, one-sided.
        folder: where finished fine-tunings are kept, or `None`.
        on_progress: called with a stage's name, steps done and steps in all.

    Returns:
        Accuracies, the estimate, and intrinsic dimensions of the same features.

    Raises:
        ValueError: a width is not positive or exceeds the net's features, or a fine-tuning diverged.
    """
    if min(widths) < 1:
        raise ValueError(f"Bottleneck widths must be at least 1, got {tuple(widths)}.")
    rows = list(rows)
    program = dataclasses.replace(
        recipe.program,
        model=Bottlenecked(recipe.program.model, max(widths)),
        budget=recipe.fine_tune,
        model_columns=(*recipe.program.model_columns, "bottleneck_width"),
    )
    columns = {name: np.repeat(np.asarray(column)[rows], len(widths)) for name, column in trained.runs.columns.items()}
    columns["learning_rate"] = np.full(len(rows) * len(widths), recipe.fine_tune_rate)
    columns["bottleneck_width"] = np.tile(np.asarray(widths, np.int32), len(rows))
    runs = Runs((program,), np.zeros(len(rows) * len(widths), np.int32), columns)
    tuned = sweep(
        key,
        data.without_test(),
        runs,
        initial=[trained.params[row] for row in rows for _ in widths],
        keep=np.ones(len(runs.program), bool),
        folder=runs_folder(folder, "bottlenecks", key, runs, data),
        on_progress=stage_progress(on_progress, f"fine-tune {len(runs.program)} bottlenecks") if on_progress else None,
    )
    refuse_failures(tuned)
    wrong = np.swapaxes(tuned.validation_wrong.reshape(len(rows), len(widths), -1), 0, 1)
    reference_wrong = trained.validation_wrong[rows]
    _, difference_error = mean_and_standard_error(wrong.astype(float) - reference_wrong.astype(float))
    accuracy, reference = 1 - wrong.mean(axis=(1, 2)), 1 - reference_wrong.mean()

    report = on_progress or (lambda stage, done, total: None)
    by_width: list[float] = []
    plain: list[float] = []
    intrinsic: list[list[DimensionEstimate]] = []
    for i, row in enumerate(rows):
        nets = [(trained, row, "features")] + [(tuned, i * len(widths) + j, "code") for j in range(len(widths))]
        for j, (result, place, method) in enumerate(nets):
            own = features(result, place, data, shard=True, method=method)
            held_out = features(result, place, data, data.validation.inputs, method=method)
            (by_width if j else plain).append(_neighbor_accuracy(data, own, result.shard(place), held_out))
            if not j:
                intrinsic.append([estimate(own) for estimate in INTRINSIC])
            report("nearest neighbours", i * len(nets) + j + 1, len(rows) * len(nets))
    return BottleneckSweep(
        width=np.asarray(widths, np.int32),
        accuracy=accuracy,
        difference_error=np.asarray(difference_error),
        replicates=np.swapaxes(1 - wrong.mean(axis=2), 0, 1),
        neighbor_accuracy=np.mean(np.reshape(by_width, (len(rows), len(widths))), axis=0),
        reference=np.asarray(reference),
        neighbor_reference=np.asarray(np.mean(plain)),
        estimate=effective_dimension(
            jnp.asarray(widths), jnp.asarray(accuracy), difference_error, reference, margin=margin, level=level
        ),
        intrinsic={
            estimate.__name__: jax.tree.map(lambda *leaves: np.asarray(leaves), *estimates)
            for estimate, estimates in zip(INTRINSIC, zip(*intrinsic, strict=True), strict=True)
        },
    )


def _neighbor_accuracy(
    data: Data, own: Float[Array, "n d"], shard: Int[Array, " n"], held_out: Float[Array, "m d"]
) -> float:
    """Accuracy of the nearest training example's target, by the same rule as the net's."""
    targets = np.asarray(data.train.targets)[shard]
    if data.classes:
        return float(nearest_neighbor_accuracy(own, targets, held_out, data.validation.targets))
    nearest = np.asarray(nearest_neighbors(held_out, own).index)[:, 0]
    return float(np.mean(np.abs(targets[nearest] - data.validation.targets) <= data.tolerance))
