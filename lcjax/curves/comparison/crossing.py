"""Sizes at which two learning curves cross."""

import itertools

import jax
import numpy as np
from jaxtyping import Bool, Float

from lcjax.curves.answer.crossing import HORIZON
from lcjax.curves.comparison.joint_curves import AHEAD
from lcjax.curves.comparison.orders import OrderAnswers
from lcjax.records import record

__all__ = ["PER_OCTAVE", "CrossingAnswers", "Crossings", "divide", "find_windows", "smoothing_matrix", "window_grid"]

PER_OCTAVE = 8
"""Number of sizes per factor of two at which crossings are searched."""

# Standard deviation in log size of the normal weights of local lines that smooth a difference: three sizes.
_BANDWIDTH = 0.25
# Sizes before a window and beyond it that smoothing takes into account.
_CONTEXT = 6
# Scale of the deviations of a measured curve from a draw beyond its data, relative to the noise of a measurement.
_DEVIATION = 1.25
_MOST = 512  # sizes at which the order is computed
# An order is known where its probability is at least this; a window begins and ends where it is at least `_SURE`, or
# as high as it becomes.
_KNOWN, _SURE = 0.8, 0.995


@record
class Crossings:
    """Crossings of two curves, one for each of w ranges of sizes, in ascending order.

    Attributes:
        size: median size of the crossing, given that the curves cross in the range, `(w,)`; nan if no draw does.
        low: lower limit of the interval, given the same, `(w,)`.
        high: upper limit, `(w,)`.
        probability: probability that the curves cross in the range, `(w,)`.
        start: beginning of the range, `(w,)`.
        end: end of the range, `(w,)`.
        first_better: True if the first of the two curves is better before the crossing, `(w,)`.
        level: probability of the intervals.
    """

    size: Float[np.ndarray, " w"]
    low: Float[np.ndarray, " w"]
    high: Float[np.ndarray, " w"]
    probability: Float[np.ndarray, " w"]
    start: Float[np.ndarray, " w"]
    end: Float[np.ndarray, " w"]
    first_better: Bool[np.ndarray, " w"]
    level: float = jax.tree.static(default=0.9)


class CrossingAnswers(OrderAnswers):
    """Sizes at which two of the curves cross."""

    def smooth_draws(self, *, start: float, end: float) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, "c n g"]]:
        """Return the log errors of the curves in every joint draw as they would be measured and smoothed.

        Beyond its data, a draw deviates from its smooth curve by the noise of one measurement at eight sizes in an
        octave. Local lines with normal weights of width 0.25 in log size smooth the result.

        Args:
            start: smallest size.
            end: largest size.

        Returns:
            g sizes from `start` to `end`, and the smoothed log errors, `(c, n, g)`.

        Raises:
            ValueError: the range is empty, or begins below `start`.
        """
        if not self.start * (1 - 1e-5) <= start < end <= HORIZON * self.largest:
            raise ValueError(
                f"A range begins at {self.start:g} or later and ends at {HORIZON * self.largest:g} or earlier, got "
                f"{start:g} to {end:g}."
            )
        grid, inside = window_grid(start, end)
        there = grid >= self.start * (1 - 1e-5)
        grid, inside = grid[there], inside[there]
        log_error = np.log(self._joint(grid))
        noise = np.asarray(self.forecast.noise_level)[:, None] * _DEVIATION
        beyond = grid > np.asarray(self.forecast.largest, float)[:, None] * (1 + 1e-5)
        scale = np.where(beyond, noise, 0.0).astype(log_error.dtype)[:, None]
        deviation = np.random.default_rng(0).standard_normal(log_error.shape, log_error.dtype.type)
        matrix = smoothing_matrix(np.log(grid))[inside].astype(log_error.dtype)
        return grid[inside], (log_error + scale * deviation) @ matrix.T

    def crossing_draws(
        self, curve: int | str, other: int | str, *, start: float, end: float
    ) -> Float[np.ndarray, " n"]:
        """Return the size in a range at which a curve falls behind another one, in every joint draw.

        The crossing of two smoothed draws (`smooth_draws`) is the size that best divides those at which the curve is
        better from those at which it is worse (`lcjax.curves.comparison.crossing.divide`).

        Args:
            curve: name or index of the curve that is better first.
            other: name or index of the other one.
            start: beginning of the range.
            end: end of the range.

        Returns:
            Sizes, `(n,)`: `start` where the other curve is better from the beginning, inf where there is no crossing.

        Raises:
            ValueError: a name is unknown, or the range is empty or begins below `start`.
        """
        i, j = self._find(curve), self._find(other)
        size, log_error = self.smooth_draws(start=start, end=end)
        rows = self._rows(i, j)
        return np.asarray(np.exp(divide(np.log(size), log_error[j][rows] - log_error[i][rows])))

    def crossings(self, curve: int | str, other: int | str, *, end: float | None = None) -> Crossings:
        """Find where two curves cross, with intervals and probabilities.

        There is one range of sizes for each known change of the order, and one from the last known order to the end.

        Args:
            curve: name or index of the first curve.
            other: name or index of the other one.
            end: largest size; by default 16 times the largest measured one.

        Returns:
            `Crossings`, with no entry if the order is nowhere known with a probability of 0.8.

        Raises:
            ValueError: a name is unknown, or `end` is out of range.
        """
        i, j = self._find(curve), self._find(other)
        end = AHEAD * self.largest if end is None else float(end)
        if not self.start < end <= HORIZON * self.largest:
            raise ValueError(
                f"The end of the range must lie above {self.start:g} and at most at {HORIZON * self.largest:g}, got "
                f"{end:g}."
            )
        count = max(2, round(np.log2(end / self.start) * PER_OCTAVE) + 1)
        grid = np.geomspace(self.start, end, min(count, _MOST))
        rows = []
        windows = find_windows(self.probability_of_order(grid)[i, j])
        for low, high, first in windows:
            pair = (i, j) if first else (j, i)
            sizes = self.crossing_draws(*pair, start=float(grid[low]), end=float(grid[high]))
            rows.append((*self._summarize(sizes), grid[low], grid[high]))
        size, low_limit, high_limit, probability, begin, finish = np.array(rows).T.reshape(6, len(rows))
        first_better = np.array([first for *_, first in windows], bool)
        return Crossings(size, low_limit, high_limit, probability, begin, finish, first_better, self.level)

    def _summarize(self, sizes: Float[np.ndarray, " n"]) -> tuple[float, float, float, float]:
        """Return the median and the interval of the crossings in the draws that cross, and the share of these."""
        crossing = sizes[np.isfinite(sizes)]
        if not crossing.size:
            return np.nan, np.nan, np.nan, 0.0
        tail = 0.5 - self.level / 2
        low, high = np.quantile(crossing, tail, method="lower"), np.quantile(crossing, 1 - tail, method="higher")
        return float(np.median(crossing)), float(low), float(high), crossing.size / sizes.size


def divide(log_size: Float[np.ndarray, " g"], difference: Float[np.ndarray, "*b g"]) -> Float[np.ndarray, "*b"]:
    """Return the logarithm of the size that divides positive differences from later negative ones best.

    Of all divisions of the grid, it is the one with the largest sum of the differences before it minus that after it.
    If the difference changes its sign once, this is where; if several times, the change between the largest areas.

    Args:
        log_size: logarithms of sizes, ascending and evenly spaced.
        difference: differences at these sizes.

    Returns:
        `log_size[0]` if the difference is negative from the beginning, inf if no division is better than none.

    Examples:
        >>> size = np.arange(5.0)
        >>> rows = np.array([[2.0, 1.0, -1.0, -2.0, -3.0], [2.0, 1.0, -0.5, 1.0, 2.0], [-1.0, -1.0, 0.5, -2.0, -2.0]])
        >>> divide(size, rows).tolist()
        [1.5, inf, 0.0]
    """
    count = difference.shape[-1]
    gain = np.cumsum(np.pad(difference, [(0, 0)] * (difference.ndim - 1) + [(1, 0)]), axis=-1)
    kept = np.asarray(count - np.argmax(gain[..., ::-1], axis=-1))  # sizes before the division, the most of ties
    after = np.asarray(np.clip(kept, 1, count - 1))
    above, below = (np.take_along_axis(difference, place[..., None], axis=-1)[..., 0] for place in (after - 1, after))
    falls = above > below
    share = np.where(falls, np.clip(above / np.where(falls, above - below, 1.0), 0.0, 1.0), 1.0)
    place = log_size[after - 1] + share * (log_size[after] - log_size[after - 1])
    return np.where(kept == count, np.inf, np.where(kept == 0, log_size[0], place))


def window_grid(start: float, end: float) -> tuple[Float[np.ndarray, " g"], Bool[np.ndarray, " g"]]:
    """Return sizes from before the start of a window to its end, about eight in an octave, and True inside the window.

    Examples:
        >>> grid, inside = window_grid(100.0, 400.0)
        >>> len(grid), int(inside.sum()), bool(np.allclose(grid[inside][[0, -1]], [100.0, 400.0]))
        (23, 17, True)
    """
    count = max(2, round(np.log2(end / start) * PER_OCTAVE) + 1)
    step = np.log(end / start) / (count - 1)
    place = np.arange(-_CONTEXT, count)
    return np.exp(np.log(start) + step * place), place >= 0


def smoothing_matrix(log_size: Float[np.ndarray, " g"]) -> Float[np.ndarray, "g g"]:
    """Return the matrix that smooths values at some sizes by local lines, with normal weights of width 0.25.

    Args:
        log_size: logarithms of the sizes.

    Examples:
        >>> x = np.arange(6.0) / 8
        >>> bool(np.allclose(smoothing_matrix(x) @ (2 - 3 * x), 2 - 3 * x))
        True
    """
    apart = log_size[None, :] - log_size[:, None]
    weight = np.exp(-0.5 * (apart / _BANDWIDTH) ** 2)
    total, first, second = (np.sum(weight * apart**power, axis=1) for power in range(3))
    determinant = total * second - first**2
    alone = determinant < 1e-9  # no neighbor within reach of the weights
    local = weight * (second[:, None] - first[:, None] * apart) / np.where(alone, 1.0, determinant)[:, None]
    return np.where(alone[:, None], np.eye(len(log_size)), local)


def find_windows(probability: Float[np.ndarray, " g"]) -> list[tuple[int, int, bool]]:
    """Find the ranges of a grid of sizes in which two curves cross or may cross.

    The order of two curves is known where its probability is at least 0.8. A window extends from the last place where
    one order is known best to the first place where the opposite one is, and from the last known order to the end.

    Args:
        probability: probability that the first curve is better, at ascending sizes.

    Returns:
        Index of the beginning and of the end of every window, and True if the first curve is better at its beginning;
        empty if no order is known.

    Examples:
        >>> find_windows(np.array([0.9, 0.99, 0.6, 0.3, 0.05, 0.01, 0.1]))
        [(1, 5, True), (5, 6, False)]
        >>> find_windows(np.array([0.5, 0.6, 0.55]))
        []
    """
    first = probability >= 0.5
    border = np.flatnonzero(np.diff(first.astype(int))) + 1
    known: list[tuple[int, int, bool]] = []  # the first and the last place where each order is known best
    for run in np.split(np.arange(len(probability)), border):
        sure = np.maximum(probability[run], 1 - probability[run])
        if sure.max() < _KNOWN:
            continue
        best = run[sure >= min(_SURE, sure.max())]
        place = int(best[0]), int(best[-1]), bool(first[run[0]])
        if known and known[-1][2] == place[2]:
            place = known.pop()[0], place[1], place[2]
        known.append(place)
    windows = [(one[1], other[0], one[2]) for one, other in itertools.pairwise(known)]
    if known and known[-1][1] < len(probability) - 1:
        windows.append((known[-1][1], len(probability) - 1, known[-1][2]))
    return windows
