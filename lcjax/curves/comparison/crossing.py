"""Sizes at which two learning curves cross."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["PER_OCTAVE", "Crossings", "divide", "find_windows", "smoothing_matrix", "window_grid"]

PER_OCTAVE = 8
"""Sizes in a factor of two at which crossings are searched."""

# Standard deviation in log size of the normal weights of local lines that smooth a difference: three sizes.
_BANDWIDTH = 0.25
# Sizes before a window and beyond it that smoothing takes into account.
_CONTEXT = 6
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


def divide(log_size: Float[Array, " g"], difference: Float[Array, "*b g"]) -> Float[Array, "*b"]:
    """Return the logarithm of the size that divides positive differences from later negative ones best.

    Of all divisions of the grid, it is the one with the largest sum of the differences before it less that after it.
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
    xp = namespace(difference)
    count = difference.shape[-1]
    total = xp.cumsum(difference, axis=-1)
    gain = xp.concatenate([xp.zeros_like(total[..., :1]), total], axis=-1)
    kept = count - xp.argmax(gain[..., ::-1], axis=-1)  # number of sizes before the division, the largest one of ties
    after = xp.clip(kept, 1, count - 1)

    def at(index: Int[Array, "*b"]) -> Float[Array, "*b"]:
        value: Array = xp.take_along_axis(difference, index[..., None], axis=-1)[..., 0]
        return value

    above, below = at(after - 1), at(after)
    falls = above > below
    share = xp.where(falls, xp.clip(above / xp.where(falls, above - below, 1.0), 0.0, 1.0), 1.0)
    place = log_size[after - 1] + share * (log_size[after] - log_size[after - 1])
    crossing: Array = xp.where(kept == count, xp.inf, xp.where(kept == 0, log_size[0], place))
    return crossing


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
    windows = [(one[1], other[0], one[2]) for one, other in zip(known, known[1:], strict=False)]
    if known and known[-1][1] < len(probability) - 1:
        windows.append((known[-1][1], len(probability) - 1, known[-1][2]))
    return windows
