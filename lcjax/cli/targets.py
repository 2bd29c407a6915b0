"""Targets in options: `--target "auroc>=0.92"`, and `--target-error X` for `--target "error<=X"`."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, TypeAlias

from lcjax.cli import options
from lcjax.cli.numbers import OptionError, Range

if TYPE_CHECKING:
    from lcjax.curves.metrics import Metric
    from lcjax.curves.readers.csv import CurveTable
    from lcjax.curves.targets import Target

__all__ = [
    "BestOption", "MaximizeOption", "MetricOption", "TargetErrorOption", "TargetOption", "error_target", "read_target",
    "value_target", "without_metric_note",
]  # fmt: skip

TargetOption: TypeAlias = Annotated[
    str | None,
    options.result('Target for which to estimate the number of examples, such as "error<=.05" or "auroc>=.92".'),
]
TargetErrorOption: TypeAlias = Annotated[
    float | None, options.result('The same as --target "error<=X".', numbers=Range(float))
]
BestOption: TypeAlias = Annotated[
    float | None,
    options.fit(
        "Best possible value of the metric, such as 100 for accuracies in percent.",
        numbers=Range(float),
        show_default="known, such as 1 for accuracy and 0 for loss",
    ),
]
MetricOption: TypeAlias = Annotated[
    str | None,
    options.fit(
        "Metric of the curves and name of its column, such as error, loss, accuracy, auroc, f1 or rmse.",
        show_default="that of --target, or of the file",
    ),
]
MaximizeOption: TypeAlias = Annotated[
    bool, options.fit("Larger values of the metric are better; for metrics that lcjax does not know.", "--maximize")
]


def read_target(target: str | None, target_error: float | None = None) -> "Target | None":
    """Read the options `--target` and `--target-error`; None if neither is given.

    Raises:
        OptionError: both are given, or the expression is not one.

    Examples:
        >>> read_target(None, 0.05).metric
        'error'
    """
    from lcjax.curves.targets import parse_target

    if target is not None and target_error is not None:
        raise OptionError("Give --target or --target-error, not both.")
    if target_error is not None:
        return dataclasses.replace(parse_target(f"error<={target_error:.17g}"), text=f"--target-error {target_error:g}")
    try:
        return None if target is None else parse_target(target, option="--target")
    except ValueError as error:
        raise OptionError(f"Invalid value for '--target': {error}") from None


def without_metric_note(table: "CurveTable", goal: "Target | None") -> "CurveTable":
    """Return a table without the note that its metric was chosen among several, if the target names that metric."""
    name = table.metric.name
    if goal is None or goal.metric != name:
        return table
    notes = tuple(note for note in table.notes if not note.startswith(f"The metric {name} is read;"))
    return dataclasses.replace(table, notes=notes)


def value_target(target: str | None, target_error: float | None, metric: "Metric") -> float | None:
    """Return the value of a metric that a target asks for; None without one.

    For the error rate see `error_target`. For another metric, `--target-error X` is a value, too.

    Raises:
        OptionError: both options are given, or the expression is not one.
        ValueError: the target is of another metric, in the wrong direction, or not worse than the best value.

    Examples:
        >>> from lcjax.curves.metrics import ERROR, METRICS
        >>> value_target("rmse<=2.5", None, METRICS["rmse"]), value_target("accuracy>=0.75", None, ERROR)
        (2.5, 0.25)
    """
    if metric.name == "error":
        return error_target(target, target_error)
    parsed = read_target(target, target_error)
    if parsed is None:
        return None
    named = metric.name if parsed.metric == "error" else parsed.metric
    dataclasses.replace(parsed, metric=named).to_error(metric)  # refuses another metric
    return parsed.value


def error_target(target: str | None, target_error: float | None) -> float | None:
    """Return the error rate that a target asks for, as `error<=X`, `accuracy>=X` or a number; None without one.

    Raises:
        OptionError: both options are given, the expression is not one, or the error is not between 0 and 1.
        ValueError: the target is of another metric, or in the wrong direction.

    Examples:
        >>> error_target("accuracy>=0.75", None)
        0.25
    """
    from lcjax.curves.metrics import ERROR, find_metric

    parsed = read_target(target, target_error)
    if parsed is None:
        return None
    metric = find_metric(parsed.metric) if parsed.metric and "acc" in parsed.metric else ERROR
    error = parsed.to_error(metric) if parsed.value > 0 else 0.0
    if not 0 < error < 1:
        raise OptionError(f"Invalid value for {parsed.text!r}: an error rate lies between 0 and 1, as a fraction.")
    return error
