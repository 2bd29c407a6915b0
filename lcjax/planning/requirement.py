"""Distribution of the size at which a measured error meets a target."""

import dataclasses

import numpy as np
from jaxtyping import Float

from lcjax.curves.answer.joint_draws import JointDraws
from lcjax.curves.learning_curve import LearningCurve

__all__ = ["LEAST_STEP", "requirement_draws", "restrict_to_reachable"]

LEAST_STEP = 0.05
"""Smallest collection, relative to the examples at hand: the effect of less could not be distinguished from noise."""

_STRATA = 8  # equally likely strata of the noise of a measurement
_WHOLE = 2.0**40  # sizes above this one are not rounded to whole examples


def requirement_draws(
    ahead: JointDraws,
    target: Float[np.ndarray, "*b"],
    start: Float[np.ndarray, "*b"],
    *,
    repeats: float = 1.0,
    whole: bool = True,
) -> Float[np.ndarray, "*b k"]:
    """Return equally likely sizes at which the measured error first meets a target; inf for never.

    Each draw of the curve is combined with eight strata of the noise of a measurement. The noise is that on the test
    set at hand, on which success is judged, so `test_count` does not enter. Within a draw the noise has the same rank
    at all sizes: a second measurement of the same curve is not a second chance.

    Args:
        ahead: a forecast.
        target: error to meet.
        start: number of examples at hand.
        repeats: number of trainings whose mean error is measured; inf for the curve itself.
        whole: True to round up to whole examples.

    Returns:
        Sizes, none below `start` plus 5 %.

    Examples:
        >>> import jax, lcjax as lc
        >>> size = 100.0 * 2.0 ** np.arange(6)
        >>> ahead = lc.forecast(jax.random.key(0), lc.LearningCurve(size, 2.0 * size**-0.5))
        >>> sizes = requirement_draws(ahead, np.asarray(0.04), np.asarray(3200.0))
        >>> sizes.shape, 3200 < float(np.median(sizes)) < 3500  # the curve meets the target at 2,500 already
        ((4096,), True)
    """
    curve = ahead.measured
    if curve.test_count is not None:
        ahead = dataclasses.replace(ahead, measured=LearningCurve(curve.size, curve.error))  # type: ignore[type-var]
    target = np.asarray(target, np.asarray(curve.error).dtype)
    if np.isinf(repeats):
        sizes = np.asarray(ahead._crossings(target), float)
    else:
        shares = (np.arange(_STRATA) + 0.5) / _STRATA
        parts = [np.asarray(ahead._crossings(target, share=float(share), repeats=repeats), float) for share in shares]
        sizes = np.concatenate(parts, axis=-1)
    least = np.asarray(start, float)[..., None] * (1 + LEAST_STEP)
    sizes = np.asarray(np.maximum(sizes, least))
    if whole:
        return np.asarray(np.where(sizes < _WHOLE, np.ceil(sizes), sizes))
    return sizes


def restrict_to_reachable(sizes: Float[np.ndarray, " k"], limit: float = np.inf) -> Float[np.ndarray, " m"]:
    """Return the required sizes up to a limit: their distribution, given that the target can be met.

    Examples:
        >>> restrict_to_reachable(np.array([200.0, 800.0, np.inf]), 500.0)
        array([200.])
    """
    return np.asarray(sizes[np.isfinite(sizes) & (sizes <= limit)])
