"""Reports of measured curves with their forecasts."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.sentences import answer_sentences
from lcjax.curves.metrics import Metric
from lcjax.formats import format_size
from lcjax.reports.chart import Chart, Series
from lcjax.reports.page import Attachment, Page
from lcjax.reports.series import forecast_series, target_series, visible_limits
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.studies.report import Table

__all__ = [
    "DRAWN", "OVERLAID", "curves_table", "forecast_cautions", "forecast_chart", "forecast_page", "overlay_chart",
]  # fmt: skip

DRAWN = 20  # largest number of curves that are drawn, in the order of the file
OVERLAID = 8  # largest number of curves in one figure, that of the styles
LISTED = 100  # largest number of curves in the table
ROWS = 200  # largest number of measured sizes in the table of one curve
GRID = 128  # sizes of a line, as in the figures: one more would be padded to four times as many
SAME = "The forecast holds for the same training procedure and for data of the same distribution."
FAR = 10.0  # ratio of the answer to the largest measured size beyond which the page warns


def forecast_page(
    fitted: FittedCurves,
    curves: Sequence[Mapping[str, Any]],
    unit: str,
    *,
    title: str,
    attachment: Attachment | None = None,
    caveats: Sequence[str] = (),
    tables: Sequence[Table] = (),
) -> Page:
    """Return the report of fitted curves.

    Args:
        fitted: the curves.
        curves: their summaries, from `lcjax.studies.fitting.summary.summary`.
        unit: what a size counts, in the plural.
        title: title of the page.
        attachment: the measurements as CSV.
        caveats: further reasons for caution, such as trainings that failed.
        tables: further tables.

    Examples:
        >>> import jax, numpy as np, lcjax as lc
        >>> from lcjax.curves.metrics import ERROR
        >>> from lcjax.studies.fitting.summary import summary
        >>> size = 100.0 * 2.0 ** np.arange(5)
        >>> curve = lc.LearningCurve(size[None], 3 * size[None] ** -0.5)
        >>> table = lc.curves.CurveTable(curve, np.ones((1, 5), bool), 0, ("",), ("",), ERROR)
        >>> fitted = lc.studies.fit_learning_curves(jax.random.key(0), table, target_error=0.05)
        >>> page = forecast_page(fitted, summary(fitted), "examples", title="Forecast")
        >>> page.answer.split(" (")[0]
        'Error 0.05: 3,6...'
    """
    charts = [forecast_chart(fitted, i, unit) for i in range(min(len(curves), DRAWN))]
    if len(curves) == 1:
        answer, *sentences = _sentences(fitted, curves[0], unit)
        own = [_curve_table(fitted.table.metric, curves[0], unit)]
    else:
        answer, *sentences = _overview(fitted, curves, unit)
        own = [curves_table(fitted, curves, unit)]
        some = "All curves" if len(curves) <= OVERLAID else "Curves"
        charts.insert(0, overlay_chart(fitted, unit, title=some))
    notes = [*caveats, *forecast_cautions(fitted, [note for curve in curves for note in curve["notes"]])]
    if len(curves) > DRAWN:
        notes.append(f"The first {DRAWN} of {len(curves):,} curves are drawn.")
    return Page(title, answer, sentences, charts, notes, [*own, *tables], attachment)


def overlay_chart(fitted: FittedCurves, unit: str, *, title: str) -> Chart:
    """Return one figure with the measurements and forecasts of several curves, without intervals.

    Args:
        fitted: the curves, the first `OVERLAID` of which are drawn; the last of these is replaced by the curve with the
            largest error at 4 times its largest size, if that is another one.
        unit: what a size counts, in the plural.
        title: title of the figure, to which the number of curves is added if not all are drawn.
    """
    table, metric = fitted.table, fitted.table.metric
    series, errors = list[Series](), []
    rows = list(range(min(len(table.names), OVERLAID)))
    if len(table.names) > OVERLAID:
        worst = int(np.argmax(fitted.predicted[:, 1]))
        rows = rows if worst in rows else [*rows[:-1], worst]
        first = OVERLAID if worst < OVERLAID else OVERLAID - 1
        title += f": the first {first} of {len(table.names):,}" + (", and the worst" if worst >= OVERLAID else "")
    for place, row in enumerate(rows):
        size, error = (np.asarray(a, float)[row] for a in (table.curve.size, table.curve.error))
        used = table.fitted[row] & ~np.isnan(error)
        grid = np.geomspace(size[used].min(), fitted.ahead[row, -1], GRID)
        forecast = jax.tree.map(lambda a: a[row : row + 1], fitted.forecast)  # noqa: B023  # called at once
        predicted = np.asarray(forecast.predict(grid), float)[0]
        name, role = table.names[row] or f"curve {row}", f"method-{place}"
        series.append(Series(name, "line", role, grid, metric.from_error(predicted)))
        series.append(Series(name, "points", role, size[used], metric.from_error(error[used])))
        errors.append(error[used])
    limits = visible_limits(np.concatenate(errors), series, metric)
    names = ", ".join(table.names[row] for row in rows)
    description = f"{metric.name} against training {unit}, measured (points) and forecast (lines), of {names}."
    return Chart(title, description, metric, unit, series, limits)


def forecast_chart(fitted: FittedCurves, row: int, unit: str) -> Chart:
    """Return the figure of one curve: measurements, forecast, intervals, families, target and answer.

    Args:
        fitted: the curves.
        row: number of the curve.
        unit: what a size counts, in the plural.
    """
    table, metric = fitted.table, fitted.table.metric
    forecast = jax.tree.map(lambda a: a[row : row + 1], fitted.forecast)
    size, error = (np.asarray(a, float)[row] for a in (table.curve.size, table.curve.error))
    used, left = (mask[row] & ~np.isnan(error) for mask in (table.fitted, ~table.fitted))
    grid = _grid(fitted, row, size, used, left)
    series = forecast_series(forecast, grid, fitted.level, metric)
    if table.curve.replicates is not None:
        repeats = np.asarray(table.curve.replicates, float)[row]
        there = used & ~np.isnan(repeats)
        sizes = np.broadcast_to(size, repeats.shape)[there]
        series.append(Series("repeats", "points", "repeats", sizes, metric.from_error(repeats[there])))
    series.append(Series("measured", "points", "measured", size[used], metric.from_error(error[used])))
    if left.any():
        series.append(Series("held out", "points", "held-out", size[left], metric.from_error(error[left])))
    if fitted.target is not None:
        sizes = jax.tree.map(lambda a: np.asarray(a)[row], fitted.target.size_for_error)
        series += target_series(sizes, float(metric.from_error(fitted.target.error)), grid)
    title = table.names[row] or f"Forecast of the {metric.name}"
    limits = visible_limits(error[used | left], series, metric)
    return Chart(title, _describe(fitted, row, size, used, grid, unit), metric, unit, series, limits)


def _grid(
    fitted: FittedCurves, row: int, size: Float[np.ndarray, " s"], used: np.ndarray, left: np.ndarray
) -> Float[np.ndarray, " g"]:
    """Return the sizes of the lines, up to twice the answer."""
    reached = np.inf if fitted.target is None else float(np.asarray(fitted.target.size_for_error.value)[row])
    end = max(fitted.ahead[row, -1], np.max(size[used | left]))
    if np.isfinite(reached):
        end = max(end, min(2 * reached, 1e4 * size[used].max()))
    return np.geomspace(size[used].min(), end, GRID)


def _describe(
    fitted: FittedCurves,
    row: int,
    size: Float[np.ndarray, " s"],
    used: np.ndarray,
    grid: Float[np.ndarray, " g"],
    unit: str,
) -> str:
    """Describe a figure for those who cannot see it."""
    metric = fitted.table.metric
    first, last = size[used].min(), size[used].max()
    low, high = metric.interval(float(fitted.low[row, 1]), float(fitted.high[row, 1]))
    return (
        f"{metric.name} against training {unit}: measured at {int(used.sum())} sizes from {format_size(first)} to "
        f"{format_size(last)}, forecast up to {format_size(grid[-1])}. At {format_size(fitted.ahead[row, 1])} {unit} "
        f"the forecast is {metric.format(metric.from_error(float(fitted.predicted[row, 1])))}, with an interval from "
        f"{metric.format(low)} to {metric.format(high)}."
    )


def _sentences(fitted: FittedCurves, curve: Mapping[str, Any], unit: str) -> list[str]:
    """Return the answer of one curve, then what else is known about it."""
    metric, ahead = fitted.table.metric, curve["forecast"]
    name = metric.name[0].upper() + metric.name[1:]
    expected = (
        f"{name} at {format_size(ahead['size'][1])} {unit}: {metric.format(ahead[metric.name][1])} "
        f"({100 * fitted.level:g} % interval {metric.format(ahead['low'][1])} to {metric.format(ahead['high'][1])})."
    )
    sentences = [expected]
    if fitted.target is not None:
        counts = fitted.table.curve.test_count
        count = None if counts is None else float(np.asarray(counts)[0])
        subject = f"{name} {curve[f'target_{metric.name}']:g}"
        sentences = [*answer_sentences(curve, subject, unit, test_count=count), expected]
    diagnosis = [] if curve["diagnosis"] is None else [curve["diagnosis"]["sentence"]]
    return [*sentences, *diagnosis, *([curve["shape"]] if curve["shape"] else [])]


def _overview(fitted: FittedCurves, curves: Sequence[Mapping[str, Any]], unit: str) -> list[str]:
    if fitted.target is None:
        return [f"{len(curves)} curves, forecast up to 16 times their largest sizes."]
    metric = fitted.table.metric
    status = np.asarray(fitted.target.size_for_error.status)
    target = f"{metric.name} {metric.from_error(fitted.target.error):g}"
    reached = np.isin(status, ("at_or_below_smallest", "within"))
    beyond = int(np.sum(status == "beyond"))
    order = np.argsort(np.asarray(fitted.target.size_for_error.value, float))
    best = curves[int(order[0])]
    sentences = [
        f"Of {len(curves)} curves, {int(reached.sum())} reach {target} within their measured sizes, and {beyond} more "
        "are expected to with more data."
    ]
    if np.isfinite(float(best["size_for_error"].value)):
        size = format_size(best["size_for_error"].value, whole=best["size_for_error"].is_count)
        sentences.append(f"The fewest {unit} are needed by {best['curve'] or 'the first'}: {size}.")
    return sentences


def forecast_cautions(fitted: FittedCurves, notes: Sequence[str]) -> list[str]:
    """Return notes, each once, and what limits the forecasts.

    Args:
        fitted: the forecasts.
        notes: notes on all curves.
    """
    cautions = [*dict.fromkeys(notes), SAME]
    if fitted.table.absent:
        cautions.append(f"Skipped {fitted.table.absent} rows without a value.")
    used = np.sum(fitted.table.fitted & ~np.isnan(np.asarray(fitted.table.curve.error, float)), axis=1)
    if int(used.min()) < 4:
        cautions.append(f"A curve of {int(used.min())} sizes says little about its shape: measure at least four.")
    if fitted.table.curve.replicates is None:
        cautions.append("There is one training at each size, so its noise is estimated from the fit alone.")
    if fitted.target is not None:
        size = fitted.target.size_for_error
        ratio = np.asarray(size.value, float) / np.asarray(fitted.forecast.largest, float)
        far = ratio[np.isfinite(ratio) & (ratio > FAR)]
        if far.size:
            cautions.append(
                f"An answer is {format_size(far.max())} times the largest size measured; a change of the curve's shape "
                "in between cannot be seen in the data."
            )
    return cautions


def _curve_table(metric: Metric, curve: Mapping[str, Any], unit: str) -> Table:
    rows = list(zip(curve["size"], curve[metric.name], curve["fitted"], strict=True))
    shown = rows[:: -(-len(rows) // ROWS)]
    ahead = curve["forecast"]
    cells = [
        [format_size(size), metric.format(value), "measured" if is_used else "held out", ""]
        for size, value, is_used in shown
    ]
    cells += [
        [format_size(size), metric.format(value), "forecast", f"{metric.format(low)} to {metric.format(high)}"]
        for size, value, low, high in zip(ahead["size"], ahead[metric.name], ahead["low"], ahead["high"], strict=True)
    ]
    title = f"{metric.name[0].upper()}{metric.name[1:]}, measured and forecast"
    if len(shown) < len(rows):
        title += f"; {len(shown)} of {len(rows):,} sizes"
    return Table(title, (unit, metric.name, "", f"{100 * ahead['level']:g} % interval"), cells)


def curves_table(fitted: FittedCurves, curves: Sequence[Mapping[str, Any]], unit: str, column: str = "curve") -> Table:
    """Return the forecasts of several curves, a row for each.

    Args:
        fitted: the curves.
        curves: their summaries.
        unit: what a size counts, in the plural.
        column: heading of the names.
    """
    metric, rows = fitted.table.metric, []
    for curve in curves[:LISTED]:
        ahead = curve["forecast"]
        values = np.asarray(curve[metric.name], float)[np.asarray(curve["fitted"])]
        row = [curve["curve"] or "curve", f"{len(values)}", metric.format(values[-1])]
        row += [metric.format(ahead[metric.name][1])]
        row += [f"{metric.format(ahead['low'][1])} to {metric.format(ahead['high'][1])}"]
        if fitted.target is not None:
            size = curve["size_for_error"]
            value, low, high = (format_size(x, whole=size.is_count) for x in (size.value, size.low, size.high))
            row += [value, f"{low} to {high}"]
        rows.append(row)
    interval = f"{100 * fitted.level:g} % interval"
    columns = [column, "sizes", f"last {metric.name}", "at 4 x", interval]
    if fitted.target is not None:
        columns += [f"{unit} for {metric.from_error(fitted.target.error):g}", interval]
    title = "Forecasts at 4 times the largest fitted size"
    if len(curves) > LISTED:
        title += f"; the first {LISTED} of {len(curves):,} curves"
    return Table(title, columns, rows)
