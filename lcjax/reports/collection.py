"""Report of a collection: measurements by any trainer, and their forecast."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lcjax.formats import format_number, format_size
from lcjax.reports.attachments import attach_table
from lcjax.reports.forecasts import curves_table, forecast_page, overlay_chart
from lcjax.reports.page import Page
from lcjax.studies.collection.measurements import Measurements
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.studies.report import Table

__all__ = ["Part", "collection_page", "metric_means"]


class Part(NamedTuple):
    """Forecasts of all classes, or of all groups.

    Attributes:
        kind: "class" or "group".
        fitted: the forecasts.
        curves: their summaries.
        sentence: the comparison in words, or "".
    """

    kind: str
    fitted: FittedCurves
    curves: Sequence[Mapping[str, Any]]
    sentence: str


def metric_means(measurements: Measurements) -> Table:
    """Return the mean of every metric at each size, the number of trainings and their mean time.

    Args:
        measurements: the trainings.

    Examples:
        >>> from lcjax.studies.collection.measurements import Training, gather
        >>> metric_means(gather([Training(10, 0, {"error": 0.5}, 2.0), Training(10, 1, {"error": 0.25}, 4.0)])).rows
        [['10', '2', '0.375', '3']]
    """
    rows = []
    for size in np.unique(measurements.size):
        at = measurements.size == size
        means = [_mean(measurements.value[at, i]) for i in range(len(measurements.metrics))]
        rows.append([format_size(size), f"{at.sum()}", *means, _mean(measurements.seconds[at], ".3g")])
    return Table("Mean of each metric", ["size", "trainings", *measurements.metrics, "seconds"], rows)


def collection_page(
    measurements: Measurements,
    fitted: FittedCurves | None,
    curves: Sequence[Mapping[str, Any]],
    unit: str,
    *,
    title: str,
    parts: Sequence[Part] = (),
) -> Page:
    """Return the report of a collection: its forecast, or its measurements alone.

    Args:
        measurements: the trainings.
        fitted: the forecast, or None for one size.
        curves: summaries of the forecast, from `lcjax.studies.fitting.summary.summary`.
        unit: what a size counts, in the plural.
        title: title of the page.
        parts: forecasts of classes and of groups.

    Examples:
        >>> from lcjax.studies.collection.measurements import Training, gather
        >>> collection_page(gather([Training(10, 0, {"error": 0.5}, 2.0)]), None, [], "examples", title="T").answer
        '1 training at one size: a forecast needs at least two.'
    """
    attachment = attach_table(measurements, "measurements.csv")
    failures = [f"Failed: {failure}" for failure in measurements.failures]
    means = metric_means(measurements)
    if fitted is not None:
        tables = [means, *(curves_table(part.fitted, part.curves, unit, part.kind) for part in parts)]
        page = forecast_page(fitted, curves, unit, title=title, attachment=attachment, caveats=failures, tables=tables)
        charts = [overlay_chart(part.fitted, unit, title=f"By {part.kind}") for part in parts]
        sentences = [part.sentence for part in parts if part.sentence]
        notes = list(dict.fromkeys(note for part in parts for note in part.fitted.table.notes))
        return page._replace(
            charts=[*page.charts, *charts], sentences=[*page.sentences, *sentences], caveats=[*page.caveats, *notes]
        )
    count = len(measurements.size)
    answer = f"{count} training{'s' if count != 1 else ''} at one size: a forecast needs at least two."
    return Page(title, answer, [], [], failures, [means], attachment)


def _mean(values: np.ndarray, spec: str = ".4g") -> str:
    present = values[~np.isnan(values)]
    return format_number(present.mean(), spec) if present.size else "–"
