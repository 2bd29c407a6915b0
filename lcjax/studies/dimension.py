"""Effective dimension by model capacity (Bisla et al., 2021, Tables 1 and 2)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lcjax.data.examples import Data
from lcjax.models.parameters import parameter_count
from lcjax.records import record
from lcjax.studies.prediction.bottlenecks import (
    WIDTHS,
    BottleneckSweep,
    compile_dimension,
    feature_count,
    measure_dimension,
)
from lcjax.studies.recipes import Recipe
from lcjax.studies.report import write_report
from lcjax.studies.sweeps import prefix_stage, refuse_failures, run_stage
from lcjax.threads import ThreadPool
from lcjax.training import Runs
from lcjax.typing import KeyArray, OnProgress, PathLike, check_key

__all__ = ["DimensionTable", "measure_dimensions"]


@record
class DimensionTable:
    """Effective dimension of several networks, trained on shards of one size.

    Attributes:
        name: name of each network.
        parameters: number of parameters of each network, `(m,)`.
        size: training examples of a shard.
        seeds: runs per network.
        train_error: training error without a bottleneck, averaged over seeds, `(m,)`.
        dimension: smallest width that is not inferior to the network without a bottleneck, `(m,)`; the smallest width
            of best accuracy if none is shown to be (`sweeps[i].estimate.established` is False).
        sweeps: accuracies of each network by width.
    """

    name: tuple[str, ...]
    parameters: Int[np.ndarray, " m"]
    size: int
    seeds: int
    train_error: Float[np.ndarray, " m"]
    dimension: Int[np.ndarray, " m"]
    sweeps: tuple[BottleneckSweep, ...]


def measure_dimensions(
    key: KeyArray,
    data: Data,
    recipes: Mapping[str, Recipe],
    *,
    size: int | None = None,
    seeds: int = 1,
    widths: tuple[int, ...] = WIDTHS,
    margin: float | None = None,
    folder: PathLike | None = None,
    on_progress: OnProgress | None = None,
) -> DimensionTable:
    """Train several networks and measure the effective dimension of each, in the order of the recipes.

    Bisla et al. (2021), section 4.2.1: the dimension falls as the capacity of the network grows. Each network is
    trained, bottlenecks of every width are inserted before its output layer, and the whole is fine-tuned; see
    `measure_dimension`.

    Args:
        key: typed key of every random stream.
        data: the task; its test split is not used.
        recipes: each network and its training, by name.
        size: training examples of a shard; all by default.
        seeds: runs per network.
        widths: bottleneck widths, ascending; those above a network's number of features are skipped for it.
        margin: largest loss of accuracy for a bottleneck to count as not inferior; the recipe's if `None`.
        folder: folder of finished runs and of `dimension.json`; nothing is written if `None`.
        on_progress: progress callback.

    Raises:
        ValueError: there is no recipe, the size is not in [1, n], or a run diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> data = lc.load_data("digits")
        >>> recipe = lc.studies.mlp_recipe(data).with_budget(steps=20)
        >>> table = measure_dimensions(jax.random.key(0), data, {"mlp": recipe}, size=120, widths=(1, 2))
        >>> table.parameters.tolist(), table.sweeps[0].width.tolist()
        ([8970], [1, 2])
    """
    check_key(key)
    if not recipes:
        raise ValueError("measure_dimensions needs at least one recipe, got none.")
    size = len(data.train.targets) if size is None else size
    data, parameters, train_error, sweeps = data.without_test(), [], [], []
    for name, recipe in recipes.items():
        runs = Runs.grid(recipe.program, seed=range(seeds), size=size, learning_rate=recipe.learning_rate)
        features = feature_count(recipe.program, data)
        used = [width for width in widths if width <= features]
        with ThreadPool(1) as ahead:  # compiles the fine-tuning meanwhile
            ahead.submit(compile_dimension, key, data, recipe, runs, widths=used, folder=folder)
            trained = run_stage(
                key, data, runs, name=f"dimension-{name}", label=f"train {name}", folder=folder, keep=True,
                on_progress=on_progress,
            )  # fmt: skip
        refuse_failures(trained)
        variables = trained.params[0]
        assert variables is not None
        parameters.append(parameter_count(variables))
        train_error.append(float(np.mean(trained.train_error[:, -1])))
        sweep = measure_dimension(
            key, data, recipe, trained, range(seeds), widths=used,
            margin=recipe.margin if margin is None else margin, folder=folder,
            on_progress=prefix_stage(on_progress, name),
        )  # fmt: skip
        sweeps.append(sweep)
    dimension = np.asarray([int(one.estimate.value) for one in sweeps])
    table = DimensionTable(
        tuple(recipes), np.asarray(parameters), size, seeds, np.asarray(train_error), dimension, tuple(sweeps)
    )
    if folder is not None:
        configuration = {"recipes": dict(recipes), "widths": widths, "margin": margin}
        write_report(Path(folder, "dimension.json"), {"configuration": configuration}, {"dimension": table})
    return table
