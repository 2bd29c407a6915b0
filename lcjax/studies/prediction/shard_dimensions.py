"""Effective dimension on shards of increasing size, from the accuracy by bottleneck width on each."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.data.examples import Data
from lcjax.data.subsets import shard_sizes
from lcjax.papers.bisla import FRACTIONS
from lcjax.records import record
from lcjax.studies.prediction.bottlenecks import WIDTHS, BottleneckSweep, feature_count, measure_dimension
from lcjax.studies.recipes import Recipe
from lcjax.studies.report import identify_data, write_report
from lcjax.studies.sweeps import prefix_stage, refuse_failures, run_stage
from lcjax.theory.widths.saturation import saturation_dimension
from lcjax.training import Runs
from lcjax.typing import KeyArray, OnProgress, PathLike, check_key

__all__ = ["ShardDimensions", "measure_dimension_by_shard"]


@record
class ShardDimensions:
    """Effective dimension of a network by shard size.

    Attributes:
        size: numbers of training examples of the shards, ascending, `(s,)`.
        train_error: training error without a bottleneck, averaged over seeds, `(s,)`.
        dimension: smallest width that is not inferior to the network without a bottleneck, `(s,)`; the smallest width
            of best accuracy if non-inferiority is not shown for any (`sweeps[i].estimate.established` is False).
        saturation: width from which the accuracy no longer increases (`lcjax.theory.saturation_dimension`), `(s,)`.
        sweeps: accuracies by width on each shard.
        seeds: runs per shard.
    """

    size: Int[np.ndarray, " s"]
    train_error: Float[np.ndarray, " s"]
    dimension: Int[np.ndarray, " s"]
    saturation: Int[np.ndarray, " s"]
    sweeps: tuple[BottleneckSweep, ...]
    seeds: int = jax.tree.static(default=1)


def measure_dimension_by_shard(
    key: KeyArray,
    data: Data,
    recipe: Recipe,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 2,
    widths: Sequence[int] = WIDTHS,
    margin: float | None = None,
    folder: PathLike | None = None,
    on_progress: OnProgress | None = None,
) -> ShardDimensions:
    """Measure the effective dimension on shards of increasing size.

    Bisla et al. (2021) find the effective dimension of networks trained on one size (section 4.2.1, Figure 2) and use
    it for the whole curve. Here the networks of all shards are trained in one sweep, and each is fine-tuned with every
    bottleneck on its own shard (`measure_dimension`). All fine-tunings share one compiled program, because the shard
    size is a column of the table of runs.

    Args:
        key: typed key of every random stream.
        data: the task; its test split is not used.
        recipe: the network and its training.
        fractions: fractions of the training set, each in (0, 1].
        seeds: runs per shard.
        widths: bottleneck widths, ascending.
        margin: largest loss of accuracy for a bottleneck to count as not inferior; the recipe's if `None`.
        folder: folder for finished runs and `shard_dimensions.json`; nothing is written if `None`.
        on_progress: progress callback.

    Raises:
        ValueError: `seeds` is less than 1, a fraction is outside (0, 1], a width exceeds the number of features, or a
            run diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> data = lc.load_data("digits")
        >>> recipe = lc.studies.mlp_recipe(data).with_budget(steps=20)
        >>> options = {"fractions": (0.1, 0.5), "seeds": 1, "widths": (1, 2)}
        >>> measure_dimension_by_shard(jax.random.key(0), data, recipe, **options).size.tolist()
        [120, 599]
    """
    check_key(key)
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    features = feature_count(recipe.program, data)
    if max(widths) > features:
        raise ValueError(
            f"A bottleneck has at most the {features} features of the network, got widths {tuple(widths)}."
        )
    data, margin = data.without_test(), recipe.margin if margin is None else margin
    size = shard_sizes(len(data.train.targets), fractions, classes=data.classes)
    runs = Runs.grid(recipe.program, seed=range(seeds), size=size, learning_rate=recipe.learning_rate)
    trained = run_stage(
        key, data, runs, name="shards", label=f"train {len(runs.program)} networks", folder=folder, keep=True,
        on_progress=on_progress,
    )  # fmt: skip
    refuse_failures(trained)
    rows = runs.unstack(np.arange(len(runs.program)))
    sweeps = tuple(
        measure_dimension(
            key, data, recipe, trained, rows[:, i].tolist(), widths=widths, margin=margin, folder=folder,
            on_progress=prefix_stage(on_progress, f"{size[i]:,} examples"),
        )
        for i in range(len(size))
    )  # fmt: skip
    saturation = [saturation_dimension(one.width, one.accuracy, one.difference_error).value for one in sweeps]
    result = ShardDimensions(
        size,
        np.asarray(runs.unstack(trained.train_error[:, -1]).mean(axis=0), float),
        np.asarray([int(one.estimate.value) for one in sweeps]),
        np.asarray([int(value) for value in saturation]),
        sweeps,
        seeds,
    )
    if folder is not None:
        choices = {"recipe": recipe, "fractions": fractions, "seeds": seeds, "widths": widths, "margin": margin}
        configuration = {**identify_data(data), **choices, "key": np.asarray(jax.random.key_data(key))}
        write_report(Path(folder, "shard_dimensions.json"), {"configuration": configuration}, {"dimensions": result})
    return result
