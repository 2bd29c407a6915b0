"""Differences of measured curves at their sizes, by t intervals over repeats."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
import scipy.special
from jaxtyping import Float, Int

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.standard_errors import error_bars
from lcjax.records import record

__all__ = ["MeasuredDifferences", "align_curves", "measure_differences"]


@record
class MeasuredDifferences:
    """Differences of the measured errors of c curves from those of a baseline.

    Attributes:
        size: sizes at which any curve was measured, `(s,)`.
        value: mean error minus that of the baseline, `(c, s)`; nan where one of the two was not measured.
        low: lower limit of the interval, `(c, s)`; nan without two repeats (pairs of repeats, if paired).
        high: upper limit, `(c, s)`.
        probability: probability that the expected error of the curve is below that of the baseline, by the same t
            distribution, `(c, s)`.
        count: number of pairs of repeats, or of repeats of the curve and the baseline together, `(c, s)`.
        level: nominal coverage of the intervals.
        paired: True if repeats of the same number correspond to each other.
    """

    size: Float[np.ndarray, " s"]
    value: Float[np.ndarray, "c s"]
    low: Float[np.ndarray, "c s"]
    high: Float[np.ndarray, "c s"]
    probability: Float[np.ndarray, "c s"]
    count: Int[np.ndarray, "c s"]
    level: float = jax.tree.static(default=0.9)
    paired: bool = jax.tree.static(default=False)


def align_curves(curves: Sequence[LearningCurve]) -> LearningCurve:
    """Stack curves on the union of their sizes, padded with nan.

    Args:
        curves: learning curves without batch axes.

    Returns:
        A batch of c curves with sizes `(s,)`, errors `(c, s)` and, if a curve has repeats, replicates `(c, r, s)`;
        `test_count` is `(c,)` if all curves have it, and `sampling_error` `(c, s)` if a curve states standard errors.

    Raises:
        ValueError: a curve has a batch axis, other shapes than its sizes, no measured size, or a size twice.

    Examples:
        >>> first = LearningCurve(np.array([10.0, 20.0]), np.array([0.4, 0.3]))
        >>> second = LearningCurve(np.array([20.0, 40.0]), np.array([0.2, 0.1]))
        >>> aligned = align_curves([first, second])
        >>> aligned.size.tolist(), aligned.error.tolist()
        ([10.0, 20.0, 40.0], [[0.4, 0.3, nan], [nan, 0.2, 0.1]])
    """
    sizes, errors, repeats, stated = [], [], [], []
    for number, curve in enumerate(curves):
        size, error = np.asarray(curve.size, float), np.asarray(curve.error, float)
        if size.ndim != 1 or size.shape != error.shape:
            raise ValueError(
                f"A compared curve needs sizes and errors of shape (s,); curve {number} has sizes {size.shape} and "
                f"errors {error.shape}."
            )
        there = ~np.isnan(error)
        size, error = size[there], error[there]
        if not size.size or len(np.unique(size)) < len(size):
            reason = "a size twice; pass repeats as replicates" if size.size else "no measured size"
            raise ValueError(f"Curve {number} has {reason}.")
        own = None if curve.replicates is None else np.asarray(curve.replicates, float)[:, there]
        sizes.append(size)
        errors.append(error)
        repeats.append(own)
        known = error_bars(curve)
        stated.append(np.full(size.shape, np.nan) if known is None else np.asarray(known, float)[there])
    union = np.unique(np.concatenate(sizes))
    rows = max((len(own) for own in repeats if own is not None), default=0)
    aligned = np.full((len(sizes), len(union)), np.nan)
    replicates = np.full((len(sizes), rows, len(union)), np.nan)
    sampling = np.full(aligned.shape, np.nan)
    for i, (size, error, own) in enumerate(zip(sizes, errors, repeats, strict=True)):
        place = np.searchsorted(union, size)
        aligned[i, place], sampling[i, place] = error, stated[i]
        if own is not None:
            replicates[i, : len(own), place] = own.T
    counts = [curve.test_count for curve in curves]
    test_count = None if any(count is None for count in counts) else np.array([float(np.asarray(c)) for c in counts])
    known = None if np.isnan(sampling).all() else sampling
    return LearningCurve(union, aligned, None, replicates if rows else None, None, test_count, known)


def measure_differences(
    curves: LearningCurve, *, baseline: int = 0, paired: bool = False, level: float = 0.9
) -> MeasuredDifferences:
    """Compare measured errors with those of a baseline at every size, by t intervals.

    Paired repeats are compared pair by pair (Student's t); others by Welch's t. Without repeats there is no interval.

    Args:
        curves: aligned curves, from `align_curves`.
        baseline: index of the baseline.
        paired: True if repeats of the same number correspond to each other, such as trainings on the same shard.
        level: nominal coverage of the intervals.

    Examples:
        >>> repeats = np.array([[[0.31], [0.35], [0.33]], [[0.29], [0.33], [0.32]]])
        >>> curves = LearningCurve(np.array([100.0]), repeats.mean(axis=1), replicates=repeats)
        >>> found = measure_differences(curves, paired=True)
        >>> f"{found.value[1, 0]:.3f} ({found.low[1, 0]:.3f} to {found.high[1, 0]:.3f})"
        '-0.017 (-0.026 to -0.007)'
        >>> print(f"{measure_differences(curves).low[1, 0]:.3f}")
        -0.052
    """
    error = np.asarray(curves.error, float)
    value = error - error[baseline]
    if curves.replicates is None:
        unknown, none = np.full_like(value, np.nan), np.zeros(value.shape, int)
        return MeasuredDifferences(np.asarray(curves.size), value, unknown, unknown, unknown, none, level, paired)
    repeats = np.asarray(curves.replicates, float)
    if paired:
        apart = repeats - repeats[baseline]
        count, mean, variance = _moments(apart)
        degrees, square = count - 1.0, variance / np.maximum(count, 1)
        value = np.where(count > 1, mean, value)
        enough = count > 1
    else:
        number, _, spread = _moments(repeats)
        each = spread / np.maximum(number, 1)
        square = each + each[baseline]
        parts = each**2 / np.maximum(number - 1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            degrees = square**2 / (parts + parts[baseline])
        degrees = np.where(np.isfinite(degrees), degrees, 1e6)
        enough = (number > 1) & (number[baseline] > 1)
        count = np.where(enough, number + number[baseline], 0)
    degrees = np.where(enough, np.maximum(degrees, 1.0), np.nan)
    scale = np.where(enough, np.sqrt(square), np.nan)
    half = scipy.special.stdtrit(degrees, 0.5 + level / 2) * scale
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(value == 0, 0.0, -value / scale)
    probability = np.where(enough, scipy.special.stdtr(degrees, np.clip(ratio, -1e30, 1e30)), np.nan)
    found = MeasuredDifferences(
        np.asarray(curves.size), value, value - half, value + half, probability, count, level, paired
    )
    own = np.zeros_like(value, dtype=bool)
    own[baseline] = True
    same = {name: np.where(own, 0.0 * value, getattr(found, name)) for name in ("low", "high")}
    return dataclasses.replace(found, probability=np.where(own, 0.5, found.probability), **same)


def _moments(
    values: Float[np.ndarray, "c r s"],
) -> tuple[Int[np.ndarray, "c s"], Float[np.ndarray, "c s"], Float[np.ndarray, "c s"]]:
    """Return the number, mean and variance over repeats that are present."""
    there = ~np.isnan(values)
    count = there.sum(axis=1)
    mean = np.where(there, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = np.where(there, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return count, mean, squares / np.maximum(count - 1, 1)
