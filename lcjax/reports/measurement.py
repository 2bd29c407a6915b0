"""Report of a curve that was measured as the lower envelope over models and learning rates."""

from collections.abc import Mapping, Sequence

import numpy as np

from lcjax.curves.answer.sentences import answer_sentences
from lcjax.curves.metrics import ERROR
from lcjax.formats import format_percent, format_size
from lcjax.reports.attachments import attach_table
from lcjax.reports.chart import Chart, Series
from lcjax.reports.page import Page
from lcjax.reports.series import forecast_series, target_series, visible_limits
from lcjax.studies.measurement import Measurement
from lcjax.studies.report import Table

__all__ = ["measurement_page", "rows_by_size"]

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
    curve = measurement.curve
    size, error = np.asarray(curve.size, float), np.asarray(curve.error, float)
    present = np.isfinite(error)
    if not present.any():
        return Page(title, "Every training diverged.", [], [], list(caveats), [])
    last = int(np.flatnonzero(present)[-1])
    measured = (
        f"Test error at {format_size(size[last])} examples, the largest size measured: {format_percent(error[last])} %."
    )
    sentences = [measured]
    if measurement.target is not None:
        count = None if curve.test_count is None else float(np.asarray(curve.test_count))
        fields: Mapping[str, object] = measurement.target.fields()
        subject = f"Test error {measurement.target.error:g}"
        sentences = [*answer_sentences(fields, subject, "examples", test_count=count), measured]
    if measurement.diagnosis is not None:
        sentences.append(measurement.diagnosis.sentence())
    notes = list(caveats)
    if failed := int(measurement.failed.sum()):
        notes.append(f"{failed} trainings diverged and were left out.")
    if measurement.forecast is None:
        notes.append("There are fewer than four sizes, too few for a forecast.")
    notes.append("The best member is chosen on validation examples at each size; its test error is reported.")
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


def _chart(measurement: Measurement, size: np.ndarray, error: np.ndarray, present: np.ndarray) -> Chart:
    end = AHEAD * size[present].max()
    series: list[Series] = []
    grid = np.geomspace(size[present].min(), end, GRID)
    if measurement.forecast is not None:
        series += forecast_series(measurement.forecast, grid, LEVEL, ERROR)
    members = np.asarray(measurement.members.error, float)
    series += [
        Series("models and learning rates", "line", "members", size[there], member[there])
        for member in members
        if (there := np.isfinite(member)).any()
    ]
    if measurement.curve.replicates is not None:
        repeats = np.asarray(measurement.curve.replicates, float)
        there = np.isfinite(repeats)
        series.append(
            Series("repeats", "points", "repeats", np.broadcast_to(size, repeats.shape)[there], repeats[there])
        )
    series.append(Series("best at each size", "points", "measured", size[present], error[present]))
    if measurement.target is not None:
        series += target_series(measurement.target.size_for_error, measurement.target.error, grid)
    shown = [one for one in series if one.role != "members"]
    first, last = size[present][[0, -1]]
    description = (
        f"Test error against training examples: measured at {present.sum()} sizes from {format_size(first)} to "
        f"{format_size(last)}, where it is {format_percent(error[present][-1])} %."
    )
    return Chart("Test error", description, ERROR, "examples", series, visible_limits(error[present], shown, ERROR))


def _table(measurement: Measurement, labels: Sequence[str]) -> Table:
    columns = ("examples", "train, %", "test, %", "best: model, rate")
    return Table("Error, with one standard error of the mean", columns, rows_by_size(measurement, labels))


def rows_by_size(measurement: Measurement, labels: Sequence[str]) -> list[list[str]]:
    """Return size, training error, test error and best member at each size, as texts, errors in percent.

    Args:
        measurement: the curve.
        labels: names of its programs.
    """
    curve, rows = measurement.curve, []
    train_error, error, spread = (
        np.asarray(values, float) for values in (curve.train_error, curve.error, curve.standard_error)
    )
    for i, size in enumerate(np.asarray(curve.size)):
        member = int(measurement.choice[i])
        best = "–"
        if member >= 0:
            best = f"{labels[measurement.program[member]]}, {measurement.columns['learning_rate'][member]:.3g}"
        rows.append([f"{size:,}", format_percent(train_error[i]), format_percent(error[i], spread[i]), best])
    return rows
