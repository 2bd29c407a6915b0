"""Plain data of a comparison of learning curves, for tables and JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.comparison.curve_comparison import CurveComparison
from lcjax.curves.comparison.differences import metric_difference
from lcjax.curves.comparison.joint_curves import AHEAD
from lcjax.curves.metrics import ERROR, Metric
from lcjax.records import to_dict

__all__ = ["choose_sizes", "summarize_comparison"]

_MULTIPLES = (2.0, 4.0, 8.0, AHEAD)
_SHOWN = 8  # measured sizes


def choose_sizes(comparison: CurveComparison, target_size: float | None = None) -> Float[np.ndarray, " s"]:
    """Return the sizes of a table: up to eight measured by all curves, multiples of the largest, and the target size.

    Args:
        comparison: the comparison.
        target_size: size of interest, or None.

    Examples:
        >>> import jax, lcjax as lc
        >>> size = np.array([100.0, 200.0, 400.0])
        >>> curves = {"a": lc.LearningCurve(size, size**-0.5), "b": lc.LearningCurve(size, 2 * size**-0.5)}
        >>> choose_sizes(lc.compare_curves(jax.random.key(0), curves, draws=64), 1000.0).tolist()
        [100.0, 200.0, 400.0, 800.0, 1000.0, 1600.0, 3200.0, 6400.0]
    """
    common = comparison.curves.size[~np.isnan(comparison.curves.error).any(axis=0)]
    if len(common) > _SHOWN:
        common = common[np.unique(np.round(np.linspace(0, len(common) - 1, _SHOWN)).astype(int))]
    ahead = [comparison.largest * multiple for multiple in _MULTIPLES]
    extra = [comparison.now] if not len(common) else []
    return np.unique(np.asarray([*common, *extra, *ahead, *([] if target_size is None else [target_size])], float))


def summarize_comparison(
    comparison: CurveComparison,
    *,
    target_size: float | None = None,
    target_error: float | None = None,
    metric: Metric = ERROR,
    unit: str = "examples",
) -> dict[str, Any]:
    """Return a comparison as plain data for JSON, with intervals in place of draws.

    Args:
        comparison: the comparison.
        target_size: size for which the order is described; by default 16 times the largest measured one.
        target_error: error for which to compare the numbers of examples, or None.
        metric: metric in which differences are given.
        unit: what a size counts, in the plural.

    Raises:
        ValueError: the target size lies below `comparison.start`, or the target error is not positive.

    Examples:
        >>> import jax, lcjax as lc
        >>> size = np.array([100.0, 200.0, 400.0, 800.0])
        >>> curves = {"a": lc.LearningCurve(size, size**-0.5), "b": lc.LearningCurve(size, 2 * size**-0.5)}
        >>> result = summarize_comparison(lc.compare_curves(jax.random.key(0), curves, draws=64))
        >>> list(result), [entry["curve"] for entry in result["comparisons"]]
        (['curves', 'baseline', 'paired', 'level', 'now', 'target_size', 'best', 'comparisons', 'target', 'sentences'],
         ['b'])
    """
    size = choose_sizes(comparison, target_size)
    end = AHEAD * comparison.largest if target_size is None else float(target_size)
    last = max(AHEAD * comparison.largest, end)
    best = comparison.probability_best(size)
    base, names = comparison.baseline, comparison.names
    others = [i for i in range(len(names)) if i != base]
    order, turned = comparison.probability_of_order(size), comparison.probability_of_reversal(size)
    errors = np.median(comparison.draws(size), axis=1)
    difference = _differences(comparison, size, errors, metric)
    entries = [
        {
            "curve": names[i],
            "size": size,
            "measured": difference["measured"][i],
            "difference": difference["value"][i],
            "low": difference["low"][i],
            "high": difference["high"][i],
            "probability_better": order[i, base],
            "probability_of_reversal": turned[i, base],
            "crossings": _rows(comparison.crossings(i, base, end=last), names[i], names[base]),
            "data_equivalent": _sizes(comparison.data_equivalent(size, i), size),
            "examples_saved": _sizes(comparison.examples_saved(size, i), np.ones_like(size)),
        }
        for i in others
    ]
    return {
        "curves": [
            {
                "curve": name,
                "size": comparison.curves.size[~np.isnan(error)],
                metric.name: metric.from_error(error[~np.isnan(error)]),
            }
            for name, error in zip(names, np.asarray(comparison.curves.error, float), strict=True)
        ],
        "baseline": names[base],
        "paired": comparison.measured.paired,
        "level": comparison.level,
        "now": comparison.now,
        "target_size": end,
        "best": {"size": size, **{name: best[i] for i, name in enumerate(names)}},
        "comparisons": entries,
        "target": None if target_error is None else _target(comparison, target_error, metric),
        "sentences": comparison.sentences(end, metric=metric, unit=unit),
    }


def _differences(
    comparison: CurveComparison, size: Float[np.ndarray, " s"], errors: Float[np.ndarray, "c s"], metric: Metric
) -> dict[str, np.ndarray]:
    """Return the differences in the metric: from repeats by t intervals where there are, else from the joint draws."""
    found, measured = comparison.difference(size), comparison.measured
    value, low, high = (np.array(part, float) for part in (found.value, found.low, found.high))
    by_repeats = np.zeros(value.shape, bool)
    for column, one in enumerate(size):
        place = np.flatnonzero(np.isclose(measured.size, one, rtol=1e-9))
        if place.size:
            here = np.isfinite(measured.low[:, place[0]]) & (measured.count[:, place[0]] > 0)
            by_repeats[:, column] = here
            for part, source in ((value, measured.value), (low, measured.low), (high, measured.high)):
                part[:, column] = np.where(here, source[:, place[0]], part[:, column])
    value, low, high = metric_difference(errors[comparison.baseline], value, low, high, metric)
    return {"value": value, "low": low, "high": high, "measured": by_repeats}


def _rows(crossings: object, name: str, other: str) -> list[dict[str, object]]:
    """Return one dictionary for each crossing."""
    fields = {field: np.asarray(value) for field, value in vars(crossings).items() if field != "level"}
    return [
        {
            **{field: float(value[k]) for field, value in fields.items() if field != "first_better"},
            "better_before": name if fields["first_better"][k] else other,
        }
        for k in range(len(fields["size"]))
    ]


def _sizes(answer: SizeForError, unit: Float[np.ndarray, " s"]) -> Mapping[str, object]:
    """Return an answer divided by a unit, with infinite values as null, and True where the smallest size is enough."""
    fields = {name: np.asarray(getattr(answer, name), float) / unit for name in ("value", "low", "high")}
    found: dict[str, object] = {name: np.where(np.isinf(x), np.nan, x) for name, x in fields.items()}
    if answer.smallest is not None:
        found["at_smallest"] = np.asarray(answer.value) <= np.asarray(answer.smallest) * (1 + 1e-5)
    return {**found, "never": np.asarray(answer.never)}


def _target(comparison: CurveComparison, error: float, metric: Metric) -> dict[str, object]:
    """Return the sizes at which the curves reach an error, and what each saves in comparison with the baseline."""
    answer, fewer = comparison.sizes_for_error(error), comparison.probability_of_fewer(error)
    rows = {}
    for i, name in enumerate(comparison.names):
        fields = {field: np.asarray(np.asarray(value)[i]) for field, value in vars(answer).items() if field != "level"}
        saved = comparison.saving(error, i)
        rows[name] = {
            "size": to_dict(SizeForError(**fields, level=answer.level)),
            "probability_of_fewer": float(fewer[i, comparison.baseline]),
            "saved": {key: float(np.asarray(getattr(saved, key))) for key in ("value", "low", "high", "never")},
        }
    return {metric.name: float(metric.from_error(error)), "curves": rows}
