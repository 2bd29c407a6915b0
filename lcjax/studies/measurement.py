"""Measurement of a learning curve: the lower envelope over programs and hyper-parameters, averaged over seeds."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.answer.shared_pool import independent_curve
from lcjax.curves.answer.target import TargetAnswer, answer_target
from lcjax.curves.envelope import lower_envelope
from lcjax.curves.forecast.diagnosis import Diagnosis, diagnose
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.curves.metrics import ERROR, Metric
from lcjax.data.balance import check_variation, require_classes
from lcjax.data.examples import Data
from lcjax.data.shards import Shards, nested_shards
from lcjax.data.subsets import shard_sizes
from lcjax.records import record
from lcjax.studies.error_floors import label_noise_floor, model_size_floor
from lcjax.studies.metrics import chance_error, choose_metric, measure_runs, needs_networks
from lcjax.studies.report import identify_data, write_report
from lcjax.studies.sweeps import run_stage
from lcjax.training import Execution, Program, Runs
from lcjax.training.validation import check_shards
from lcjax.typing import Array, KeyArray, OnProgress, PathLike, check_key

__all__ = ["FRACTIONS", "Measurement", "measure_learning_curve"]

FRACTIONS = (0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0)
FORECAST_SIZES = 4  # smallest number of sizes for a forecast


@record
class Measurement:
    """A measured learning curve and the grid whose lower envelope it is.

    Attributes:
        curve: test error, `(s,)`, of the member with the lowest validation error at each size, with the replicates of
            all seeds and that member's training error. Errors are those of the metric, such as the square of an RMSE.
        choice: index of that member, `(s,)`; -1 where every run failed.
        members: test error of every member, a batch of curves `(h, s)`.
        validation: validation error of every member, `(h, s)`.
        program: index of each member's program, `(h,)`.
        columns: hyper-parameters of the members, name -> `(h,)`.
        failed: number of failed runs of each member, `(h,)`; they are treated as absent.
        forecast: forecast of the curve, or `None` for fewer than four sizes. It takes the spread of single trainings
            from sizes up to half of the data, because repeats on more share most of their examples.
        target: answers for the target error, or `None` without one.
        diagnosis: probabilities that data, the model or label noise limits the error at full size, or `None` without a
            forecast. With models of three sizes or more, a joint law tells what a larger one would gain.
        metric: the metric: all errors above are `metric.to_error` of its values.
    """

    curve: LearningCurve
    choice: Int[np.ndarray, " s"]
    members: LearningCurve
    validation: LearningCurve
    program: Int[np.ndarray, " h"]
    columns: dict[str, Float[np.ndarray, " h"]]
    failed: Int[np.ndarray, " h"]
    forecast: Forecast | None
    target: TargetAnswer | None = None
    diagnosis: Diagnosis | None = None
    metric: Metric = ERROR


def measure_learning_curve(
    key: KeyArray,
    data: Data,
    programs: Sequence[Program],
    *,
    fractions: Sequence[float] = FRACTIONS,
    seeds: int = 3,
    grid: Mapping[str, Sequence[float]],
    shards: Shards = nested_shards,
    target_error: float | None = None,
    metric: Metric | str | None = None,
    folder: PathLike | None = None,
    execution: Execution | None = None,
    on_progress: OnProgress | None = None,
) -> Measurement:
    """Train every program with every combination of hyper-parameters at every size, and take the lower envelope.

    Hestness et al. (2019), section 3: at each size the best member of the grid, model sizes included, is chosen on the
    validation set, and its test error is reported, averaged over seeds.

    Args:
        key: typed key of every random stream.
        data: the task, with training, validation and test split.
        programs: programs to choose from, for example one per model size.
        fractions: fractions of the training set, each in (0, 1].
        seeds: runs per member and size.
        grid: values of each column, "learning_rate" and any others, such as penalties.
        shards: `lcjax.data.nested_shards`, or `independent_shards` for an independent order per size, as in the paper.
        target_error: test error for which to answer how many examples reach it, or `None`; a value of the metric.
        metric: "error", the share of wrong predictions; for quantities also "rmse" (the default) or "mae", in the unit
            of the targets; or a `Metric` with one of these names and a unit.
        folder: folder of finished runs and of `measurement.json`; nothing is written if `None`.
        execution: execution of the sweep; chosen by default.
        on_progress: progress callback.

    Returns:
        `Measurement` of s sizes and h members, every program with every combination of the grid. Failed runs raise no
        error: they count as absent, and `failed` holds their number.

    Raises:
        ValueError: there is no test split, no program, no learning rate or no seed, a column of the grid is empty,
            "size" or "seed", a fraction is not in (0, 1], `shards` is not a function of a key and a size, or the target
            is not an error below chance or asked for with fewer than four sizes.

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
    check_key(key)
    started = time.monotonic()
    _check(data, programs, seeds, grid)
    metric = choose_metric(data, metric)
    if target_error is not None:
        _check_target(target_error, data, metric, fractions)
    check_shards(shards)
    size = shard_sizes(len(data.train.targets), fractions, classes=data.classes)
    columns = {name: np.asarray(values, float) for name, values in grid.items()}
    members = Runs.grid(programs, shards=shards, **columns)
    runs = members.cross(seed=range(seeds), size=size)
    result = run_stage(
        key,
        data,
        runs,
        name="measure",
        label="train",
        folder=folder,
        keep=needs_networks(programs, metric),
        execution=execution,
        on_progress=on_progress,
    )
    shape = len(members.program), seeds, len(size)
    failed = np.asarray(result.status) != 0

    train_error, validation, test = (error.reshape(shape) for error in measure_runs(result, data, metric))
    envelope = lower_envelope(size, validation, test)
    choice = np.asarray(envelope.choice)
    train = np.take_along_axis(train_error, np.maximum(choice, 0)[None, None, :], axis=0)[0]
    curve = dataclasses.replace(
        envelope.curve,
        train_error=np.where(choice < 0, np.nan, curve_from_replicates(size, train).error),
        test_count=np.asarray(len(data.test.targets)) if data.test and metric.name == ERROR.name else None,
    )
    enough = np.isfinite(np.asarray(curve.error)).sum() >= FORECAST_SIZES
    independent = independent_curve(curve, len(data.train.targets))
    ahead = forecast(jax.random.fold_in(key, 1), independent, allow_rising=True) if enough else None
    sizes = np.broadcast_to(size, (shape[0], len(size)))
    scores = validation, test, choice
    measured = Measurement(
        curve=curve,
        choice=choice,
        members=curve_from_replicates(sizes, test),
        validation=curve_from_replicates(sizes, validation),
        program=np.asarray(members.program),
        columns={name: np.asarray(members.columns[name]) for name in grid},
        failed=failed.reshape(shape[0], -1).sum(axis=1),
        forecast=ahead,
        target=None if ahead is None or target_error is None else _answer(ahead, target_error, metric),
        diagnosis=None if ahead is None else _diagnose(key, data, programs, members, size, scores, ahead),
        metric=metric,
    )
    if folder is not None:
        table = dict[str, object](
            programs=programs, fractions=fractions, seeds=seeds, grid=grid, shards=shards, target_error=target_error
        )
        key_data = np.asarray(jax.random.key_data(key))
        configuration = {
            **identify_data(data),
            **table,
            "target_error": target_error,
            "metric": metric,
            "key": key_data,
            "executions": result.executions,
        }
        answer = {} if measured.target is None else measured.target.fields()
        values = {"size": curve.size, metric.name: metric.from_error(np.asarray(curve.error, float))}
        results = {"seconds": time.monotonic() - started, **answer, "values": values, "measurement": measured}
        write_report(Path(folder, "measurement.json"), {"configuration": configuration}, results)
    return measured


def _diagnose(
    key: KeyArray,
    data: Data,
    programs: Sequence[Program],
    members: Runs,
    size: Int[Array, " s"],
    scores: tuple[Float[np.ndarray, "h r s"], Float[np.ndarray, "h r s"], Int[np.ndarray, " s"]],
    ahead: Forecast,
) -> Diagnosis:
    """Diagnose the curve with the floors of label noise and of the model that is best at the largest size.

    The scores are validation errors, test errors and the members chosen by the former.
    """
    validation, test, choice = scores
    noise = label_noise_floor(data, np.random.default_rng(np.asarray(jax.random.key_data(key))))
    program = np.asarray(members.program)
    best = []
    for i in range(len(programs)):
        own = program == i
        envelope = lower_envelope(size, validation[own], test[own])
        best.append(np.where(np.asarray(envelope.choice) < 0, np.nan, np.asarray(envelope.curve.error)))
    last = int(choice[choice >= 0][-1])
    key_law = jax.random.fold_in(key, 2)
    model = model_size_floor(key_law, data, programs, np.asarray(size), np.stack(best), int(program[last]))
    return diagnose(ahead, noise_floor=noise, model_floor=model)


def _answer(ahead: Forecast, target: float, metric: Metric) -> TargetAnswer:
    """Answer for a value of the metric."""
    return answer_target(ahead, float(metric.to_error(target)), is_share=metric.name == ERROR.name)


def _check_target(target: float, data: Data, metric: Metric, fractions: Sequence[float]) -> None:
    require_classes(data, "validation", "test")
    chance = metric.from_error(chance_error(data, metric))
    if not 0 < target < chance:
        raise ValueError(
            f"target_error must lie between 0 and the {metric.title} of the best constant prediction, {chance:.3g}, "
            f"got {target:g}."
        )
    if len(set(fractions)) < FORECAST_SIZES:
        raise ValueError(f"A target needs at least {FORECAST_SIZES} sizes to extrapolate, got {tuple(fractions)}.")


def _check(data: Data, programs: Sequence[Program], seeds: int, grid: Mapping[str, Sequence[float]]) -> None:
    check_variation(data)
    if data.test is None:
        raise ValueError(f"The data {data.name!r} have no test split to measure on.")
    if not programs:
        raise ValueError("At least one program is needed, got none.")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    if "learning_rate" not in grid:
        raise ValueError(f"The grid has no learning_rate; it has {', '.join(grid) or 'no column'}.")
    for name, values in grid.items():
        if name in ("size", "seed") or not len(values):
            raise ValueError(
                f"The grid cannot have {len(values)} values of {name!r}; size and seed are not hyper-parameters."
            )
