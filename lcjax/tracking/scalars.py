"""Results as scalars with a series, a name, a size and a value, as trackers of experiments store them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lcjax.curves.readers.csv import CurveTable
from lcjax.studies.collection.measurements import Measurements
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.tracking.long_tables import to_columns

__all__ = ["Scalar", "TrackedResult", "to_scalars"]


class TrackedResult(NamedTuple):
    """A result of a command for a tracker.

    Attributes:
        name: name of the run.
        settings: settings by name.
        measured: measurements or curves.
        fitted: their forecast, or None.
        files: files to store beside them, such as the report.
    """

    name: str
    settings: Mapping[str, object]
    measured: Measurements | CurveTable
    fitted: FittedCurves | None = None
    files: Sequence[Path] = ()


class Scalar(NamedTuple):
    """One value.

    Attributes:
        series: "mean", "repeat-0", "forecast", "forecast-low" or "forecast-high".
        name: name of the metric, after that of the curve if there are several.
        size: number of training examples, the step of a tracker.
        value: value of the metric.
    """

    series: str
    name: str
    size: float
    value: float


def to_scalars(result: TrackedResult) -> list[Scalar]:
    """Return all values of a result: means over repeats, repeats and forecasts.

    Args:
        result: the result.

    Examples:
        >>> from lcjax.studies.collection.measurements import Training, gather
        >>> rows = [Training(10, 0, {"error": 0.5}, 1.0), Training(10, 1, {"error": 0.25}, 1.0)]
        >>> [tuple(one) for one in to_scalars(TrackedResult("run", {}, gather(rows)))]
        [('mean', 'error', 10.0, 0.375), ('repeat-0', 'error', 10.0, 0.5), ('repeat-1', 'error', 10.0, 0.25)]
    """
    columns = to_columns(result.measured)
    count = len(columns["size"])
    if isinstance(result.measured, Measurements):
        parts = zip(columns["metric"], columns["class"], columns["group"], strict=True)
        names, values = ["/".join(filter(None, part)) for part in parts], columns["value"]
    else:
        metric = result.measured.metric.name
        names, values = _names(columns["curve"], metric), columns[metric]
    repeats = columns.get("repeat") or [None] * count
    groups: dict[tuple[str, float], list[float]] = defaultdict(list)
    single = []
    for name, size, repeat, value in zip(names, columns["size"], repeats, values, strict=True):
        if not np.isfinite(value):
            continue
        groups[name, float(size)].append(value)
        if repeat is not None:
            single.append(Scalar(f"repeat-{repeat}", name, float(size), float(value)))
    means = [Scalar("mean", name, size, float(np.mean(group))) for (name, size), group in groups.items()]
    return [*means, *single, *_forecasts(result.fitted)]


def _names(curves: Sequence[str], metric: str) -> list[str]:
    return [f"{curve}/{metric}" if curve else metric for curve in curves]


def _forecasts(fitted: FittedCurves | None) -> list[Scalar]:
    if fitted is None:
        return []
    columns = to_columns(fitted)
    metric = fitted.table.metric.name
    return [
        Scalar(series, name, float(size), float(value))
        for series, column in (("forecast", metric), ("forecast-low", "low"), ("forecast-high", "high"))
        for name, size, value in zip(_names(columns["curve"], metric), columns["size"], columns[column], strict=True)
        if np.isfinite(value)
    ]
