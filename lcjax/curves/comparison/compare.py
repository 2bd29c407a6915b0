"""Comparison of learning curves that were measured, or of their forecasts."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from lcjax.curves.answer.plausibility import warn_of_rise
from lcjax.curves.comparison.curve_comparison import CurveComparison
from lcjax.curves.comparison.dependence import correlate, noise_correlation, pair_draws, pool_falls, weigh_crossings
from lcjax.curves.comparison.measured import align_curves, measure_differences
from lcjax.curves.forecast.families import FAMILIES, Family
from lcjax.curves.forecast.forecast import Forecast, forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.readers.holders import CurveSource, HasCurve, common_metric, name_curves
from lcjax.typing import KeyArray, check_key

__all__ = ["compare_curves", "compare_forecasts"]

# Joint draws for each draw of a forecast, and the multiples of the largest size at which draws are ranked.
_ROUNDS, _RANKED = 4, 2.0 ** (np.arange(1, 9) / 4)
_FALL = 4.0  # multiple of the largest size up to which forecast falls are compared
_MOST = 64  # curves, of which each pair has its own weights
_UNITS = 20.0  # a factor by which the errors of curves in one unit do not differ


def compare_curves(
    key: KeyArray,
    curves: Mapping[str, CurveSource] | HasCurve,
    *,
    baseline: str | None = None,
    paired: bool = False,
    families: Sequence[Family] = FAMILIES,
    chance: float | None = None,
    allow_rising: bool = False,
    draws: int = 512,
    level: float = 0.9,
) -> CurveComparison:
    """Compare learning curves of several models, recipes or data sets, at measured sizes and beyond.

    All answers are computed from joint draws of the forecasts of the curves (`lcjax.forecast`).

    Args:
        key: a typed key.
        curves: two or more curves by name, each with sizes and errors `(s,)`, and replicates `(r, s)` if there are.
            Sizes may differ, but each curve must begin before every other one ends. The measurements of `lcjax.collect`
            or a table of `lcjax.read_curves` may take the place of a curve, and a table with names that of all.
        baseline: name of the curve with which the others are compared; by default the first.
        paired: True if repeats of the same number correspond to each other in all curves, such as trainings with the
            same seed on the same shard.
        families: families of curves to average, as in `lcjax.forecast`.
        chance: chance error, an upper limit of every forecast.
        allow_rising: True for errors that may rise with size, which are otherwise warned of, as by `lcjax.forecast`.
        draws: number of draws of each forecast, static.
        level: probability of all intervals.

    Returns:
        `CurveComparison` of c curves, in the order of `curves`. Its sentences are in the metric of the collections or
        the table.

    Raises:
        ValueError: there are fewer than two curves or more than 64, one has fewer than two sizes, two do not overlap or
            have errors in different units or metrics, the baseline is unknown, or an argument is out of range.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** jnp.arange(6)
        >>> curves = {"scratch": lc.LearningCurve(size, 2 * size**-0.4), "tuned": lc.LearningCurve(size, size**-0.4)}
        >>> comparison = lc.compare_curves(jax.random.key(0), curves, draws=256)
        >>> bool(comparison.probability_best([12800.0])[1, 0] > 0.95)
        True
        >>> equal = comparison.data_equivalent([3200.0], "tuned")  # 0.5 ** (1 / 0.4) = 0.18 of the data
        >>> bool(abs(equal.value[0] / 3200 - 0.18) < 0.02)
        True
    """
    check_key(key)
    metric = common_metric(curves if isinstance(curves, Mapping) else {"": curves})
    named = name_curves(curves)
    aligned = _check_curves(named, baseline, level)
    forecast_key, pair_key = jax.random.split(key)
    if not allow_rising:
        warn_of_rise(np.asarray(aligned.size), np.asarray(aligned.error), stacklevel=2)
    batch = _as_batch(aligned)
    ahead = forecast(forecast_key, batch, families=families, chance=chance, allow_rising=True, draws=draws)
    names = tuple(named)
    first = 0 if baseline is None else names.index(baseline)
    found = compare_forecasts(pair_key, ahead, aligned, names=names, baseline=first, paired=paired, level=level)
    return found if metric is None else dataclasses.replace(found, metric=metric)


def compare_forecasts(
    key: KeyArray,
    forecast: Forecast,
    curves: LearningCurve,
    *,
    names: Sequence[str],
    baseline: int = 0,
    paired: bool = False,
    level: float = 0.9,
    dependent: bool = True,
) -> CurveComparison:
    """Compare learning curves by forecasts made before.

    Args:
        key: a typed key.
        forecast: forecasts of the curves, of batch shape `(c,)`.
        curves: the measured curves with sizes `(s,)` common to all, errors `(c, s)` and nan where absent.
        names: names of the curves.
        baseline: index of the curve with which the others are compared.
        paired: as in `compare_curves`.
        level: probability of all intervals.
        dependent: False to treat the forecasts as independent, for comparison.

    Returns:
        `CurveComparison` of c curves.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> size = 100.0 * 2.0 ** np.arange(5)
        >>> curves = lc.LearningCurve(size, np.stack([size**-0.5, 2 * size**-0.5]))
        >>> ahead = lc.forecast(jax.random.key(0), curves, draws=128)
        >>> comparison = compare_forecasts(jax.random.key(1), ahead, curves, names=("a", "b"))
        >>> comparison.order_now().tolist()
        [[0.0, 1.0], [-1.0, 0.0]]
    """
    check_key(key)
    size, error = np.asarray(curves.size, float), np.asarray(curves.error, float)
    largest = np.asarray(forecast.largest, float)
    now, end = float(largest.min()), float(largest.max())
    log_error = np.log(np.asarray(forecast.predict_draws(np.concatenate([[now, _FALL * end], end * _RANKED]))))
    level_now, ahead = np.median(log_error[..., 0], axis=1), np.median(log_error[..., 1], axis=1)
    repeats = np.asarray(curves.replicates, float) if paired and curves.replicates is not None else None
    shared = noise_correlation(size, error, repeats)
    count = len(names)
    correlation = correlate(level_now, ahead - level_now, shared) if dependent else np.eye(count)
    pooling = pool_falls(level_now) if dependent else np.zeros((count, count))
    ranked = log_error[..., 2:]
    low, middle, high = np.quantile(ranked, [0.25, 0.5, 0.75], axis=1)
    score = np.mean((ranked - middle[:, None]) / (high - low + 1e-9)[:, None], axis=-1).astype(ranked.dtype)
    place = pair_draws(key, score, correlation, rounds=_ROUNDS)
    measured = measure_differences(curves, baseline=baseline, paired=paired, level=level)
    weight = np.ones((count, count, place.shape[1]), log_error.dtype)
    comparison = CurveComparison(
        forecast, curves, measured, place, pooling, weight, correlation, tuple(names), baseline, level
    )
    if not dependent:
        return comparison
    order, ahead_draws = comparison.order_now(), comparison.draws(end * _RANKED)
    return dataclasses.replace(comparison, weight=weigh_crossings(ahead_draws, order))


def _as_batch(aligned: LearningCurve) -> LearningCurve:
    """Return aligned curves in JAX's default precision, for a forecast."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    replicates = None if aligned.replicates is None else np.asarray(aligned.replicates, dtype)
    stated = None if aligned.sampling_error is None else np.asarray(aligned.sampling_error, dtype)
    return LearningCurve(
        np.asarray(aligned.size, dtype), np.asarray(aligned.error, dtype), None, replicates, None, aligned.test_count,
        stated,
    )  # fmt: skip


def _check_curves(curves: Mapping[str, LearningCurve], baseline: str | None, level: float) -> LearningCurve:
    """Align the curves, and raise ValueError unless they can be compared."""
    if len(curves) < 2:
        raise ValueError(f"A comparison needs at least two curves, got {len(curves)}.")
    if len(curves) > _MOST:
        raise ValueError(f"At most {_MOST} curves are compared at once, got {len(curves)}: choose some of them.")
    if baseline is not None and baseline not in curves:
        raise ValueError(f"There is no curve {baseline!r} to be the baseline; the curves are {', '.join(curves)}.")
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, got {level}.")
    aligned = align_curves(list(curves.values()))
    error, there = np.asarray(aligned.error, float), ~np.isnan(np.asarray(aligned.error, float))
    names, size = list(curves), np.asarray(aligned.size, float)
    for name, row in zip(names, there, strict=True):
        if row.sum() < 2:
            raise ValueError(f"The curve {name!r} has one size; at least two are needed for a forecast.")
    first = np.array([size[row].min() for row in there])
    last = np.array([size[row].max() for row in there])
    i, j = int(first.argmax()), int(last.argmin())
    if first[i] > last[j]:
        raise ValueError(
            f"The curves {names[j]!r} ({first[j]:g} to {last[j]:g}) and {names[i]!r} ({first[i]:g} to {last[i]:g}) "
            "have no sizes in common: measure one of them at sizes of the other."
        )
    typical = np.array([np.median(row[~np.isnan(row)]) for row in error])
    i, j = int(typical.argmax()), int(typical.argmin())
    if error[i][there[i]].max() > 1 >= error[j][there[j]].max() and typical[i] > _UNITS * typical[j]:
        raise ValueError(
            f"The errors of {names[i]!r} (median {typical[i]:.3g}) and {names[j]!r} (median {typical[j]:.3g}) look "
            "like percentages and fractions: use one unit."
        )
    return aligned
