"""Report of measurements that were collected from any trainer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lcjax.formats import format_size
from lcjax.reports.attachments import attach_table
from lcjax.reports.forecasts import forecast_page
from lcjax.reports.page import Page
from lcjax.studies.collection.measurements import Measurements
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.studies.report import Table

__all__ = ["collection_page", "metric_means"]


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
) -> Page:
    """Return the report of a collection: its forecast, or its measurements alone.

    Args:
        measurements: the trainings.
        fitted: the forecast, or None for one size.
        curves: summaries of the forecast, from `lcjax.studies.fitting.summary.summary`.
        unit: what a size counts, in the plural.
        title: title of the page.

    Examples:
        >>> from lcjax.studies.collection.measurements import Training, gather
        >>> collection_page(gather([Training(10, 0, {"error": 0.5}, 2.0)]), None, [], "examples", title="T").answer
        '1 training at one size: a forecast needs at least two.'
    """
    attachment = attach_table(measurements, "measurements.csv")
    failures = [f"Failed: {failure}" for failure in measurements.failures]
    means = metric_means(measurements)
    if fitted is not None:
        return forecast_page(fitted, curves, unit, title=title, attachment=attachment, caveats=failures, tables=[means])
    count = len(measurements.size)
    answer = f"{count} training{'s' if count != 1 else ''} at one size: a forecast needs at least two."
    return Page(title, answer, [], [], failures, [means], attachment)


def _mean(values: np.ndarray, spec: str = ".4g") -> str:
    present = values[~np.isnan(values)]
    return format(float(present.mean()), spec) if present.size else "–"
