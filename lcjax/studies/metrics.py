"""Metrics that studies measure: the error rate, and for quantities the root mean square or mean absolute error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lcjax.curves.metrics import METRICS, Metric
from lcjax.data.examples import Data, Examples
from lcjax.models.losses import mean_squared_error
from lcjax.training import Program, SweepResult, features

__all__ = ["RunErrors", "chance_error", "choose_metric", "measure_runs", "needs_networks"]

_OF_QUANTITIES = ("rmse", "mae")


class RunErrors(NamedTuple):
    """Errors of every run on its shard, the validation set and the test set, `(w,)` each; nan for a failed run."""

    train: Float[np.ndarray, " w"]
    validation: Float[np.ndarray, " w"]
    test: Float[np.ndarray, " w"]


def choose_metric(data: Data, metric: Metric | str | None = None) -> Metric:
    """Return the metric to measure on a data set: by default the RMSE of quantities, else the error rate.

    Args:
        data: the task.
        metric: "error", the share of wrong predictions; for quantities also "rmse" or "mae", in the unit of the
            targets; or a `Metric` of one of these names, with the unit.

    Raises:
        ValueError: the metric is not one of these, or the targets are not quantities.

    Examples:
        >>> import lcjax as lc
        >>> choose_metric(lc.load_data("digits")).name
        'error'
        >>> choose_metric(lc.load_data("digits"), "mae")
        Traceback (most recent call last):
        ValueError: The metric mae is for targets that are quantities, which those of digits are not: use error.
    """
    is_quantity = not data.classes and np.ndim(data.train.targets) == 1
    name = metric.name if isinstance(metric, Metric) else metric or ("rmse" if is_quantity else "error")
    known = ("error", *_OF_QUANTITIES) if is_quantity else ("error",)
    if name in _OF_QUANTITIES and not is_quantity:
        raise ValueError(
            f"The metric {name} is for targets that are quantities, which those of {data.name} are not: use error."
        )
    if name not in known:
        listed = "error, rmse or mae" if is_quantity else "error"
        raise ValueError(f"The metric of {data.name or 'the data'} must be {listed}, got {name!r}.")
    return metric if isinstance(metric, Metric) else METRICS[name]


def chance_error(data: Data, metric: Metric) -> float:
    """Return the validation error of the best constant prediction, `metric.to_error` of its value.

    The prediction is the mean of the training targets for the RMSE, their median for the MAE, and that of
    `Data.chance_error` for the error rate.

    Examples:
        >>> import lcjax as lc
        >>> part = lc.Examples(np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 6.0]))
        >>> data = lc.Data(part, part, None)
        >>> chance_error(data, METRICS["rmse"]), chance_error(data, METRICS["mae"])
        (3.5, 1.5)
    """
    if metric.name not in _OF_QUANTITIES:
        return data.chance_error()
    train, validation = (np.asarray(part.targets, np.float64) for part in (data.train, data.validation))
    constant = np.mean(train) if metric.name == "rmse" else np.median(train)
    return float(_reduce(metric, (validation - constant)[None])[0])


def needs_networks(programs: Sequence[Program], metric: Metric) -> bool:
    """Return True if the errors cannot be read off the losses of a sweep, so that it has to keep its networks."""
    by_loss = metric.name == "rmse" and all(program.objective is mean_squared_error for program in programs)
    return metric.name in _OF_QUANTITIES and not by_loss


def measure_runs(result: SweepResult, data: Data, metric: Metric) -> RunErrors:
    """Return the errors of the runs of a sweep, as `metric.to_error` of the values in the unit of the targets.

    Args:
        result: the sweep; with its networks if `needs_networks`.
        data: the task.
        metric: the metric, from `choose_metric`.
    """
    if metric.name not in _OF_QUANTITIES:
        parts = result.train_error[:, -1], result.validation_error[:, -1], result.test_error
    elif not needs_networks(result.runs.programs, metric):
        parts = result.train_loss[:, -1], result.validation_loss[:, -1], result.test_loss
    else:
        assert data.test is not None
        rows = range(len(result.status))
        parts = (
            np.concatenate([_reduce(metric, _deviations(result, row, data, None)) for row in rows]),
            np.concatenate([_reduce(metric, _deviations(result, row, data, data.validation)) for row in rows]),
            np.concatenate([_reduce(metric, _deviations(result, row, data, data.test)) for row in rows]),
        )
    failed = np.asarray(result.status) != 0
    return RunErrors(*(np.where(failed, np.nan, np.asarray(values, float)) for values in parts))


def _deviations(result: SweepResult, row: int, data: Data, examples: Examples | None) -> Float[np.ndarray, "1 m"]:
    """Return predictions minus targets of one run, on its shard if `examples` is None; nan if it failed."""
    if result.status[row]:
        return np.full((1, 1), np.nan)
    if examples is None:
        predicted = features(result, row, data, shard=True, method="__call__")
        targets = np.asarray(data.train.targets)[result.shard(row)]
    else:
        predicted, targets = features(result, row, data, examples.inputs, method="__call__"), examples.targets
    return np.asarray((np.asarray(predicted, float)[:, 0] - np.asarray(targets, float))[None])


def _reduce(metric: Metric, deviation: Float[np.ndarray, "w m"]) -> Float[np.ndarray, " w"]:
    power = np.square(deviation) if metric.name == "rmse" else np.abs(deviation)
    return np.asarray(power.mean(axis=1))
