"""Calibration of the forecast of a curve by its past performance on curves as steep."""

import numpy as np
import scipy.special
from jaxtyping import Float

from lcjax.typing import Array

__all__ = ["SHAPE", "calibrate_draws", "shape_logarithms", "steepness"]

_FLAT, _STEEP = 0.35, 0.55  # steepness below which and above which the calibration is constant
_SPAN = 4.2  # factor of sizes over which the steepness is measured

# Beta distribution of the probability integral transform of the forecast on the tuning half of LCDB 1.1
# (benchmarks.prediction_prior). On steep curves the forecast is too pessimistic: 4 % of the errors at 4 to 16 times the
# largest size exceed its upper quintile (204 errors of 37 data sets).
SHAPE = np.array([[0.166, -0.212, 0.134], [0.122, 0.108, 0.354]])


def steepness(size: Float[Array, " s"], error: Float[Array, " s"]) -> float:
    """Return the mean slope `-d log error / d log size` over the last two octaves of the sizes.

    The slope is that of a line through the sizes of at least a quarter of the largest; nan marks absent sizes, and an
    error of 0 counts as half the smallest positive one. With one size the result is 0.

    Examples:
        >>> size = np.array([10.0, 20.0, 40.0])
        >>> round(steepness(size, size**-0.5), 3)
        0.5
    """
    size, error = np.asarray(size, float), np.asarray(error, float)
    there = np.isfinite(error) & np.isfinite(size)
    x, y = size[there], error[there]
    positive = y[y > 0]
    y = np.maximum(y, positive.min() / 2 if positive.size else 1.0)
    near = x >= x.max() / _SPAN
    if near.sum() < 2:
        return 0.0
    u, v = np.log(x[near]), np.log(y[near])
    return float(-np.sum((u - u.mean()) * (v - v.mean())) / np.sum((u - u.mean()) ** 2))


def shape_logarithms(
    steep: Float[Array, "*b"] | float, log_ratio: Float[Array, "*b"], shape: Float[Array, "2 3"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Return the logarithms of the parameters of the Beta distribution of the transform.

    They are `w(ratio) (c_0 + c_1 ramp(steepness) + c_2 ramp(steepness) u(ratio))`, where the ramp rises from 0 to 1
    between a steepness of 0.35 and 0.55, w from 0 to 1 up to a ratio of 2, and u from 0 to 1 between 2 and 4.

    Args:
        steep: steepness of the fitted errors.
        log_ratio: logarithm of the size relative to the largest fitted one.
        shape: coefficients of both parameters.
    """
    octaves = np.asarray(log_ratio) / np.log(2.0)
    ramp = np.clip((np.asarray(steep) - _FLAT) / (_STEEP - _FLAT), 0.0, 1.0)
    near, far = np.clip(octaves, 0.0, 1.0), np.clip(octaves - 1, 0.0, 1.0)
    first, second = (near * (c[0] + ramp * (c[1] + c[2] * far)) for c in np.asarray(shape))
    return first, second


def calibrate_draws(
    log_error: Float[np.ndarray, "k t"], log_ratio: Float[np.ndarray, " t"], steep: float
) -> Float[np.ndarray, "k t"]:
    """Map draws to those whose transforms were uniform on the curves of the calibration.

    At every size beyond the data the draw of rank u becomes the quantile of the draws at the level v with
    `Beta(v) = u`. Ranks are those at each size, so that a curve keeps its rank among the others.

    Args:
        log_error: draws of the forecast.
        log_ratio: logarithm of the sizes relative to the largest fitted one.
        steep: steepness of the fitted errors.
    """
    count = len(log_error)
    result = log_error.copy()
    level = (np.arange(count) + 0.5) / count
    first, second = shape_logarithms(steep, log_ratio, SHAPE)
    for j in np.flatnonzero(log_ratio > 0):
        order = np.argsort(log_error[:, j], kind="stable")
        mapped = scipy.special.betaincinv(np.exp(first[j]), np.exp(second[j]), level)
        result[order, j] = np.interp(mapped, level, log_error[order, j])
    return result
