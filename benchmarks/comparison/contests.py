"""Contests of learners on one data set of LCDB 1.1: curves up to a cut, and what is measured beyond it."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from benchmarks.forecast.sources import FAMILIES, FEWEST
from lcjax.curves.learning_curve import LearningCurve
from lcjax.files import require_folder

__all__ = ["DIVISORS", "Contest", "read_contests", "stack_curves"]

DIVISORS = (2, 4)
"""The curves are cut at the largest size of the data set divided by these."""

_VALIDATION, _STEP = 1, 1e-4
_HALVES = {"even": 0, "odd": 1}


@dataclasses.dataclass(frozen=True)
class Contest:
    """Learners on one data set, measured up to the same size and cut at the same part of it.

    Attributes:
        data_set: number of the data set.
        divisor: largest size divided by the cut.
        learners: names of the c learners.
        size: sizes up to the cut, `(s,)`.
        error: errors at these sizes, `(c, s)`; nan where absent.
        held_size: sizes beyond the cut, `(m,)`.
        held_error: errors there, `(c, m)`.
    """

    data_set: int
    divisor: int
    learners: tuple[str, ...]
    size: Float[np.ndarray, " s"]
    error: Float[np.ndarray, "c s"]
    held_size: Float[np.ndarray, " m"]
    held_error: Float[np.ndarray, "c m"]

    @property
    def cut(self) -> float:
        """Largest fitted size."""
        return float(self.size[-1])

    def curves(self) -> LearningCurve:
        """Return the fitted parts."""
        return LearningCurve(self.size, self.error)


def read_contests(
    folder: Path, *, half: str, learners: int = 8, divisors: Sequence[int] = DIVISORS, data_sets: int | None = None
) -> Iterator[Contest]:
    """Yield the contests of one half of the data sets, in a fixed random order of the data sets.

    Of the learners measured up to the largest size of a data set, a fixed random sample is compared, without
    DummyClassifier, as far as six sizes up to the cut, the cut among them, were measured.

    Args:
        folder: folder with `lcdb11_meta.json` and `lcdb11_error_rate.npz`.
        half: data sets with "even" or "odd" numbers.
        learners: number of learners on each data set.
        divisors: see `DIVISORS`.
        data_sets: number of data sets, a random sample; all by default.
    """
    meta = json.loads((require_folder(folder) / "lcdb11_meta.json").read_text())
    packed = np.load(folder / "lcdb11_error_rate.npz")["er"][_HALVES[half] :: 2, :, 0, :, _VALIDATION]
    size, names = np.asarray(meta["anchors"], float), np.asarray(meta["learners"])
    known = {name for group in FAMILIES.values() for name in group}
    used = np.array([name in known for name in names])
    for i in np.random.default_rng(0).permutation(len(packed))[:data_sets].tolist():
        raw, rng = packed[i], np.random.default_rng(i)
        error = np.where(raw < 0, np.nan, raw * _STEP)
        largest = np.max(np.where(np.isnan(error), 0.0, size), axis=1)
        complete = np.flatnonzero(used & (largest == largest.max()))
        chosen = np.sort(rng.permutation(complete)[:learners])
        for divisor in divisors:
            fitted = size <= largest.max() / divisor * (1 + 1e-9)
            held = ~fitted & (size <= largest.max())
            part = error[chosen][:, fitted]
            enough = (np.sum(~np.isnan(part), axis=1) >= FEWEST) & ~np.isnan(part[:, -1:]).any(axis=1)
            rows = chosen[enough]
            if len(rows) < 2:
                continue
            yield Contest(
                2 * i + _HALVES[half], divisor, tuple(names[rows].tolist()), size[fitted], error[rows][:, fitted],
                size[held], error[rows][:, held],
            )  # fmt: skip


def stack_curves(contests: Sequence[Contest]) -> LearningCurve:
    """Return the curves of several contests as one batch, padded with nan, so that one call forecasts them all."""
    width = max(len(contest.size) for contest in contests)
    sizes, errors = [], []
    for contest in contests:
        pad = width - len(contest.size)
        errors.append(np.pad(contest.error, ((0, 0), (0, pad)), constant_values=np.nan))
        sizes.append(np.tile(np.pad(contest.size, (0, pad), constant_values=1.0), (len(contest.error), 1)))
    return LearningCurve(np.concatenate(sizes).astype(np.float32), np.concatenate(errors).astype(np.float32))
