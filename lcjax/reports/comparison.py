"""Report of compared learning curves: differences with intervals, order, crossings and equivalent amounts of data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from lcjax.csv_files import csv_text
from lcjax.curves.comparison.curve_comparison import CurveComparison
from lcjax.curves.comparison.differences import metric_difference
from lcjax.curves.metrics import ERROR, Metric
from lcjax.formats import are_counts, format_number, format_probability, format_size
from lcjax.reports.chart import Chart, Series
from lcjax.reports.forecasts import OVERLAID, SAME
from lcjax.reports.page import Attachment, Page
from lcjax.studies.report import Table

__all__ = ["comparison_page", "difference_table", "target_table"]

GRID = 64  # sizes of a line
_POSSIBLE = 0.3  # crossings of smaller probability are not marked
_PROBABILITY = Metric("probability", "maximize", (0.0, 1.0))
_RATIO = Metric("times the data")


def comparison_page(
    comparison: CurveComparison,
    result: Mapping[str, Any],
    *,
    title: str,
    metric: Metric = ERROR,
    unit: str = "examples",
    notes: Sequence[str] = (),
) -> Page:
    """Return the report of a comparison.

    Args:
        comparison: the comparison.
        result: its summary, from `lcjax.studies.comparison.summary.summarize_comparison`.
        title: title of the page.
        metric: metric of the curves.
        unit: what a size counts, in the plural.
        notes: what was inferred about the data, one sentence each.

    Examples:
        >>> import jax, lcjax as lc
        >>> from lcjax.studies.comparison.summary import summarize_comparison
        >>> size = np.array([100.0, 200.0, 400.0, 800.0])
        >>> curves = {"a": lc.LearningCurve(size, size**-0.5), "b": lc.LearningCurve(size, 2 * size**-0.5)}
        >>> comparison = lc.compare_curves(jax.random.key(0), curves, draws=64)
        >>> page = comparison_page(comparison, summarize_comparison(comparison), title="Comparison")
        >>> [chart.title for chart in page.charts][:2], page.attachment.text.split(",")[:2]
        (['Curves and forecasts', 'Difference of the error from that of "a" (below zero: better)'], ['curve', 'size'])
    """
    several = len(comparison.names) > 2
    lead, *sentences = result["sentences"][::-1] if several else result["sentences"]
    sentences = sentences[::-1] if several else sentences
    end = max(float(result["target_size"]), 2 * comparison.largest)
    grid = np.geomspace(comparison.start, end, GRID)
    others = [i for i in range(len(comparison.names)) if i != comparison.baseline][: OVERLAID - 1]
    charts = [
        _curves(comparison, grid, [comparison.baseline, *others], metric, unit),
        _difference(comparison, grid, others, metric, unit),
        _order(comparison, grid, others, unit),
        *_equivalent(comparison, grid, others, unit),
    ]
    tables = [difference_table(result, entry, metric, unit) for entry in result["comparisons"][: OVERLAID - 1]]
    tables += [table for table in (_crossings(result, unit),) if table.rows]
    if result["target"] is not None:
        tables.insert(0, target_table(result, metric, unit))
    caveats = [*notes, *_caveats(comparison, len(others))]
    attachment = Attachment("compare.csv", csv_text(_columns(result, metric)))
    return Page(title, lead, sentences, charts, caveats, tables, attachment)


def difference_table(result: Mapping[str, Any], entry: Mapping[str, Any], metric: Metric, unit: str) -> Table:
    """Return the differences of one curve from the baseline, a row for each size.

    Args:
        result: summary of the comparison.
        entry: the part of the summary on this curve.
        metric: metric of the curves.
        unit: what a size counts, in the plural.
    """
    rows, equal = [], entry["data_equivalent"]
    for i, size in enumerate(entry["size"]):
        rows.append([
            format_size(size) if size <= result["now"] * (1 + 1e-6) else f"{format_size(size)} *",
            format_number(entry["difference"][i], "+.3g"),
            f"{format_number(entry['low'][i], '+.3g')} to {format_number(entry['high'][i], '+.3g')}",
            format_probability(entry["probability_better"][i]),
            format_probability(entry["probability_of_reversal"][i]),
            ("<= " if equal["at_smallest"][i] else "") + format_number(equal["value"][i]),
        ])  # fmt: skip
    columns = [unit, metric.name, f"{100 * result['level']:g} %", "better", "reversed", "times the data"]
    return Table(f"{entry['curve']} minus {result['baseline']} (* forecast)", columns, rows)


def target_table(result: Mapping[str, Any], metric: Metric, unit: str) -> Table:
    """Return the sizes at which the curves reach the target, a row for each curve.

    Args:
        result: summary of the comparison, with a target.
        metric: metric of the curves.
        unit: what a size counts, in the plural.
    """
    whole, rows = are_counts(size for curve in result["curves"] for size in curve["size"]), []
    for name, entry in result["target"]["curves"].items():
        size = entry["size"]
        value = "never" if size["value"] is None else format_size(size["value"], whole=whole)
        own = ["", ""] if name == result["baseline"] else [
            format_probability(entry["probability_of_fewer"]), _describe_saving(entry["saved"])
        ]  # fmt: skip
        rows.append([name, value, _describe_limits(size, whole=whole), format_probability(size["never"]), *own])
    base = result["baseline"]
    columns = ["curve", unit, f"{100 * result['level']:g} %", "never", f"P(fewer than {base})", f"fewer than {base}"]
    target = f"{metric.name} {result['target'][metric.name]:g}"
    return Table(f"{unit[0].upper()}{unit[1:]} for {target}", columns, rows)


def _describe_limits(answer: Mapping[str, Any], *, whole: bool) -> str:
    low, high = answer["low"], answer["high"]
    if low is None or low != low:
        return "never"
    lower = format_size(low, whole=whole)
    return f"{lower} or more" if high is None else f"{lower} to {format_size(high, whole=whole)}"


def _describe_saving(answer: Mapping[str, float]) -> str:
    value, low, high = (answer[key] for key in ("value", "low", "high"))
    if not np.isfinite(value):
        return "–"
    lower, upper = (format_number(x, ",.0f") if np.isfinite(x) else "" for x in (low, high))
    limits = f"{lower} to {upper}" if lower and upper else f"{lower} or more" if lower else f"{upper} or less"
    return f"{format_number(value, ',.0f')} ({limits if lower or upper else 'no limits'})"


def _crossings(result: Mapping[str, Any], unit: str) -> Table:
    rows = [
        [
            one["better_before"],
            entry["curve"] if one["better_before"] == result["baseline"] else result["baseline"],
            f"{format_size(one['start'])} to {format_size(one['end'])}",
            format_probability(one["probability"]),
            format_size(one["size"]),
            f"{format_size(one['low'])} to {format_size(one['high'])}",
        ]
        for entry in result["comparisons"]
        for one in entry["crossings"]
    ]
    interval = f"{100 * result['level']:g} % interval"
    columns = ["better before", "better after", f"range of {unit}", "probability", "if so, at", interval]
    return Table("Crossings", columns, rows)


def _curves(
    comparison: CurveComparison, grid: Float[np.ndarray, " g"], shown: Sequence[int], metric: Metric, unit: str
) -> Chart:
    """Return the measured curves, and their forecasts with intervals."""
    tail = 0.5 - comparison.level / 2
    low, middle, high = np.quantile(comparison.draws(grid), [tail, 0.5, 1 - tail], axis=1)
    size, error = np.asarray(comparison.curves.size, float), np.asarray(comparison.curves.error, float)
    bands, marks = list[Series](), list[Series]()
    for place, i in enumerate(shown):
        role, name = f"method-{place}", comparison.names[i]
        label = f"{name}, {100 * comparison.level:g} % interval"
        bands.append(Series(label, "band", role, grid, metric.from_error(low[i]), metric.from_error(high[i])))
        there = ~np.isnan(error[i])
        marks.append(Series(name, "points", role, size[there], metric.from_error(error[i][there])))
        marks.append(Series(name, "line", role, grid, metric.from_error(middle[i])))
    visible = np.concatenate([error[list(shown)].ravel(), middle[list(shown)].ravel()])
    visible = visible[visible > 0]
    limits = sorted(float(metric.from_error(bound)) for bound in (visible.min() / 1.3, 1.2 * visible.max()))
    names = ", ".join(comparison.names[i] for i in shown)
    description = f"{metric.name} against training {unit}, measured (points) and forecast (lines, bands), of {names}."
    return Chart("Curves and forecasts", description, metric, unit, [*bands, *marks], (limits[0], limits[1]))


def _difference(
    comparison: CurveComparison, grid: Float[np.ndarray, " g"], others: Sequence[int], metric: Metric, unit: str
) -> Chart:
    """Return differences from the baseline with intervals, measured and forecast, and crossings."""
    found, measured, base = comparison.difference(grid), comparison.measured, comparison.names[comparison.baseline]
    level = f"{100 * comparison.level:g} % interval"
    zero = Series(f"{base}: no difference", "line", "target", grid[[0, -1]], np.zeros(2))
    bands, marks, values = [zero], list[Series](), [np.zeros(1)]
    for place, i in enumerate(others, 1):
        role, name = f"method-{place}", comparison.names[i]
        value, low, high = _in_metric(comparison, grid, _parts(found, i), metric)
        bands.append(Series(f"{name}, {level}", "band", role, grid, low, high))
        there = ~np.isnan(measured.value[i]) & (measured.size >= comparison.start * (1 - 1e-5))
        size = np.asarray(measured.size, float)[there]
        at, bottom, top = _in_metric(comparison, size, _parts(measured, i)[:, there], metric)
        marks.append(Series(name, "points", role, size, at))
        if np.isfinite(bottom).any():
            marks.append(Series(f"{name}, {level} of repeats", "bars", role, size, bottom, top))
        marks.append(Series(name, "line", role, grid, value))
        values += [value, at, bottom, top, low[:1], high[:1], low[-1:], high[-1:]]
        crossings = comparison.crossings(i, comparison.baseline, end=float(grid[-1]))
        for k in np.flatnonzero(crossings.probability >= _POSSIBLE):
            span = np.array([crossings.low[k], crossings.high[k]], float)
            marks.append(Series(f"crossing with {name}", "line", "answer-range", span, np.zeros(2)))
            marks.append(Series(f"crossing with {name}", "points", "answer-point", crossings.size[[k]], np.zeros(1)))
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    better = "above" if metric.rises else "below"
    title = f'Difference of the {metric.name} from that of "{base}" ({better} zero: better)'
    description = f"{title}, against training {unit}, measured (points) and forecast (lines, bands)."
    difference = Metric(f"difference of the {metric.name}", unit=metric.unit)
    limits = (float(finite.min()), float(finite.max()))
    return Chart(title, description, difference, unit, [*bands, *marks], limits)


def _in_metric(
    comparison: CurveComparison, size: Float[np.ndarray, " s"], parts: Float[np.ndarray, "3 s"], metric: Metric
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a difference of errors at some sizes and its limits in the metric."""
    base = np.median(comparison.draws(size)[comparison.baseline], axis=0) if size.size else np.zeros(0)
    return metric_difference(np.asarray(base, float), parts[0], parts[1], parts[2], metric)


def _parts(found: Any, i: int) -> Float[np.ndarray, "3 s"]:
    return np.stack([np.asarray(getattr(found, name)[i], float) for name in ("value", "low", "high")])


def _order(comparison: CurveComparison, grid: Float[np.ndarray, " g"], others: Sequence[int], unit: str) -> Chart:
    """Return the probability of being better than the baseline, or of being the best of all."""
    base = comparison.names[comparison.baseline]
    if len(comparison.names) == 2:
        rows, title = comparison.probability_of_order(grid)[:, comparison.baseline], f'Better than "{base}"'
        shown, first = list(others), 1
    else:
        rows, title = comparison.probability_best(grid), "Best of all"
        shown, first = [comparison.baseline, *others], 0
    series = [Series(comparison.names[i], "line", f"method-{k}", grid, rows[i]) for k, i in enumerate(shown, first)]
    text = ", ".join(f"{comparison.names[i]} {format_probability(rows[i, -1])}" for i in shown)
    description = f"Probability against training {unit}; at {format_size(grid[-1])}: {text}."
    return Chart(f"Probability: {title[0].lower()}{title[1:]}", description, _PROBABILITY, unit, series, (0.0, 1.0))


def _equivalent(
    comparison: CurveComparison, grid: Float[np.ndarray, " g"], others: Sequence[int], unit: str
) -> list[Chart]:
    """Return the data that each curve needs, relative to the baseline, for the same error."""
    base, series, values = comparison.names[comparison.baseline], list[Series](), [np.ones(1)]
    sizes = grid[::2]
    for place, i in enumerate(others, 1):
        answer = comparison.data_equivalent(sizes, i)
        low, value, high = (np.asarray(part, float) / sizes for part in (answer.low, answer.value, answer.high))
        there = np.isfinite(value)
        if answer.smallest is not None:  # below the measured sizes only a bound is known
            there &= np.asarray(answer.value, float) > np.asarray(answer.smallest, float) * (1 + 1e-5)
        if not there.any():
            continue
        name, role = comparison.names[i], f"method-{place}"
        top = np.where(np.isfinite(high), high, 1e3 * value[there].max())  # open intervals leave the figure
        series.append(
            Series(f"{name}, {100 * comparison.level:g} % interval", "band", role, sizes[there], low[there], top[there])
        )
        series.append(Series(name, "line", role, sizes[there], value[there]))
        values.append(value[there])
    if not series:
        return []
    same = Series(f"{base}: once the data", "line", "target", grid[[0, -1]], np.ones(2))
    finite = np.concatenate(values)
    title = f'Data that equal those of "{base}"'
    description = f'Training {unit} with which a curve equals "{base}", relative to those of "{base}".'
    limits = (float(finite.min()) / 1.5, float(finite.max()) * 1.5)
    return [Chart(title, description, _RATIO, unit, [same, *series], limits)]


def _caveats(comparison: CurveComparison, shown: int) -> list[str]:
    caveats = [SAME]
    if comparison.curves.replicates is None:
        caveats.append(
            "There is one training at each size, so the noise of the curves is estimated from the fits alone."
        )
    elif not comparison.measured.paired:
        caveats.append(
            "Repeats are not paired. If those with the same number share seed and examples, --paired is more precise."
        )
    caveats.append(
        "Differences at measured sizes with repeats are those of t intervals; all others, and all probabilities, are "
        "from joint draws of the forecasts, whose dependence was estimated on other data (LCDB 1.1)."
    )
    if shown < len(comparison.names) - 1:
        caveats.append(f"The first {shown} of {len(comparison.names) - 1} comparisons are shown; compare.json has all.")
    return caveats


def _columns(result: Mapping[str, Any], metric: Metric) -> dict[str, list[object]]:
    """Return the differences as columns, a row for each curve and size."""
    entries = result["comparisons"]
    columns: dict[str, list[object]] = {"curve": [], "size": [], "baseline": []}
    for entry in entries:
        count = len(entry["size"])
        columns["curve"] += [entry["curve"]] * count
        columns["size"] += [float(size) for size in entry["size"]]
        columns["baseline"] += [result["baseline"]] * count
    for name, field in ((f"difference_of_{metric.name}", "difference"), ("low", "low"), ("high", "high"),
                        ("probability_better", "probability_better"),
                        ("probability_of_reversal", "probability_of_reversal")):  # fmt: skip
        columns[name] = [float(value) for entry in entries for value in entry[field]]
    columns["times_the_data"] = [float(value) for entry in entries for value in entry["data_equivalent"]["value"]]
    columns["level"] = [result["level"]] * len(columns["size"])
    return columns
