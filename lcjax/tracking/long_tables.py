"""Long tables of measurements, curves and forecasts: a column for each quantity, a row for each value."""

from typing import Any, TypeAlias

import numpy as np

from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.forecast.mixture import MixtureForecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.readers.csv import CurveTable
from lcjax.studies.collection.measurements import Measurements, measurement_columns
from lcjax.studies.fitting.fitted_curves import FittedCurves

__all__ = ["Tabular", "to_columns"]

Tabular: TypeAlias = Measurements | CurveTable | FittedCurves | LearningCurve | Forecast | MixtureForecast

_LEVEL = 0.9
_AHEAD = (1.0, 2.0, 4.0, 8.0, 16.0)  # times the largest measured size


def to_columns(value: Tabular) -> dict[str, list[Any]]:
    """Return a long table as lists by the names of its columns.

    Args:
        value: `Measurements`, with a row for each training and metric; a `CurveTable`, with a row for each curve,
            size and repeat; `FittedCurves` or a `Forecast`, with a row for each curve and size ahead and the limits of
            its interval; or a `LearningCurve`, with a row for each size and repeat. Errors of tables are in their
            metric; those of curves and forecasts of their own are errors.

    Raises:
        TypeError: the value is something else.

    Examples:
        >>> import lcjax as lc
        >>> lc.tracking.to_columns(lc.LearningCurve(np.array([10.0, 20.0]), np.array([0.5, 0.25])))
        {'curve': ['', ''], 'size': [10.0, 20.0], 'repeat': [None, None], 'error': [0.5, 0.25]}
    """
    if isinstance(value, Measurements):
        return measurement_columns(value)
    if isinstance(value, CurveTable):
        columns = _curve_columns(value.curve, value.names, value.fitted)
        return _rename(columns, value.metric.name, value.metric.from_error)
    if isinstance(value, LearningCurve):
        size = np.asarray(value.size)
        names = ("",) if size.ndim < 2 else tuple(f"curve {i}" for i in range(int(np.prod(size.shape[:-1]))))
        return _curve_columns(value, names, None)
    if isinstance(value, FittedCurves):
        metric = value.table.metric
        low, high = metric.interval(value.low, value.high)
        return _forecast_columns(
            value.table.names, value.ahead, metric.name, metric.from_error(value.predicted), low, high, value.level
        )
    if isinstance(value, Forecast | MixtureForecast):
        largest = np.asarray(value.largest, float)
        ahead = largest[..., None] * np.array(_AHEAD)
        limits = value.interval(ahead, _LEVEL)
        names = ("",) if largest.ndim == 0 else tuple(f"curve {i}" for i in range(largest.size))
        size, error, low, high = (
            np.asarray(one, float).reshape(len(names), len(_AHEAD)) for one in (ahead, value.predict(ahead), *limits)
        )
        return _forecast_columns(names, size, "error", error, low, high, _LEVEL)
    raise TypeError(f"{type(value).__name__} has no long table; pass measurements, curves or a forecast.")


def _rename(columns: dict[str, list[Any]], name: str, convert: Any) -> dict[str, list[Any]]:
    """Return the columns with errors converted to a metric."""
    values = convert(np.asarray(columns["error"], float)).tolist()
    return {name if key == "error" else key: values if key == "error" else column for key, column in columns.items()}


def _curve_columns(curve: LearningCurve, names: tuple[str, ...], fitted: np.ndarray | None) -> dict[str, list[Any]]:
    count = len(names)
    error = np.asarray(curve.error, float)
    last = error.shape[-1]
    error = error.reshape(count, last)
    size = np.broadcast_to(np.asarray(curve.size, float), np.shape(curve.error)).reshape(count, last)
    values = error[:, None, :]
    if curve.replicates is not None:
        repeats = np.asarray(curve.replicates, float)
        values = repeats.reshape(count, repeats.shape[-2], last)
    columns: dict[str, list[Any]] = {"curve": [], "size": [], "repeat": [], "error": []}
    if fitted is not None:
        columns["fitted"] = []
    for i, j, r in zip(*np.nonzero(~np.isnan(values).transpose(0, 2, 1)), strict=True):
        columns["curve"].append(names[i])
        columns["size"].append(float(size[i, j]))
        columns["repeat"].append(None if curve.replicates is None else int(r))
        columns["error"].append(float(values[i, r, j]))
        if fitted is not None:
            columns["fitted"].append(bool(fitted[i, j]))
    return columns


def _forecast_columns(
    names: tuple[str, ...],
    size: np.ndarray,
    metric: str,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    level: float,
) -> dict[str, list[Any]]:
    count = size.shape[1]
    return {
        "curve": [name for name in names for _ in range(count)],
        "size": size.ravel().tolist(),
        metric: value.ravel().tolist(),
        "low": low.ravel().tolist(),
        "high": high.ravel().tolist(),
        "level": [level] * size.size,
    }
