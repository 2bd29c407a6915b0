"""Target errors fixed from the fitted part of a curve, and the sizes that reach them, with censoring."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from benchmarks.forecast.cases import Cases
from lcjax.curves.answer.crossing import first_crossing

__all__ = ["SHARES", "Truth", "find_truth", "smooth", "whole_curves"]

SHARES = (1.5, 1.15, 0.9, 0.75, 0.6, 0.45)
"""Targets as shares of the mean of the last three fitted errors."""

_LAST = 3  # fitted errors whose geometric mean counts as the last error
_BANDWIDTH = 0.12  # standard deviation of the smoothing kernel in log size: sizes of LCDB are 0.09 apart


@dataclasses.dataclass(frozen=True)
class Truth:
    """Sizes at which measured curves reach targets, `b` cases and `t` targets.

    Attributes:
        target: target errors, `(b, t)`.
        size: size of the first crossing of the smoothed curve, `(b, t)`; the smallest size where the curve starts at or
            below the target, the largest where it never falls to it.
        at_smallest: left-censored: the target is met at the smallest size, `(b, t)`.
        unreached: right-censored: the target is not met up to the largest size, `(b, t)`.
        before: largest measured size before any measured error at or below the target, `(b, t)`.
        after: smallest measured size from which on all measured errors are at or below it, `(b, t)`; inf if none.
        smallest: smallest size, `(b,)`.
        cut: largest fitted size, `(b,)`.
        largest: largest size measured, held-out ones included, `(b,)`.
    """

    target: Float[np.ndarray, "b t"]
    size: Float[np.ndarray, "b t"]
    at_smallest: Bool[np.ndarray, "b t"]
    unreached: Bool[np.ndarray, "b t"]
    before: Float[np.ndarray, "b t"]
    after: Float[np.ndarray, "b t"]
    smallest: Float[np.ndarray, " b"]
    cut: Float[np.ndarray, " b"]
    largest: Float[np.ndarray, " b"]


def whole_curves(cases: Cases) -> tuple[Float[np.ndarray, "b s"], Float[np.ndarray, "b s"]]:
    """Return sizes and errors of the whole curves, fitted and held-out, in ascending order, absent ones last."""
    size = np.concatenate([np.where(np.isnan(cases.error), np.nan, cases.size), cases.held_size], axis=1)
    error = np.concatenate([cases.error, cases.held_error], axis=1)
    size = np.where(error > 0, size, np.nan)
    order = np.argsort(size, axis=1)
    take = np.take_along_axis
    return take(size, order, 1), np.where(np.isnan(take(size, order, 1)), np.nan, take(error, order, 1))


def smooth(size: Float[np.ndarray, " s"], error: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    """Smooth a curve by local lines in logarithms, with normal weights of standard deviation 0.12 in log size.

    The first passage of a noisy curve is biased towards small sizes; that of the smoothed curve is the truth here.
    """
    x, y = np.log(size), np.log(error)
    apart = x[None, :] - x[:, None]
    weight = np.exp(-0.5 * (apart / _BANDWIDTH) ** 2)
    total, first, second = (np.sum(weight * apart**power, axis=1) for power in range(3))
    slope_weight = np.maximum(total * second - first**2, 1e-12)
    local = weight * (second[:, None] - first[:, None] * apart) / slope_weight[:, None]
    alone = total < 1 + 1e-6  # no neighbor within reach of the kernel
    return np.asarray(np.exp(np.where(alone, y, local @ y)))


def find_truth(cases: Cases, shares: tuple[float, ...] = SHARES) -> Truth:
    """Fix targets from the fitted parts alone, and find the sizes that reach them on the whole curves."""
    sizes, errors = whole_curves(cases)
    logs = np.log(np.where(cases.error > 0, cases.error, np.nan))
    last = np.array([np.mean(row[~np.isnan(row)][-_LAST:]) for row in logs])
    target = np.exp(last)[:, None] * np.array(shares)
    shape = target.shape
    at, before, after = (np.empty(shape) for _ in range(3))
    left, right = np.empty(shape, bool), np.empty(shape, bool)
    smallest, largest = np.nanmin(sizes, axis=1), np.nanmax(sizes, axis=1)
    for i, (row, raw) in enumerate(zip(sizes, errors, strict=True)):
        size, error = row[~np.isnan(row)], raw[~np.isnan(row)]
        curve = smooth(size, error)
        crossing = np.asarray(first_crossing(size[None], np.tile(curve, (shape[1], 1)), target[i]))
        left[i], right[i] = curve[0] <= target[i], np.isinf(crossing)
        at[i] = np.where(right[i], largest[i], np.maximum(crossing, smallest[i]))
        below = error <= target[i][:, None]
        first = np.where(below.any(axis=1), below.argmax(axis=1), len(size))
        before[i] = np.where(first > 0, size[np.maximum(first - 1, 0)], 0.0)
        above = ~below
        final = np.where(above.any(axis=1), len(size) - above[:, ::-1].argmax(axis=1), 0)
        after[i] = np.where(final < len(size), size[np.minimum(final, len(size) - 1)], np.inf)
    cut = np.nanmax(np.where(np.isnan(cases.error), np.nan, cases.size), axis=1)
    return Truth(target, at, left, right, before, after, smallest, cut, largest)
