"""Joint draws from the average over methods, from which every answer is computed."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float, Num

from lcjax.curves.answer.crossing import first_crossing, largest_rise, worst_from_here
from lcjax.curves.answer.joint_draws import JointDraws
from lcjax.curves.answer.next_size import expected_information
from lcjax.curves.learning_curve import LearningCurve
from lcjax.studies.prediction.answer.spread import TrainingSpread
from lcjax.studies.prediction.methods.points import Fit, Points
from lcjax.studies.prediction.scoring.discrepancy import Discrepancy
from lcjax.typing import Array

__all__ = ["AveragedDraws", "Mixture", "mix", "widen"]

DRAWS = 2000  # of the mixture
_EVERY = 4  # every fourth draw suffices for the expected information of a measurement


class Mixture(NamedTuple):
    """Draws of log error curves from the average over methods.

    Attributes:
        log_error: log errors at the sizes of a grid, `(k, t)`.
        level: log of the factor by which the examples at hand are harder or easier than the population in each draw,
            `(k,)`.
    """

    log_error: Float[np.ndarray, "k t"]
    level: Float[np.ndarray, " k"]


class AveragedDraws(JointDraws):
    """The average over methods as a forecast, with the answers of `JointDraws`.

    Args:
        measured: measured errors that the methods are fitted to.
        grid: sizes from the smallest measured one to the horizon of the search, `(t,)`, ascending.
        mixture: draws at these sizes.
        spread: spread of single trainings about the mean error.
        bound: upper limit of errors.
        examples: number of examples on which errors are measured.
    """

    def __init__(
        self,
        measured: LearningCurve,
        grid: Float[np.ndarray, " t"],
        mixture: Mixture,
        spread: TrainingSpread,
        *,
        bound: float,
        examples: int,
    ) -> None:
        self.measured = measured
        self.grid = grid
        self.log_error = np.minimum(mixture.log_error, np.log(bound) if bound else -np.inf)
        self.level = mixture.level
        self.spread = spread
        self.bound = bound
        self.examples = examples

    def at(self, size: Num[np.ndarray, " s"]) -> Float[np.ndarray, "k s"]:
        """Return the log errors of all draws at sizes within the grid, interpolated in logarithms."""
        x = np.log(np.asarray(size, float))
        return np.stack([np.interp(x, np.log(self.grid), row) for row in self.log_error])

    def _range(self) -> tuple[Array, Array]:
        size = np.asarray(self.measured.size, float)
        return np.asarray(size.min()), np.asarray(size.max())

    def _crossings(
        self,
        error: Num[Array, "..."] | float,
        *,
        share: float | None = None,
        repeats: float = 1.0,
        lasting: bool = False,
    ) -> Float[np.ndarray, " k"]:
        logs = self.log_error
        if share is not None:
            deviate = scipy.special.ndtri(share) / np.sqrt(repeats)
            logs = np.minimum(logs + deviate * self.spread.at(self.grid, len(logs)), np.log(self.bound))
        curve, target = np.exp(logs), np.full(len(logs), float(np.asarray(error)))
        if lasting:
            curve = worst_from_here(self.grid, curve, np.full(len(logs), self._range()[1]))
        return np.asarray(first_crossing(self.grid, curve, target))

    def _information(
        self, error: Num[Array, "..."] | float, sizes: Float[Array, " c"], repeats: tuple[int, ...]
    ) -> Float[np.ndarray, "c r"]:
        sizes, rows = np.asarray(sizes, float), slice(None, None, _EVERY)
        # A new training is tested on the same examples, so their factor is not part of what it measures.
        center = (self.at(sizes) - self.level[:, None])[rows]
        mean = np.exp(center)
        spread = self.spread.at(sizes, len(self.level))[rows]
        noise = np.hypot(spread, np.sqrt(np.maximum(1 - mean, 0) / (mean * self.examples)))
        level = (np.arange(len(center)) * 0.7548776662 + 0.5) % 1.0
        degrees, smallest = np.asarray(1e6), np.asarray(self._range()[0])
        rest = scipy.special.ndtri(level), degrees, self._crossings(error)[rows], smallest
        return np.asarray(expected_information(center, np.zeros_like(center), noise, *rest, repeats=repeats))

    def _rises(self) -> Float[np.ndarray, " k"]:
        inside = self.grid <= self._range()[1] * (1 + 1e-5)
        return np.asarray(largest_rise(np.exp(self.log_error[:, inside])))


def widen(
    draws: Float[np.ndarray, "k t"], log_ratio: Float[np.ndarray, " t"], discrepancy: Discrepancy
) -> Float[np.ndarray, "k t"]:
    """Add a discrepancy to draws, one deviate for each draw and all sizes."""
    level = (np.arange(len(draws)) * 0.6180339887 + 0.5) % 1.0
    deviate = scipy.special.stdtrit(discrepancy.degrees, np.clip(level, 1e-3, 1 - 1e-3))
    return np.asarray(draws + discrepancy.at(log_ratio) * deviate[:, None])


def mix(
    fits: Mapping[str, Fit],
    weights: Mapping[str, float],
    discrepancies: Mapping[str, Discrepancy],
    points: Points,
    grid: Float[np.ndarray, " t"],
    *,
    count: int = DRAWS,
) -> Mixture:
    """Draw log error curves from the mixture of methods, in proportion to their weights.

    The posterior draws of the forecast do not include the sampling of the examples, so they are multiplied by its
    common factor (`Points.level`). Inside the measured range every draw is one of the forecast, the measured curve
    smoothed within its noise, because the other methods should matter only beyond the data; the two parts of a draw are
    paired by rank of the error at the largest measured size.

    Args:
        fits: methods fitted to all sizes, "forecast" among them.
        weights: weights that sum to 1.
        discrepancies: discrepancy of each method.
        points: measured errors with their bootstrap draws.
        grid: sizes of the fits.
        count: number of draws.
    """
    log_ratio = np.log(grid / points.size.max())
    names = list(fits)
    share = np.array([weights[name] for name in names]) * count
    numbers = share.astype(int)
    numbers[np.argsort(numbers - share, kind="stable")[: count - numbers.sum()]] += 1
    parts, levels = [], []
    for name, number in zip(names, numbers.tolist(), strict=True):
        draws, place = fits[name].draws, np.arange(number)
        level = points.level[(place * 89) % len(points.level)]
        levels.append(level)
        if name == "forecast":
            parts.append(_represent(draws, log_ratio > 0, number) + level[:, None])
        else:
            parts.append(widen(draws[(place * 89) % len(draws)], log_ratio, discrepancies[name]))
    joint, level = np.concatenate(parts), np.concatenate(levels)
    inside = log_ratio <= 1e-5
    last = int(np.flatnonzero(inside)[-1])
    measured = _represent(fits["forecast"].draws, inside, count)[:, inside]
    order = np.argsort(joint[:, last] - level, kind="stable")
    joint[np.ix_(order, inside)] = measured[np.argsort(measured[:, -1], kind="stable")] + level[order, None]
    return Mixture(joint, level)


def _represent(draws: Float[np.ndarray, "k t"], columns: np.ndarray, number: int) -> Float[np.ndarray, "{number} t"]:
    """Return draws that represent the posterior, evenly spaced in the order of their errors at some sizes."""
    order = np.argsort(draws[:, columns].mean(axis=1), kind="stable")
    place = ((np.arange(number) + 0.5) / max(number, 1) * len(order)).astype(int)
    return np.asarray(draws[order[place]])
