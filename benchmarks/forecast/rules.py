"""Scoring rules for distributions of the log error, and for errors that are stored in steps."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["crps_of_draws", "interval_score", "outside", "rounded_log_density"]

# Places within a step, in steps, at which a density is averaged.
_PLACES = (-1 / 3, 0.0, 1 / 3)


def crps_of_draws(draws: Float[np.ndarray, "*b k s"], value: Float[np.ndarray, "*b s"]) -> Float[np.ndarray, "*b s"]:
    """Return the continuous ranked probability score of the empirical distribution of k draws.

        CRPS = mean_i |x_i - y| - 1/2 mean_ij |x_i - x_j|

    (Gneiting and Raftery, 2007, Eq. 21), in the unit of the value.
    """
    count = draws.shape[-2]
    ordered = np.sort(draws, axis=-2)
    weight = (2 * np.arange(1, count + 1) - count - 1)[:, None] / count**2
    spread = np.sum(weight * ordered, axis=-2)
    return np.asarray(np.mean(np.abs(draws - value[..., None, :]), axis=-2) - spread)


def outside(
    low: Float[np.ndarray, "..."], high: Float[np.ndarray, "..."], error: Float[np.ndarray, "..."], step: float
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the distances in log error by which a measured error lies below and above an interval of the log error.

    An error stored in steps is known to half a step: it counts at the place within half a step that is nearest to the
    interval, so that a point within half a step of a limit is inside.
    """
    below = np.maximum(low - np.log(error + step / 2), 0.0)
    above = np.maximum(np.log(error - step / 2) - high, 0.0)
    return below, above


def interval_score(
    low: Float[np.ndarray, "..."],
    high: Float[np.ndarray, "..."],
    error: Float[np.ndarray, "..."],
    *,
    level: float,
    step: float = 0.0,
) -> Float[np.ndarray, "..."]:
    """Return the interval score in log error of a central interval of coverage `level`.

    The width, plus 2 / (1 - level) times the distance of a measurement outside (Gneiting and Raftery, 2007, Eq. 43).
    """
    below, above = outside(low, high, error, step)
    return np.asarray(high - low + 2 / (1 - level) * (below + above))


def rounded_log_density(
    log_density: Callable[[np.ndarray], np.ndarray], error: Float[np.ndarray, "..."], step: float
) -> Float[np.ndarray, "..."]:
    """Return the log density of errors stored in steps, per unit of log error.

    The density of the error is averaged over the step, at three places a third of a step apart, which approximates the
    probability of the stored number divided by the step. It is at most the reciprocal of the step, as that probability
    is at most 1. Without a step this is the density itself.

    Args:
        log_density: log density per unit of log error, as a function of the log error.
        error: stored errors, at least one step.
        step: step in which they are stored; 0 if they are exact.
    """
    if step <= 0:
        return log_density(np.log(error))
    places = [np.log(error + place * step) for place in _PLACES]
    each = np.stack([log_density(place) - place for place in places])  # per unit of the error
    average = np.logaddexp.reduce(each, axis=0) - np.log(len(_PLACES))
    return np.asarray(np.minimum(average, -np.log(step)) + np.log(error))
