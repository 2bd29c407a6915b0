"""Effective dimension against the capacity of a net: Tables 1 and 2 of Bisla et al. (2021), on anybody's data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.linen import Module
from jaxtyping import Float, Int, Key

from lcjax.data.examples import Data
from lcjax.files import write_json
from lcjax.models.parameters import parameter_count
from lcjax.provenance import environment
from lcjax.records import record
from lcjax.studies.prediction.bottlenecks import WIDTHS, BottleneckSweep, measure_dimension
from lcjax.studies.prediction.stages import Report, refuse_failures, runs_folder, stage_progress
from lcjax.studies.recipes import Recipe
from lcjax.training.runs import Runs
from lcjax.training.sweep import sweep

__all__ = ["PAPER_LENET", "PAPER_MLP", "DimensionTable", "measure_dimensions"]

Array = jax.Array | np.ndarray

PAPER_LENET = {
    (2, 4): 3, (2, 8): 3, (2, 16): 3, (4, 4): 2, (4, 8): 2, (4, 16): 2, (6, 4): 2, (6, 8): 2, (6, 16): 2,
}  # fmt: skip
PAPER_MLP = {10: 5, 20: 4, 50: 2, 100: 2, 200: 2, 300: 2}


@record
class DimensionTable:
    """The effective dimension of several nets, trained on shards of one size.

    Attributes:
        name: of each net.
        parameters: of each net, `(m,)`.
        size: training examples of a shard.
        seeds: trainings of each net.
        train_error: of the nets without bottleneck, mean over seeds, `(m,)`.
        dimension: smallest width that is not inferior to the net without bottleneck, `(m,)`; where none is shown to
            be (`sweeps[i].estimate.established`), the smallest of best accuracy.
        sweeps: accuracies of each net by width.
    """

    name: tuple[str, ...]
    parameters: Int[Array, " m"]
    size: int
    seeds: int
    train_error: Float[Array, " m"]
    dimension: Int[Array, " m"]
    sweeps: tuple[BottleneckSweep, ...]


def measure_dimensions(
    key: Key[jax.Array, ""],
    data: Data,
    recipes: Mapping[str, Recipe],
    *,
    size: int | None = None,
    seeds: int = 1,
    widths: tuple[int, ...] = WIDTHS,
    margin: float | None = None,
    folder: str | Path | None = None,
    on_progress: Report | None = None,
) -> DimensionTable:
    """Train several nets and find the effective dimension of each, one after the other.

    Bisla et al. (2021), section 4.2.1: the dimension falls as the capacity of the net grows. Each net is trained,
    bottlenecks of every width are put before its output layer, and the whole is fine-tuned; see `measure_dimension`.

    Args:
        key: typed key of every random stream.
        data: the task; its test split is not used.
        recipes: name -> net and how it is trained.
        size: training examples of a shard; all by default.
        seeds: trainings of each net.
        widths: bottleneck widths, ascending; those above a net's number of features are left out for it.
        margin: loss of accuracy up to which a bottleneck is not inferior; the recipe's if `None`.
        folder: where finished trainings and `dimension.json` are kept; nothing is written if `None`.
        on_progress: called with a stage's name, steps done and steps in all.

    Returns:
        `DimensionTable`, in the order of the recipes.

    Raises:
        ValueError: there is no recipe, the size is not in [1, n], or a training diverged.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.studies.recipes import mlp_recipe
        >>> data = lc.load_data("digits")
        >>> recipe = mlp_recipe(data).with_budget(steps=20)
        >>> table = measure_dimensions(jax.random.key(0), data, {"mlp": recipe}, size=120, widths=(1, 2))
        >>> table.parameters.tolist(), table.sweeps[0].width.tolist()
        ([8970], [1, 2])
    """
    if not recipes:
        raise ValueError("measure_dimensions needs at least one recipe, got none.")
    n = len(data.train.targets)
    size = n if size is None else size
    place = None if folder is None else Path(folder)
    data, parameters, train_error, sweeps = data.without_test(), [], [], []
    for name, recipe in recipes.items():
        columns = {
            "size": np.full(seeds, size),
            "seed": np.arange(seeds),
            "learning_rate": np.full(seeds, recipe.learning_rate),
        }
        runs = Runs((recipe.program,), np.zeros(seeds, int), columns)
        trained = sweep(
            key,
            data,
            runs,
            keep=np.ones(seeds, bool),
            folder=runs_folder(place, f"dimension-{name}", key, runs, data),
            on_progress=stage_progress(on_progress, f"train {name}") if on_progress else None,
        )
        refuse_failures(trained)
        parameters.append(parameter_count(trained.params[0]))
        train_error.append(float(np.mean(trained.train_error[:, -1])))
        features = _features(recipe.program.model, trained.params[0], data)
        sweeps.append(
            measure_dimension(
                key,
                data,
                recipe,
                trained,
                range(seeds),
                widths=[width for width in widths if width <= features],
                margin=recipe.margin if margin is None else margin,
                folder=place,
                on_progress=_named(on_progress, name) if on_progress else None,
            )
        )
    table = DimensionTable(
        tuple(recipes),
        np.asarray(parameters),
        size,
        seeds,
        np.asarray(train_error),
        np.asarray([int(one.estimate.value) for one in sweeps]),
        tuple(sweeps),
    )
    if place is not None:
        configuration = {"recipes": dict(recipes), "widths": widths, "margin": margin}
        written = {"configuration": configuration, "environment": environment(), "dimension": table}
        write_json(place / "dimension.json", written)
    return table


def _features(model: Module, variables: Any, data: Data) -> int:
    """Features that the output layer of a net sees."""
    example = jax.ShapeDtypeStruct((1, *data.train.inputs.shape[1:]), np.float32)
    return int(jax.eval_shape(lambda x: model.apply(variables, x, method="features"), example).shape[-1])


def _named(report: Report, name: str) -> Report:
    return lambda stage, done, total: report(f"{name}: {stage}", done, total)
