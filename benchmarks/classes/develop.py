"""Development of the pooling on the even data sets of LCDB: learners of one kind on one data set inform each other."""

import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np

import lcjax as lc
from benchmarks.forecast.comparison import clustered_mean
from benchmarks.forecast.sources import lcdb_cases
from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.pooling import Pooling, pool_forecasts

__all__ = ["develop"]

SIZES, FEWEST, EVERY = 5, 4, 4  # fitted sizes of a curve, curves of a pool, step among held-out sizes
POWERS, COUNTS, SHARES = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0), (4.0,), (0.025, 0.05, 0.1, 0.25, 0.5)


def develop(folder: Path, *, sets: int, draws: int) -> dict[str, Any]:
    """Return the held-out scores of separate and of pooled forecasts over a grid of settings.

    A curve is fitted at five sizes, each twice as large as the one before, up to an eighth of its largest size.

    Args:
        folder: folder of LCDB.
        sets: number of data sets.
        draws: draws of each forecast.
    """
    pools = _pools(folder, sets, draws)
    separate = np.array([_score(one, size, error, cut) for _, one, size, error, cut in pools])
    cluster = np.array([pool[0] for pool in pools])
    rows = []
    for power, count, share in itertools.product(POWERS, COUNTS, SHARES):
        pooling = Pooling(power, count, share)
        scores = np.array(
            [_score(pool_forecasts(one, pooling=pooling), size, error, cut) for _, one, size, error, cut in pools]
        )
        gain = clustered_mean(scores[:, 0] - separate[:, 0], cluster)
        mean = dict(zip(("log_score", "coverage", "log_width"), scores.mean(axis=0).tolist(), strict=True))
        rows.append({**vars(pooling), **mean, "log_score_pooled_minus_separate": vars(gain)})
    names = ("log_score", "coverage", "log_width")
    return {
        "pools": len(pools),
        "curves": int(sum(pool[1].deviate.shape[0] for pool in pools)),
        "separate": dict(zip(names, separate.mean(axis=0).tolist(), strict=True)),
        "pooled": rows,
    }


def _pools(folder: Path, sets: int, draws: int) -> list[tuple[str, Forecast, np.ndarray, np.ndarray, float]]:
    """Return data set, forecast, held-out sizes and errors, and largest fitted size of each pool."""
    cases = lcdb_cases(folder, half="even", curves=10**9, divisors=(8,))
    pools: list[tuple[str, Forecast, np.ndarray, np.ndarray, float]] = []
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
                held_size, held_error = (
                    values[rows[own]][:, ::EVERY] for values in (cases.held_size, cases.held_error)
                )
                pools.append((str(name), ahead, held_size, held_error, cut))
        used += 1
        print(f"{used} of {sets} data sets", flush=True)
        if used == sets:
            break
    return pools


def _score(one: Forecast, size: np.ndarray, error: np.ndarray, cut: float) -> np.ndarray:
    """Return the mean log score, the coverage of the 90 % intervals and the mean log ratio of their ends."""
    there = ~np.isnan(error)
    at, value = np.where(there, size, 2 * cut), np.where(there, np.maximum(error, 1e-4), 0.5)
    density = np.asarray(one.log_density(at, value), float) + np.log(value)
    low, high = (np.asarray(limit, float) for limit in one.interval(at, 0.9))
    inside = (value >= low) & (value <= high)
    return np.array([density[there].mean(), inside[there].mean(), np.log(high / low)[there].mean()])
