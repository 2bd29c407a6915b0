"""Series that charts share: a forecast with its intervals, and a target with its answer."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.forecast.mixture import MixtureForecast
from lcjax.curves.metrics import Metric
from lcjax.reports.chart import Series

__all__ = ["forecast_series", "target_series", "visible_limits"]

INNER = 0.5  # level of the inner band
DRAWN = 64  # sizes of a line; the forecast is evaluated at more, for which it is compiled
FAMILY_WEIGHT = 0.05  # families of less weight are not drawn


def forecast_series(
    forecast: Forecast | MixtureForecast, grid: Float[np.ndarray, " g"], level: float, metric: Metric
) -> list[Series]:
    """Return the bands, the shapes that are averaged, and the line of the forecast of one curve.

    Args:
        forecast: forecast of one curve, without a batch or with a batch of one.
        grid: sizes.
        level: nominal coverage of the outer band.
        metric: metric in which the series are.
    """
    series = []
    for share, role in ((level, "band"), *((share, "inner") for share in (INNER,) if share < level)):
        low, high = (np.asarray(limit, float).reshape(grid.shape) for limit in forecast.interval(grid, share))
        values = metric.from_error(low), metric.from_error(high)
        series.append(Series(f"{100 * share:g} % interval", "band", role, grid, *values))
    if isinstance(forecast, Forecast):
        lines = np.asarray(forecast.family_curves(grid), float).reshape(-1, len(grid))
        series += [
            Series("shapes of the average", "line", "family", grid, metric.from_error(line))
            for line, weight in zip(lines, np.asarray(forecast.weight).ravel(), strict=True)
            if weight >= FAMILY_WEIGHT
        ]
    predicted = np.asarray(forecast.predict(grid), float).reshape(grid.shape)
    series.append(Series("forecast", "line", "forecast", grid, metric.from_error(predicted)))
    keep = np.unique(np.linspace(0, len(grid) - 1, DRAWN).astype(int))
    return [
        one._replace(size=one.size[keep], value=one.value[keep], high=None if one.high is None else one.high[keep])
        for one in series
    ]


def target_series(size: SizeForError, target: float, grid: Float[np.ndarray, " g"]) -> list[Series]:
    """Return the line of a target, and on it the answer and its interval as far as they lie within the grid.

    Args:
        size: the answer of one curve.
        target: value of the metric.
        grid: sizes of the chart, ascending.
    """
    first, last = float(grid[0]), float(grid[-1])
    value, low, high = (float(np.asarray(field)) for field in (size.value, size.low, size.high))
    level = np.full(2, target)
    series = [Series("target", "line", "target", np.array([first, last]), level)]
    if low < last:
        span = np.array([max(low, first), min(high, last)])
        series.append(Series("interval of the answer", "line", "answer-range", span, level))
    if value <= last:
        series.append(Series("answer", "points", "answer-point", np.array([value]), level[:1]))
    return series


def visible_limits(error: Float[np.ndarray, " n"], series: Sequence[Series], metric: Metric) -> tuple[float, float]:
    """Return the values of the metric between which points and lines are visible; bands may end outside.

    Args:
        error: errors of the points, positive ones of which count.
        series: series of the chart.
        metric: their metric.
    """
    lines = [metric.to_error(one.value) for one in series if one.kind == "line" and one.role != "family"]
    inner = np.concatenate([error, *lines])
    inner = inner[inner > 0]
    bands = [limit for one in series if one.kind == "band" and one.high is not None for limit in (one.value, one.high)]
    ends = [float(metric.to_error(limit)[0]) for limit in bands]
    low, high = (inner.min(), max(inner.max(), *ends, inner.min())) if inner.size else (0.1, 1.0)
    shown = sorted(float(metric.from_error(bound)) for bound in (low / 2, 1.3 * high))
    return shown[0], shown[1]
