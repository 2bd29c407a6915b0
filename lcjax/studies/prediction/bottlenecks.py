"""Effective dimension of features: fine-tuned bottlenecks of every width compared with the network without one."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.standard_errors import mean_and_standard_error
from lcjax.data.examples import Data
from lcjax.kernels.neighbors.host import host_neighbors
from lcjax.models.layers.bottleneck import Bottlenecked
from lcjax.records import record
from lcjax.studies.recipes import Recipe
from lcjax.studies.storage import restore_or_compute
from lcjax.studies.sweeps import compile_stage, ignore_progress, refuse_failures, run_stage, runs_folder
from lcjax.theory import dimension
from lcjax.theory.dimension import DimensionEstimate, EffectiveDimension, intrinsic_dimensions
from lcjax.theory.widths.losses import WidthLosses, width_losses
from lcjax.theory.widths.saturation import SaturationDimension, saturation_dimension
from lcjax.theory.widths.weights import DimensionWeights, dimension_weights
from lcjax.training import Program, Runs, SweepResult, features
from lcjax.training.execution.step import SOWN
from lcjax.training.runs import columns_of
from lcjax.typing import Array, ArrayTree, KeyArray, OnProgress, PathLike, Progress, Variables

__all__ = ["WIDTHS", "BottleneckSweep", "compile_dimension", "feature_count", "measure_dimension"]

PerWidth: TypeAlias = Float[Array, " b"]

WIDTHS: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)


@record
class BottleneckSweep:
    """Validation accuracy by bottleneck width (Bisla et al., 2021, section 3.1, Figures 2 and 5).

    Attributes:
        width: bottleneck widths, `(b,)`.
        accuracy: validation accuracy, averaged over seeds, `(b,)`.
        difference_error: standard error of `accuracy - reference`, paired by seed and example, `(b,)`.
        replicates: validation accuracy of each seed, `(r, b)`.
        neighbor_accuracy: accuracy of the 1-nearest-neighbor rule on the bottleneck's features, `(b,)`.
        reference: validation accuracy without a bottleneck, averaged over seeds, `()`.
        neighbor_reference: 1-nearest-neighbor accuracy on the features without a bottleneck, `()`.
        estimate: smallest width that is not inferior to the reference.
        intrinsic: intrinsic dimension of each seed's features without a bottleneck, by estimator, as a cross-check;
            each with fields of shape `(r,)`.
    """

    width: Int[Array, " b"]
    accuracy: PerWidth
    difference_error: PerWidth
    replicates: Float[Array, "r b"]
    neighbor_accuracy: PerWidth
    reference: Float[Array, ""]
    neighbor_reference: Float[Array, ""]
    estimate: EffectiveDimension
    intrinsic: dict[str, DimensionEstimate]

    json_only: ClassVar = ("losses", "saturation", "weights")

    @property
    def losses(self) -> WidthLosses:
        """Accuracy that every width loses, with simultaneous 90 % intervals."""
        return width_losses(self.width, self.accuracy, self.difference_error, self.reference)

    @property
    def saturation(self) -> SaturationDimension:
        """Width at which the accuracy saturates, the rule of Bisla et al. (2021)."""
        return saturation_dimension(self.width, self.accuracy, self.difference_error)

    @property
    def weights(self) -> DimensionWeights:
        """Probability of every width to be the one at which the accuracy saturates."""
        return dimension_weights(self.width, self.accuracy, self.difference_error)

    def json_fields(self) -> dict[str, object]:
        """Return the entries for `to_dict`: all fields, and what follows from them."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, **{name: getattr(self, name) for name in self.json_only}}


def measure_dimension(
    key: KeyArray,
    data: Data,
    recipe: Recipe,
    trained: SweepResult,
    rows: Sequence[int],
    *,
    widths: Sequence[int] = WIDTHS,
    margin: float = 0.005,
    level: float = 0.05,
    folder: PathLike | None = None,
    on_progress: OnProgress | None = None,
) -> BottleneckSweep:
    """Insert bottlenecks of every width into trained networks, fine-tune, and find the smallest width that suffices.

    The whole network is fine-tuned on the shard that it was trained on (Bisla et al., 2021, section 3.1). Its
    validation accuracy is compared with that of the same network without a bottleneck, example by example. As a
    cross-check the 1-nearest-neighbor rule is applied to the bottleneck's features, as in the paper's Figure 5.

    Args:
        key: the key of the sweep that trained the networks, so that shards are the same.
        data: the task.
        recipe: the network and its fine-tuning.
        trained: a sweep with the variables of the networks.
        rows: runs to use, one per seed.
        widths: bottleneck widths, ascending.
        margin: largest loss of accuracy for a bottleneck to count as not inferior.
        level: level of the one-sided non-inferiority test.
        folder: folder of finished fine-tuning runs, or `None`.
        on_progress: progress callback.

    Raises:
        ValueError: a width is not positive or exceeds the number of features, or a fine-tuning run diverged.
    """
    if min(widths) < 1:
        raise ValueError(f"Bottleneck widths must be at least 1, got {tuple(widths)}.")
    runs = _bottleneck_runs(recipe, trained.runs.rows(list(rows)), widths)
    tuned = run_stage(
        key,
        data.without_test(),
        runs,
        name="bottlenecks",
        label=f"fine-tune {len(runs.program)} bottlenecks",
        folder=folder,
        keep=True,
        initial=[trained.params[row] for row in rows for _ in widths],
        on_progress=on_progress,
    )
    refuse_failures(tuned)
    wrong = np.swapaxes(runs.unstack(tuned.validation_wrong), 0, 1)
    reference_wrong = trained.validation_wrong[list(rows)]
    _, difference_error = mean_and_standard_error(wrong.astype(float) - reference_wrong.astype(float))
    accuracy, reference = 1 - wrong.mean(axis=(1, 2)), 1 - reference_wrong.mean()

    stored = runs_folder(folder, "bottlenecks", key, runs, data.without_test())

    def compare_neighbors() -> dict[str, np.ndarray]:
        return _compare_neighbors(data, trained, rows, tuned, on_progress or ignore_progress)

    measured = restore_or_compute(stored, "neighbors", None, compare_neighbors)
    neighbors = measured.pop("accuracy")
    return BottleneckSweep(
        width=np.asarray(widths, np.int32),
        accuracy=accuracy,
        difference_error=np.asarray(difference_error),
        replicates=np.swapaxes(1 - wrong.mean(axis=2), 0, 1),
        neighbor_accuracy=neighbors[:, 1:].mean(axis=0),
        reference=np.asarray(reference),
        neighbor_reference=np.asarray(neighbors[:, 0].mean()),
        estimate=dimension.effective_dimension(
            np.asarray(widths), accuracy, difference_error, reference, margin=margin, level=level
        ),
        intrinsic={name: DimensionEstimate(*estimates) for name, estimates in measured.items()},
    )


def _compare_neighbors(
    data: Data, trained: SweepResult, rows: Sequence[int], tuned: SweepResult, report: OnProgress
) -> dict[str, np.ndarray]:
    """Return 1-nearest-neighbor accuracies and intrinsic dimensions of networks and their bottlenecks.

    "accuracy" is `(r, 1 + b)`, without a bottleneck first; the value and the standard error of each estimator are one
    array `(2, r)` by its name.
    """
    place = tuned.runs.unstack(np.arange(len(tuned.runs.program)))
    accuracy = np.empty((len(rows), 1 + place.shape[1]))
    intrinsic: dict[str, list[list[Array]]] = {}
    for i, row in enumerate(rows):
        networks = [(trained, row, "features"), *((tuned, int(at), "code") for at in place[i])]
        for j, (result, at, method) in enumerate(networks):
            code = features(result, at, data, shard=True, method=method)
            held_out = features(result, at, data, data.validation.inputs, method=method)
            accuracy[i, j] = _neighbor_accuracy(data, code, result.shard(at), held_out)
            if result is trained:
                for name, estimate in intrinsic_dimensions(code).items():
                    intrinsic.setdefault(name, []).append([estimate.value, estimate.standard_error])
            report(Progress("nearest neighbors", i * len(networks) + j + 1, accuracy.size))
    return {"accuracy": accuracy, **{name: np.asarray(values).T for name, values in intrinsic.items()}}


def compile_dimension(
    key: KeyArray,
    data: Data,
    recipe: Recipe,
    runs: Runs,
    *,
    widths: Sequence[int] = WIDTHS,
    folder: PathLike | None = None,
) -> None:
    """Compile the fine-tuning programs of `measure_dimension`, as a background task while the networks train.

    The arguments are those of `measure_dimension`, with the runs of the networks in place of their results.
    """
    tuned = _bottleneck_runs(recipe, runs, widths)
    columns, example = columns_of(runs, 0), _example(recipe.program, data)

    def initialize(inputs: ArrayTree) -> Variables:
        keywords: dict[str, Any] = {name: columns[name] for name in recipe.program.model_columns}
        variables = recipe.program.model.init(jax.random.key(0), inputs, **keywords)
        return {name: value for name, value in dict(variables).items() if name not in SOWN}

    shapes = jax.eval_shape(initialize, example)
    compile_stage(key, data.without_test(), tuned, name="bottlenecks", folder=folder, initial=shapes)


def _bottleneck_runs(recipe: Recipe, runs: Runs, widths: Sequence[int]) -> Runs:
    """Return the fine-tuning of networks with bottlenecks of every width."""
    program = dataclasses.replace(
        recipe.program,
        model=Bottlenecked(recipe.program.model, max(widths)),
        budget=recipe.fine_tune,
        model_columns=(*recipe.program.model_columns, "bottleneck_width"),
    )
    plain = dataclasses.replace(runs, programs=(program,), program=np.zeros(len(runs.program), int))
    return plain.cross(learning_rate=recipe.fine_tune_rate, bottleneck_width=np.asarray(widths, np.int32))


def feature_count(program: Program, data: Data) -> int:
    """Return the number of features of a program's model, without computing them."""
    columns = dict.fromkeys(program.model_columns, 1)

    def features_of(inputs: ArrayTree) -> jax.Array:
        keywords: dict[str, Any] = {"method": "features", **columns}
        features: jax.Array = program.model.init_with_output(jax.random.key(0), inputs, **keywords)[0]
        return features

    return int(jax.eval_shape(features_of, _example(program, data)).shape[1])


def _example(program: Program, data: Data) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), program.dtype), data.train.inputs)


def _neighbor_accuracy(
    data: Data, features: Float[Array, "n d"], shard: Int[Array, " n"], held_out: Float[Array, "m d"]
) -> float:
    """Return the accuracy of the nearest training example's target, by the same rule as the network's."""
    targets = np.asarray(data.train.targets)[shard]
    if data.classes:
        return float(dimension.nearest_neighbor_accuracy(features, targets, held_out, data.validation.targets))
    nearest = host_neighbors(np.asarray(held_out), np.asarray(features)).index[:, 0]
    return float(np.mean(np.abs(targets[nearest] - data.validation.targets) <= data.tolerance))
