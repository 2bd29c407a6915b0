"""Report of a curve that was measured as the lower envelope over models and learning rates."""

from collections.abc import Mapping, Sequence
from typing import SupportsFloat

import numpy as np

from lcjax.curves.answer.sentences import answer_sentences
from lcjax.curves.metrics import ERROR, Metric
from lcjax.formats import format_percent, format_size
from lcjax.reports.attachments import attach_table
from lcjax.reports.chart import Chart, Series
from lcjax.reports.page import Page
from lcjax.reports.series import forecast_series, target_series, visible_limits
from lcjax.studies.measurement import Measurement
from lcjax.studies.report import Table

__all__ = ["describe_target", "format_error", "measurement_page", "rows_by_size"]

AHEAD = 16.0  # times the largest size
GRID = 128
LEVEL = 0.9


def measurement_page(
    measurement: Measurement, labels: Sequence[str], *, title: str, caveats: Sequence[str] = ()
) -> Page:
    """Return the report of a measured curve.

    Args:
        measurement: the curve.
        labels: names of its programs.
        title: title of the page.
        caveats: reasons for caution, such as those about the data.
    """
    curve, metric = measurement.curve, measurement.metric
    size, error = np.asarray(curve.size, float), np.asarray(curve.error, float)
    present = np.isfinite(error)
    if not present.any():
        return Page(title, "Every training diverged.", [], [], list(caveats), [])
    last = int(np.flatnonzero(present)[-1])
    measured = (
        f"Test {metric.title} at {format_size(size[last])} examples, the largest size measured: "
        f"{_with_unit(metric, error[last])}."
    )
    sentences = [measured]
    if measurement.target is not None:
        count = None if curve.test_count is None else float(np.asarray(curve.test_count))
        fields: Mapping[str, object] = measurement.target.fields()
        subject = f"Test {describe_target(metric, measurement.target.error)}"
        sentences = [*answer_sentences(fields, subject, "examples", test_count=count), measured]
    if measurement.diagnosis is not None:
        sentences.append(measurement.diagnosis.sentence(metric=measurement.metric))
    notes = list(caveats)
    if failed := int(measurement.failed.sum()):
        notes.append(f"{failed} trainings diverged and were left out.")
    if measurement.forecast is None:
        notes.append("There are fewer than four sizes, too few for a forecast.")
    notes.append(f"The best member is chosen on validation examples at each size; its test {metric.title} is reported.")
    charts = [_chart(measurement, size, error, present)]
    return Page(
        title,
        sentences[0],
        sentences[1:],
        charts,
        notes,
        [_table(measurement, labels)],
        attach_table(curve, "measurement.csv"),
    )


def format_error(metric: Metric, error: SupportsFloat, standard_error: SupportsFloat | None = None) -> str:
    """Format an error as a value of its metric: an error rate in percent, others in their unit; nan is "–".

    Args:
        metric: the metric.
        error: its error, `metric.to_error` of the value.
        standard_error: standard error of `error`, or None.

    Examples:
        >>> from lcjax.curves.metrics import METRICS
        >>> format_error(ERROR, 0.0123), format_error(METRICS["rmse"], 25.0), format_error(METRICS["rmse"], 25.0, 1.0)
        ('1.23', '5', '5 ± 0.1')
    """
    if metric.name == ERROR.name:
        return format_percent(error, standard_error)
    value = float(metric.from_error(float(error)))
    spread = float("nan")
    if standard_error is not None:
        low, high = metric.interval(
            max(float(error) - float(standard_error), 0.0), float(error) + float(standard_error)
        )
        spread = (high - low) / 2
    return metric.format(value) + ("" if spread != spread else f" ± {spread:.2g}")


def describe_target(metric: Metric, error: float) -> str:
    """Describe a target by the name, the value and the unit of its metric.

    Examples:
        >>> from lcjax.curves.metrics import METRICS
        >>> describe_target(ERROR, 0.05), describe_target(METRICS["rmse"], 6.25)
        ('error 0.05', 'RMSE 2.5')
    """
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{metric.title} {float(metric.from_error(error)):g}{unit}"


def _with_unit(metric: Metric, error: SupportsFloat) -> str:
    return f"{format_error(metric, error)} {'%' if metric.name == ERROR.name else metric.unit}".strip()


def _chart(measurement: Measurement, size: np.ndarray, error: np.ndarray, present: np.ndarray) -> Chart:
    metric = measurement.metric
    end = AHEAD * size[present].max()
    series: list[Series] = []
    grid = np.geomspace(size[present].min(), end, GRID)
    if measurement.forecast is not None:
        series += forecast_series(measurement.forecast, grid, LEVEL, metric)
    members = np.asarray(measurement.members.error, float)
    series += [
        Series("models and learning rates", "line", "members", size[there], metric.from_error(member[there]))
        for member in members
        if (there := np.isfinite(member)).any()
    ]
    if measurement.curve.replicates is not None:
        repeats = np.asarray(measurement.curve.replicates, float)
        there = np.isfinite(repeats)
        series.append(
            Series(
                "repeats",
                "points",
                "repeats",
                np.broadcast_to(size, repeats.shape)[there],
                metric.from_error(repeats[there]),
            )
        )
    series.append(Series("best at each size", "points", "measured", size[present], metric.from_error(error[present])))
    if measurement.target is not None:
        series += target_series(
            measurement.target.size_for_error, float(metric.from_error(measurement.target.error)), grid
        )
    shown = [one for one in series if one.role != "members"]
    first, last = size[present][[0, -1]]
    description = (
        f"Test {metric.title} against training examples: measured at {present.sum()} sizes from {format_size(first)} "
        f"to {format_size(last)}, where it is {_with_unit(metric, error[present][-1])}."
    )
    limits = visible_limits(error[present], shown, metric)
    return Chart(f"Test {metric.title}", description, metric, "examples", series, limits)


def _table(measurement: Measurement, labels: Sequence[str]) -> Table:
    metric = measurement.metric
    unit = "%" if metric.name == ERROR.name else metric.unit
    columns = ("examples", f"train, {unit}", f"test, {unit}", "best: model, rate")
    name = metric.title[0].upper() + metric.title[1:]
    return Table(f"{name}, with one standard error of the mean", columns, rows_by_size(measurement, labels))


def rows_by_size(measurement: Measurement, labels: Sequence[str]) -> list[list[str]]:
    """Return size, training error, test error and best member at each size, as texts, error rates in percent.

    Args:
        measurement: the curve.
        labels: names of its programs.
    """
    curve, metric, rows = measurement.curve, measurement.metric, []
    train_error, error, spread = (
        np.asarray(values, float) for values in (curve.train_error, curve.error, curve.standard_error)
    )
    for i, size in enumerate(np.asarray(curve.size)):
        member = int(measurement.choice[i])
        best = "–"
        if member >= 0:
            best = f"{labels[measurement.program[member]]}, {measurement.columns['learning_rate'][member]:.3g}"
        values = format_error(metric, train_error[i]), format_error(metric, error[i], spread[i])
        rows.append([f"{size:,}", *values, best])
    return rows
