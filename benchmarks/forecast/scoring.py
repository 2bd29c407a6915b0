"""Scores of a method at every held-out measurement, computed in parts from which an interrupted run resumes."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from benchmarks.forecast.cases import Cases
from benchmarks.forecast.predictive import Method, Predictive
from benchmarks.forecast.rules import crps_of_draws, interval_score, outside, rounded_log_density
from lcjax.files import atomic_path
from lcjax.typing import KeyArray

__all__ = ["LEVELS", "METRICS", "Scores", "score"]

LEVELS = (0.5, 0.8, 0.9)
"""Levels of the central intervals."""

METRICS = (
    *("log_error", "crps", "log_density", "log_density_of_error", "interval_score"),
    *(f"coverage_{100 * level:.0f}" for level in LEVELS),
)
"""Names of the columns of `Scores.means`."""

_LOWEST = -1e3  # log densities below this count as this, so that one point cannot make a mean infinite
_CHUNKS = {True: 256, False: 64}  # for batched methods, a program is compiled for this number of curves


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of one method at the held-out measurements of its cases; nan where there is none, or no forecast.

    Attributes:
        method: name of the method.
        cases: the cases.
        deviation: logarithm of forecast over measured error, `(b, m)`.
        crps: continuous ranked probability score of the log error, `(b, m)`.
        log_density: log density per unit of log error, `(b, m)`.
        interval_score: score of the 90 % interval in log error, `(b, m)`.
        inside: 1 for measurements inside the central interval of each level of `LEVELS`, else 0, `(b, m, 3)`.
        seconds: processor seconds per curve to fit and to forecast its held-out sizes, without compilation.
    """

    method: str
    cases: Cases
    deviation: Float[np.ndarray, "b m"]
    crps: Float[np.ndarray, "b m"]
    log_density: Float[np.ndarray, "b m"]
    interval_score: Float[np.ndarray, "b m"]
    inside: Float[np.ndarray, "b m l"]
    seconds: float

    @property
    def failed(self) -> int:
        """Return the number of cases without a finite forecast, which are missing from all means."""
        return int(np.sum(np.isnan(self.deviation).all(axis=1)))

    def means(self, points: Bool[np.ndarray, "b m"] | None = None) -> Float[np.ndarray, "b q"]:
        """Average the scores of each case over its held-out measurements, or over a selection of them.

        Args:
            points: measurements to average over.

        Returns:
            One column per name in `METRICS`: the log error is the root mean square of the deviations, the others are
            means; nan for cases without a selected measurement.
        """
        with np.errstate(invalid="ignore"):
            log_error = np.log(self.cases.held_error)
        values = [self.deviation**2, self.crps, self.log_density, self.log_density - log_error, self.interval_score]
        stacked = np.concatenate([np.stack(values, axis=-1), self.inside], axis=-1)
        there = ~np.isnan(self.deviation) if points is None else ~np.isnan(self.deviation) & points
        count = there.sum(axis=1)[:, None]
        total = np.where(there[..., None], stacked, 0.0).sum(axis=1)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return np.asarray(np.concatenate([np.sqrt(mean[:, :1]), mean[:, 1:]], axis=1))


def score(
    method: Method,
    cases: Cases,
    key: KeyArray,
    *,
    chunk: int | None = None,
    parts: Path | None = None,
    tag: str = "",
    progress: Callable[[str], None] | None = None,
) -> Scores:
    """Forecast all cases with one method, and score the forecasts at the held-out measurements.

    Args:
        method: the method.
        cases: the cases.
        key: typed key; part i uses `fold_in(key, i)`.
        chunk: largest number of cases in a part; by default 256, or 64 for a method that fits curves one by one. Parts
            have equal lengths, the last one wraps around.
        parts: folder in which the scores of each part are stored; those already there are not computed again.
        tag: version of the method, part of the stored scores' names.
        progress: receives a line after every part that was computed.

    Raises:
        ValueError: stored scores belong to other cases.
    """
    number = -(-len(cases) // (chunk or _CHUNKS[method.batched]))
    length = -(-len(cases) // number)
    start, computed, pieces = time.perf_counter(), 0, []
    for i in range(number):
        begin, count = i * length, min(length, len(cases) - i * length)
        identity = f"{cases.digest()} {begin} {length} {jax.random.key_data(key).tolist()} {tag}"
        path = parts / f"{_file_name(method.name, tag)}-{i:03d}.npz" if parts else None
        piece = _read(path, identity)
        if piece is None:
            rows = np.arange(begin, begin + length) % len(cases)
            piece = _score_part(method, cases.take(rows), jax.random.fold_in(key, i), warm_up=computed == 0)
            computed += 1
            if path is not None:
                with atomic_path(path) as temporary:
                    stored: dict[str, Any] = {**piece, "identity": identity, "tag": tag}
                    np.savez_compressed(temporary, **stored)
            if progress:
                left = (time.perf_counter() - start) / computed * (number - i - 1)
                progress(f"{method.name}: part {i + 1} of {number}, {left:.0f} s left")
        pieces.append({name: value[:count] for name, value in piece.items()})
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    seconds = float(np.mean(whole.pop("seconds")))
    return Scores(method.name, cases, **whole, seconds=seconds)


def _file_name(method: str, tag: str) -> str:
    return method.replace(":", ".") + (f"@{tag}" if tag else "")


def _read(path: Path | None, identity: str) -> dict[str, np.ndarray] | None:
    """Return stored scores, or None if there are none."""
    if path is None or not path.exists():
        return None
    with np.load(path) as file:
        stored = dict(file)
    if str(stored.pop("identity")) != identity:
        raise ValueError(f"{path} was computed for other cases or options; use another folder or remove its parts.")
    del stored["tag"]
    return stored


def _score_part(method: Method, cases: Cases, key: KeyArray, *, warm_up: bool) -> dict[str, np.ndarray]:
    """Score one part; a first part is preceded by a call that compiles, so that seconds exclude compilation."""
    size, error, step = cases.padded_sizes(), np.where(cases.present, cases.held_error, 1.0), cases.step
    if warm_up:
        first = cases if method.batched else cases.take(np.arange(1))
        method.fit(key, first.curves()).log_median(first.padded_sizes())
    begin = time.process_time()
    predictive = method.fit(key, cases.curves())
    median = predictive.log_median(size)
    seconds = (time.process_time() - begin) / len(cases)

    tails = np.array([0.5 + sign * level / 2 for sign in (-1, 1) for level in LEVELS])
    limits = predictive.log_quantile(size, tails)
    low, high = limits[..., : len(LEVELS)], limits[..., len(LEVELS) :]
    below, above = outside(low, high, error[..., None], step)
    scores = {
        "deviation": median - np.log(error),
        "crps": crps_of_draws(predictive.log_draws(size), np.log(error)),
        "log_density": np.maximum(_density(predictive, size, error, step), _LOWEST),
        "interval_score": interval_score(low[..., -1], high[..., -1], error, level=LEVELS[-1], step=step),
        "inside": ((below <= 0) & (above <= 0)).astype(float),
    }
    bad = np.any([~np.isfinite(value.reshape(*error.shape, -1)).all(axis=-1) for value in scores.values()], axis=0)
    present = cases.present & ~bad
    scores = {name: np.where(_like(present, value), value, np.nan) for name, value in scores.items()}
    return scores | {"seconds": np.full(len(cases), seconds)}


def _density(
    predictive: Predictive, size: Float[np.ndarray, "b m"], error: Float[np.ndarray, "b m"], step: float
) -> Float[np.ndarray, "b m"]:
    return rounded_log_density(lambda log_error: predictive.log_density(size, log_error), error, step)


def _like(mask: Bool[np.ndarray, "b m"], value: np.ndarray) -> np.ndarray:
    """Return the mask with as many axes as the value."""
    return mask.reshape(mask.shape + (1,) * (value.ndim - mask.ndim))
