"""Charts of learning curves as SVG, which the script of the page makes interactive."""

import html
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from lcjax.curves.metrics import Metric
from lcjax.reports.axis import Axis, Tick, linear_axis, log_axis
from lcjax.text import printable

__all__ = ["HEIGHT", "WIDTH", "Chart", "Series", "escape", "render_chart"]

WIDTH, HEIGHT = 720, 430  # units of the SVG
LEFT, RIGHT, TOP, BOTTOM = 78, 14, 14, 58  # margins of the plot
DRAWN = 1500  # largest number of points of a series that is drawn
LOWEST = 1e-12  # share of the largest error below which an error has no place on a logarithmic axis

Kind = Literal["points", "line", "band", "bars"]


class Series(NamedTuple):
    """Points, a line, a band or bars; entries of one name are switched together.

    Attributes:
        name: name in the legend.
        kind: "points", "line", or "band" or vertical "bars" between `value` and `high`.
        role: the look: "measured", "repeats", "held-out", "forecast", "band", "inner", "family", "target", "answer",
            or "method-0" to "method-7".
        size: numbers of training examples, `(n,)`.
        value: values of the metric, `(n,)`; nan where there is none.
        high: other limits of a band or of bars, `(n,)`.
    """

    name: str
    kind: Kind
    role: str
    size: Float[np.ndarray, " n"]
    value: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"] | None = None


class Chart(NamedTuple):
    """A figure of values of a metric against the number of training examples.

    Attributes:
        title: heading, plain text.
        description: the content in words, for those who cannot see the figure.
        metric: the metric of all values.
        unit: what a size counts, in the plural.
        series: in the order of drawing.
        limits: smallest and largest value that should be visible.
    """

    title: str
    description: str
    metric: Metric
    unit: str
    series: Sequence[Series]
    limits: tuple[float, float]


def escape(text: str) -> str:
    r"""Return text for HTML, with characters that could hide or turn other text made visible.

    Percent signs stay with their numbers.

    Args:
        text: any text, such as the name of a curve.

    Examples:
        >>> escape("<script> & \u202e"), escape("5 %")
        ('&lt;script&gt; &amp; \\u202e', '5&nbsp;%')
    """
    return html.escape(printable(text)).replace(" %", "&nbsp;%")


def render_chart(chart: Chart, name: str) -> str:
    """Return a chart as a figure element: SVG, switches, legend and the data for the script.

    Args:
        chart: the chart.
        name: identifier of the element, unique in the page.

    Examples:
        >>> from lcjax.curves.metrics import ERROR
        >>> size = np.array([100.0, 1000.0])
        >>> line = Series("a < b", "line", "forecast", size, size**-0.5)
        >>> text = render_chart(Chart("Curve", "It falls.", ERROR, "examples", [line], (0.03, 0.1)), "c0")
        >>> "a &lt; b" in text, text.count("<svg")
        (True, 2)
    """
    xs, ys = _axes(chart)
    unit = f" ({chart.metric.unit})" if chart.metric.unit else ""
    labels = f"Training {chart.unit}", chart.metric.name + unit
    is_log_y = ys[-1].is_log
    series = [_thin(one) for one in chart.series]
    drawn = "".join(_draw(one, i, xs[-1], ys[-1], chart.metric) for i, one in enumerate(series))
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    text = escape(labels[0]), escape(labels[1])
    return f"""<figure class="chart" id="{name}" data-chart="{name}-data">
<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-title {name}-desc">
<title id="{name}-title">{escape(chart.title)}</title><desc id="{name}-desc">{escape(chart.description)}</desc>
<clipPath id="{name}-clip"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"/>
</clipPath>
{"".join(_draw_ticks(axis, "x", hidden=axis is not xs[-1]) for axis in xs)}
{"".join(_draw_ticks(axis, "y", hidden=axis is not ys[-1]) for axis in ys)}
<g clip-path="url(#{name}-clip)" class="marks">{drawn}</g>
<path class="frame" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>
<path class="cursor" d="M0 {TOP}V{HEIGHT - BOTTOM}" visibility="hidden"/>
<text class="label" x="{middle:g}" y="{HEIGHT - 10}" text-anchor="middle">{text[0]}</text>
<text class="label" transform="translate(17 {(HEIGHT - BOTTOM + TOP) / 2:g}) rotate(-90)" text-anchor="middle">{
        text[1]
    }</text>
</svg>
<p class="readout" role="status" hidden></p>
<div class="switches" hidden><span>Axes:</span>
{_switch("x", "logarithmic size", pressed=True) if len(xs) > 1 else ""}
{_switch("y", f"logarithmic {chart.metric.error_name}", pressed=is_log_y) if len(ys) > 1 else ""}
</div>
<ul class="legend">{"".join(_legend(series, name))}</ul>
<script type="application/json" id="{name}-data">{_json(_data(chart, series, xs, ys))}</script>
</figure>"""


def _axes(chart: Chart) -> tuple[list[Axis], list[Axis]]:
    """Return the axes of both directions: linear first, then, where all values allow it, logarithmic."""
    metric = chart.metric
    sizes = np.concatenate([one.size for one in chart.series])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    small, large = (float(sizes.min()), float(sizes.max())) if sizes.size else (1.0, 10.0)
    margin = (large / small) ** 0.02
    xs = [linear_axis(0.0, large * 1.02, _size_label), log_axis(small / margin, large * margin, _size_label)]
    low, high = chart.limits
    errors = sorted(float(metric.to_error(value)) for value in (low, high))
    room = 0.05 * (high - low)
    bottom = 0.0 if metric.best == 0 and not metric.rises and low >= 0 else low - room
    top = min(high + room, metric.best) if metric.rises else high + room
    ys = [linear_axis(bottom, top, _plain)]
    if errors[0] > 0:
        spread = (errors[1] / errors[0]) ** 0.04
        ys.append(_log_axis(errors[0] / spread, errors[1] * spread, metric))
    return xs, ys


def _log_axis(low: float, high: float, metric: Metric) -> Axis:
    """Return the axis of the logarithm of the error, labeled with values of the metric."""

    def label(error: float) -> str:
        return _plain(float(metric.from_error(error)))

    axis = log_axis(low, high, label, is_turned=metric.rises)
    if metric.transform == "identity":
        return axis
    ends = float(metric.from_error(low)), float(metric.from_error(high))  # round errors are no round values
    values = [ends[0] + tick.place * (ends[1] - ends[0]) for tick in linear_axis(*ends, _plain).ticks]
    if 0 < 5 * ends[0] < ends[1]:
        values = [
            10 ** (tick.place * math.log10(ends[1] / ends[0])) * ends[0] for tick in log_axis(*ends, _plain).ticks
        ]
    errors = np.array([float(metric.to_error(value)) for value in values])
    places = axis.places(errors)
    ticks = [
        Tick(float(place), _plain(float(f"{value:.6g}")))
        for place, value in zip(places, values, strict=True)
        if -1e-6 <= place <= 1 + 1e-6
    ]
    return axis._replace(ticks=ticks)


def _size_label(size: float) -> str:
    return f"{size:,.10g}" if size < 1e7 else f"{size:.3g}".replace("e+0", "e").replace("e+", "e")


def _plain(value: float) -> str:
    return f"{round(value, 12):.8g}"


def _thin(series: Series) -> Series:
    """Return a series with at most `DRAWN` points, evenly spaced in their order."""
    if len(series.size) <= DRAWN:
        return series
    keep = np.unique(np.linspace(0, len(series.size) - 1, DRAWN).astype(int))
    high = None if series.high is None else series.high[keep]
    return series._replace(size=series.size[keep], value=series.value[keep], high=high)


def _coordinates(values: Float[np.ndarray, " n"], axis: Axis, metric: Metric) -> Float[np.ndarray, " n"]:
    """Return the vertical positions of values of the metric; an error of 0 on a logarithmic axis is far outside."""
    if axis.is_log:
        errors = np.asarray(metric.to_error(values), float)
        values = np.where(errors > 0, errors, np.where(np.isnan(errors), np.nan, LOWEST))
    return HEIGHT - BOTTOM - axis.places(values) * (HEIGHT - TOP - BOTTOM)


def _draw(series: Series, number: int, x_axis: Axis, y_axis: Axis, metric: Metric) -> str:
    x = LEFT + x_axis.places(series.size) * (WIDTH - LEFT - RIGHT)
    y = _coordinates(series.value, y_axis, metric)
    if series.kind == "band":
        assert series.high is not None
        other = _coordinates(series.high, y_axis, metric)
        path = _line(x, y) + _line(x[::-1], other[::-1]).replace("M", "L", 1) + "Z"
    elif series.kind == "bars":
        assert series.high is not None
        other = _coordinates(series.high, y_axis, metric)
        there = np.isfinite(x + y + other)
        rows = zip(x[there], y[there], other[there], strict=True)
        path = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in rows)
    elif series.kind == "points":
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True) if np.isfinite(a + b))
    else:
        path = _line(x, y)
    return f'<path class="{series.kind} {series.role}" data-series="{number}" d="{path}"/>'


def _line(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> str:
    finite = np.isfinite(x) & np.isfinite(y)
    y = np.clip(y, -1e4, 1e4)
    points = (f"{a:.1f} {b:.1f}" for a, b in zip(x[finite], y[finite], strict=True))
    return "M" + "L".join(points) if finite.any() else "M0 0"


def _draw_ticks(axis: Axis, direction: Literal["x", "y"], *, hidden: bool) -> str:
    marks = []
    for place, label in axis.ticks:
        if direction == "x":
            x = LEFT + place * (WIDTH - LEFT - RIGHT)
            marks.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
            marks.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{escape(label)}</text>')
        else:
            y = HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
            marks.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            marks.append(f'<text x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{escape(label)}</text>')
    shown = ' visibility="hidden"' if hidden else ""
    return f'<g class="ticks {direction} {"log" if axis.is_log else "linear"}"{shown}>{"".join(marks)}</g>'


def _switch(axis: str, label: str, *, pressed: bool) -> str:
    state = "true" if pressed else "false"
    return f'<button type="button" data-axis="{axis}" aria-pressed="{state}">{escape(label)}</button>'


_SAMPLES = {"points": "M14 8h0", "line": "M2 8H26", "band": "M2 3H26V13H2Z", "bars": "M14 2V14"}


def _legend(series: Sequence[Series], name: str) -> Iterator[str]:
    """Yield an entry for each name: a box to tick, which needs the script, a sample of the look, and the name."""
    for text in dict.fromkeys(one.name for one in series):
        numbers = [i for i, one in enumerate(series) if one.name == text]
        first = series[numbers[0]]
        sample = _SAMPLES[first.kind]
        box = f'<input type="checkbox" checked hidden data-series="{" ".join(map(str, numbers))}">'
        look = f'<path class="{first.kind} {first.role}" d="{sample}"/>'
        swatch = f'<svg viewBox="0 0 28 16" width="28" height="16" aria-hidden="true">{look}</svg>'
        yield f"<li><label>{box}{swatch}{escape(text)}</label></li>"


def _data(chart: Chart, series: Sequence[Series], xs: Sequence[Axis], ys: Sequence[Axis]) -> dict[str, Any]:
    """Return what the script needs: the plot's rectangle, the axes, and every series with values and errors."""

    def column(values: Float[np.ndarray, " n"], convert: Callable[[Any], Any] = lambda value: value) -> list[Any]:
        numbers = np.asarray(convert(np.asarray(values, float)), float)
        return [float(f"{number:.6g}") if np.isfinite(number) else None for number in numbers]

    entries = []
    for one in series:
        entry = {"name": printable(one.name), "kind": one.kind, "role": one.role, "x": column(one.size)}
        entry |= {"y": column(one.value), "e": column(one.value, chart.metric.to_error)}
        if one.high is not None:
            entry |= {"y2": column(one.high), "e2": column(one.high, chart.metric.to_error)}
        entries.append(entry)
    axes = {
        name: {"log" if axis.is_log else "linear": [axis.start, axis.end] for axis in both}
        for name, both in (("x", xs), ("y", ys))
    }
    log = {"x": xs[-1].is_log, "y": ys[-1].is_log}
    box = [LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM]
    return {"box": box, "axes": axes, "log": log, "unit": printable(chart.unit), "series": entries}


def _json(value: object) -> str:
    """Return JSON that cannot end the script element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
