"""Measure a learning curve: sizes, seeds and hyper-parameters trained as one table, and the lower envelope of them."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, Key

from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates, lower_envelope
from lcjax.data.examples import Data
from lcjax.data.shards import Shards, nested_shards
from lcjax.data.subsets import shard_sizes
from lcjax.files import write_json
from lcjax.provenance import environment
from lcjax.records import record
from lcjax.studies.prediction.stages import Report, runs_folder, stage_progress
from lcjax.training.execution.execution import Execution
from lcjax.training.program import Program
from lcjax.training.runs import Runs
from lcjax.training.sweep import sweep
from lcjax.training.validation import check_shards

__all__ = ["FRACTIONS", "Measurement", "measure_learning_curve"]

FRACTIONS = (0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0)
FORECAST_SIZES = 4  # below, a curve is not continued


@record
class Measurement:
    """A measured learning curve and the grid that it is the lower envelope of.

    Attributes:
        curve: test error, `(s,)`, of the member chosen at each size by its validation error, with the replicates of
            all seeds, and that member's training error.
        choice: which member was chosen, `(s,)`; -1 where every training failed.
        members: test error of every member, a batch of curves `(h, s)`.
        validation: validation error of every member, likewise.
        program: of each member, `(h,)`.
        columns: hyper-parameters of the members, name -> `(h,)`.
        failed: trainings whose loss was not finite, of each member, `(h,)`; they count as absent.
        forecast: the curve continued, or `None` for fewer than four sizes.
    """

    curve: LearningCurve
    choice: Int[np.ndarray, " s"]
    members: LearningCurve
    validation: LearningCurve
    program: Int[np.ndarray, " h"]
    columns: dict[str, Float[np.ndarray, " h"]]
    failed: Int[np.ndarray, " h"]
    forecast: Forecast | None


def measure_learning_curve(
    key: Key[jax.Array, ""],
    data: Data,
    programs: Sequence[Program],
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 3,
    grid: Mapping[str, Sequence[float]],
    shards: Shards = nested_shards,
    folder: str | Path | None = None,
    execution: Execution | None = None,
    on_progress: Report | None = None,
) -> Measurement:
    """Train every program with every combination of hyper-parameters at every size, and take the lower envelope.

    Hestness et al. (2017), section 3: at each size the best member of the grid, model sizes included, is chosen on the
    validation set, and its test error is reported, averaged over seeds.

    Args:
        key: typed key of every random stream.
        data: the task, with training, validation and test split.
        programs: nets and how they are trained: the model sizes.
        fractions: shares of the training set, each in (0, 1].
        seeds: trainings of every member and size.
        grid: values of each column: "learning_rate" and whatever else, penalties for instance.
        shards: `lcjax.data.nested_shards`, or `lcjax.data.independent_shards` for an independent order a size, as
            in the paper.
        folder: where finished trainings and the result are kept.
        execution: execution of the sweep; chosen by default.
        on_progress: called with a stage's name, what is done and what there is in all.

    Returns:
        The measurement.

    Raises:
        ValueError: there is no test split, no program, no learning rate, no seed, a fraction is not in (0, 1], or
            `shards` is no function of a key and a size.

    Examples:
        >>> import jax, optax, numpy as np, lcjax as lc
        >>> from lcjax.training import Budget, cosine, epochs
        >>> inputs = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
        >>> examples = lc.Examples(inputs, (inputs[:, 0] > 0).astype("int32"))
        >>> data = lc.Data(examples, examples, examples, classes=2)
        >>> mlp, budget = lc.models.MLP((8,), 2), Budget(steps=60)
        >>> program = lc.Program(mlp, lc.cross_entropy, optax.adam, cosine, 16, budget, epochs)
        >>> measured = measure_learning_curve(
        ...     jax.random.key(0), data, [program], fractions=(0.1, 1.0), seeds=2, grid={"learning_rate": [1e-4, 0.03]}
        ... )
        >>> measured.columns["learning_rate"][measured.choice].tolist()
        [0.03, 0.03]
    """
    started = time.monotonic()
    _check(data, programs, seeds, grid)
    check_shards(shards)
    size = shard_sizes(len(data.train.targets), fractions, classes=data.classes)
    values = np.meshgrid(np.arange(len(programs)), *[np.asarray(v, float) for v in grid.values()], indexing="ij")
    program, *hyper = (value.ravel() for value in values)
    columns = dict(zip(grid, hyper, strict=True))
    h, s = len(program), len(size)
    member, seed, place = (a.ravel() for a in np.meshgrid(range(h), range(seeds), range(s), indexing="ij"))
    table = {"size": size[place], "seed": seed, **{name: column[member] for name, column in columns.items()}}
    runs = Runs(tuple(programs), program[member], table, shards)
    where = None if folder is None else Path(folder)
    result = sweep(
        key,
        data,
        runs,
        folder=runs_folder(where, "measure", key, runs, data),
        execution=execution,
        on_progress=None if on_progress is None else stage_progress(on_progress, "train"),
    )
    lost = np.asarray(result.status) != 0

    def members(error: Any) -> np.ndarray:
        return np.where(lost, np.nan, np.asarray(error, float)).reshape(h, seeds, s)

    test, validation = members(result.test_error), members(result.validation_error[:, -1])
    train = members(result.train_error[:, -1])
    envelope = lower_envelope(size, validation, test)
    choice = np.asarray(envelope.choice)
    of_chosen = np.take_along_axis(train, np.maximum(choice, 0)[None, None, :], axis=0)[0]
    curve = dataclasses.replace(
        envelope.curve,
        train_error=np.where(choice < 0, np.nan, curve_from_replicates(size, of_chosen).error),
        test_count=np.asarray(len(data.test.targets) if data.test else 0),
    )
    enough = np.isfinite(np.asarray(curve.error)).sum() >= FORECAST_SIZES
    measured = Measurement(
        curve=curve,
        choice=choice,
        members=curve_from_replicates(np.broadcast_to(size, (h, s)), test),
        validation=curve_from_replicates(np.broadcast_to(size, (h, s)), validation),
        program=program,
        columns=columns,
        failed=lost.reshape(h, -1).sum(axis=1),
        forecast=forecast(jax.random.fold_in(key, 1), curve) if enough else None,
    )
    if where is not None:
        configuration = {
            "data": data.name,
            "fingerprint": data.fingerprint(),
            "programs": programs,
            "fractions": fractions,
            "seeds": seeds,
            "grid": grid,
            "shards": shards,
            "key": np.asarray(jax.random.key_data(key)),
            "executions": result.executions,
        }
        made = {"configuration": configuration, "environment": environment(), "seconds": time.monotonic() - started}
        write_json(where / "measurement.json", {**made, "measurement": measured})
    return measured


def _check(data: Data, programs: Sequence[Program], seeds: int, grid: Mapping[str, Sequence[float]]) -> None:
    if data.test is None:
        raise ValueError(f"The data {data.name!r} have no test split to measure on.")
    if not programs:
        raise ValueError("No program to train.")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    if "learning_rate" not in grid:
        raise ValueError(f"The grid has no learning_rate; it has {', '.join(grid) or 'nothing'}.")
    for name, values in grid.items():
        if name in ("size", "seed") or not len(values):
            raise ValueError(f"The grid cannot have {len(values)} values of {name!r}.")
