"""Collection problems: the early part of a measured curve, a target fixed from it, and the measurements beyond it."""

import dataclasses

import numpy as np
from jaxtyping import Float

from benchmarks.forecast.cases import Cases
from benchmarks.target_size.truth import whole_curves
from lcjax.curves.learning_curve import LearningCurve

__all__ = ["SHARES", "Problem", "make_problems"]

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Targets as shares of the geometric mean of the last three fitted errors, one for each problem, in turn."""

_LAST = 3


@dataclasses.dataclass(frozen=True)
class Problem:
    """One curve, of which the sizes up to a cut are measured, and the target.

    Attributes:
        name: learner and data set.
        cluster: data set, the unit of the bootstrap.
        size: all measured sizes, ascending, `(s,)`.
        error: errors there, `(s,)`.
        cut: index of the largest size at hand.
        target: target error.
    """

    name: str
    cluster: str
    size: Float[np.ndarray, " s"]
    error: Float[np.ndarray, " s"]
    cut: int
    target: float

    @property
    def pool(self) -> float:
        """Largest size that can be collected: the data set."""
        return float(self.size[-1])

    @property
    def is_reached(self) -> bool:
        """True if the measured error of the whole data set meets the target."""
        return bool(self.error[-1] <= self.target)

    @property
    def is_met(self) -> bool:
        """True if the error measured at the cut meets the target."""
        return bool(self.error[self.cut] <= self.target)

    def oracle(self) -> int:
        """Return the index of the smallest size beyond the cut whose measured error meets the target."""
        return self.cut + 1 + int(np.argmax(self.error[self.cut + 1 :] <= self.target))

    def curves(self, indices: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sizes and errors measured up to each of the indices, padded with nan to a width."""
        size, error = np.full((2, len(indices), width), np.nan)
        for row, index in enumerate(indices):
            size[row, : index + 1], error[row, : index + 1] = self.size[: index + 1], self.error[: index + 1]
        return size, error


def make_problems(cases: Cases) -> list[Problem]:
    """Make one problem of each case; the share of its target depends on its place alone."""
    sizes, errors = whole_curves(cases)
    place = np.random.default_rng(1).permutation(len(cases)) % len(SHARES)
    problems = []
    for i in range(len(cases)):
        there = ~np.isnan(errors[i])
        size, error = sizes[i][there], errors[i][there]
        cut = int(np.searchsorted(size, cases.cut[i] * (1 + 1e-9))) - 1
        last = np.exp(np.mean(np.log(error[max(cut + 1 - _LAST, 0) : cut + 1])))
        target = float(SHARES[place[i]] * last)
        problems.append(Problem(str(cases.name[i]), str(cases.cluster[i]), size, error, cut, target))
    return problems


def batch_of(states: list[tuple[Problem, int]]) -> LearningCurve:
    """Return the curves measured up to an index each, as a batch padded to the longest whole curve of all."""
    width = max(len(problem.size) for problem, _ in states)
    rows = [problem.curves([index], width) for problem, index in states]
    size, error = (np.concatenate(parts).astype(np.float32) for parts in zip(*rows, strict=True))
    return LearningCurve(size, error)
