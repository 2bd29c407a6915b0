"""Development of the pooling: on classes of other tasks, and on learners of one kind on the even data sets of LCDB."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import lcjax as lc
from benchmarks.forecast.comparison import clustered_mean
from benchmarks.forecast.sources import lcdb_cases
from lcjax.curves.forecast.families import FAMILIES
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.curves.pooling import Pooling, _compare, _resample, _weigh

__all__ = ["develop"]

SIZES, FEWEST, EVERY = 5, 4, 4  # fitted sizes of a curve, curves of a pool, step among held-out sizes of LCDB
SETTINGS = tuple(
    Pooling(power, degrees=degrees) for power, degrees in ((0.35, 2.0), (0.5, 2.0), (0.7, 2.0), (0.5, 4.0))
)
WIDTHS = (0.7, 0.8, 0.9, 1.0)
SCORES = ("log_score", "coverage", "log_width")


class _Pool(NamedTuple):
    """A pool of curves: data set, forecast, and held-out sizes `(b, s)` and errors of single trainings `(b, r, s)`."""

    data: str
    ahead: Forecast
    size: np.ndarray
    error: np.ndarray


def develop(folder: Path, runs: Sequence[Mapping[str, Any]], *, sets: int, draws: int) -> dict[str, Any]:
    """Return the held-out scores of separate and of pooled forecasts over a grid of settings, by source.

    A curve is fitted at five sizes, each twice as large as the one before, up to an eighth of its largest size. In
    `left_out` of a source, each data set is scored with the settings that have the best log score on the others.

    Args:
        folder: folder of LCDB.
        runs: pools of classes, from `measure_pools`.
        sets: number of data sets of LCDB.
        draws: draws of each forecast.
    """
    return {"classes": _develop(_class_pools(runs, draws)), "lcdb": _develop(_lcdb_pools(folder, sets, draws))}


def _develop(pools: list[_Pool]) -> dict[str, Any]:
    separate = np.array([_score(pool, pool.ahead) for pool in pools])
    cluster = np.array([pool.data for pool in pools])
    curves = np.array([pool.ahead.deviate.shape[0] for pool in pools])
    table = np.zeros((len(SETTINGS), len(WIDTHS), len(pools), len(SCORES)))
    for p, pool in enumerate(pools):
        compared = _compare(pool.ahead, FAMILIES)
        for i, setting in enumerate(SETTINGS):
            moved = _resample(pool.ahead, _weigh(*compared, setting))
            for j, width in enumerate(WIDTHS):
                one = dataclasses.replace(moved, width=np.full_like(moved.width, width))
                table[i, j, p] = _score(pool, one)
        print(f"{p + 1} of {len(pools)} pools", flush=True)
    rows = table.reshape(-1, len(pools), len(SCORES))
    every = [dataclasses.replace(setting, width=width) for setting in SETTINGS for width in WIDTHS]
    left_out = np.zeros((len(pools), len(SCORES)))
    for name in np.unique(cluster):
        own = cluster == name
        best = np.average(rows[:, ~own, 0], axis=1, weights=curves[~own]).argmax()
        left_out[own] = rows[best, own]
    return {
        "pools": len(pools),
        "curves": int(curves.sum()),
        "separate": _means(separate, curves),
        "left_out": _means(left_out, curves)
        | _gain(left_out, separate, cluster, curves)
        | {"coverage_of_each_pool": np.sort(left_out[:, 1]).round(3).tolist()},
        "pooled": [
            {"power": one.power, "degrees": one.degrees, "width": one.width}
            | _means(scores, curves)
            | _gain(scores, separate, cluster, curves)
            for one, scores in zip(every, rows, strict=True)
        ],
    }


def _means(scores: np.ndarray, curves: np.ndarray) -> dict[str, Any]:
    return dict(zip(SCORES, np.average(scores, axis=0, weights=curves).tolist(), strict=True))


def _gain(scores: np.ndarray, separate: np.ndarray, cluster: np.ndarray, curves: np.ndarray) -> dict[str, Any]:
    gain = clustered_mean(np.repeat(scores[:, 0] - separate[:, 0], curves), np.repeat(cluster, curves))
    return {"log_score_pooled_minus_separate": vars(gain)}


def _class_pools(runs: Sequence[Mapping[str, Any]], draws: int) -> list[_Pool]:
    """Forecast the pools of classes as `score` does."""
    pools = []
    for number, run in enumerate(runs):
        size, count = np.asarray(run["size"], float), np.asarray(run["classes"], float)
        errors = np.moveaxis(np.asarray(run["mistakes"], float) / count, -1, 0)
        sizes = np.tile(size, (len(count), 1))
        curve = curve_from_replicates(sizes[:, :SIZES], errors[:, :, :SIZES], test_count=count)
        ahead = lc.forecast(jax.random.fold_in(jax.random.key(2), number), curve, draws=draws, allow_rising=True)
        truth = np.maximum(errors[:, :, SIZES:], 0.5 / count[:, None, None])
        pools.append(_Pool(str(run["data"]), ahead, sizes[:, SIZES:], truth))
    return pools


def _lcdb_pools(folder: Path, sets: int, draws: int) -> list[_Pool]:
    """Forecast pools of learners of one kind on one data set."""
    cases = lcdb_cases(folder, half="even", curves=10**9, divisors=(8,))
    pools: list[_Pool] = []
    used = 0
    for name in np.random.default_rng(0).permutation(np.unique(cases.cluster)):
        rows = np.flatnonzero(cases.cluster == name)
        cut = float(np.bincount(cases.cut[rows].astype(int)).argmax())
        rows = rows[cases.cut[rows] == cut]
        wanted = np.log(cut) - np.log(2.0) * np.arange(SIZES - 1, -1, -1)
        place = np.abs(np.log(np.nan_to_num(cases.size[rows], nan=1e-9))[..., None] - wanted).argmin(axis=1)
        size, error = (np.take_along_axis(values[rows], place, axis=1) for values in (cases.size, cases.error))
        rows, size, error = (values[(error > 0).all(axis=1)] for values in (rows, size, error))
        if len(rows) < 2 * FEWEST or len(np.unique(size[0])) < SIZES:
            continue
        for kind in np.unique(cases.family[rows]):
            own = cases.family[rows] == kind
            if own.sum() >= FEWEST:
                key = jax.random.fold_in(jax.random.key(1), len(pools))
                ahead = lc.forecast(key, LearningCurve(size[own], error[own]), draws=draws, allow_rising=True)
                held, truth = (values[rows[own]][:, ::EVERY] for values in (cases.held_size, cases.held_error))
                there = ~np.isnan(truth)
                held, truth = np.where(there, held, 2 * cut), np.where(there, np.maximum(truth, 1e-4), np.nan)
                pools.append(_Pool(str(name), ahead, held, truth[:, None]))
        used += 1
        print(f"{used} of {sets} data sets", flush=True)
        if used == sets:
            break
    return pools


def _score(pool: _Pool, one: Forecast) -> np.ndarray:
    """Return the mean log score, the coverage of the 90 % intervals and the mean log ratio of their ends."""
    low, high = (np.asarray(limit, float)[:, None] for limit in one.interval(pool.size, 0.9))
    there = ~np.isnan(pool.error)
    value = np.where(there, pool.error, 0.5)
    curves, repeats, sizes = value.shape
    density = one.log_density(np.tile(pool.size, (1, repeats)), value.reshape(curves, -1))
    density = np.asarray(density, float).reshape(curves, repeats, sizes) + np.log(value)
    inside = (value >= low) & (value <= high)
    width = np.broadcast_to(np.log(high / low), value.shape)
    return np.array([values[there].mean() for values in (density, inside, width)])
