"""Power laws fitted by weighted least squares of log errors, with or without a prior of the exponent."""

import numpy as np
from jaxtyping import Float

from lcjax.curves.fit.exponent_prior import ExponentPrior
from lcjax.studies.prediction.methods.points import Fit, Points, Used

__all__ = ["fit_power_law", "power_law_rows"]

_SHALLOWEST, _STEEPEST, _STEPS = 1e-3, 10.0, 1001


def fit_power_law(
    points: Points, used: Used, grid: Float[np.ndarray, " t"], *, prior: ExponentPrior | None = None
) -> Fit:
    """Fit a power law to the measured errors and to every bootstrap draw.

    Args:
        points: measured errors and draws.
        used: True at the sizes to fit.
        grid: sizes to predict.
        prior: prior of the exponent, or None.
    """
    rows = np.concatenate([points.log_error[None], points.draws])[:, used]
    exponent, log_scale = power_law_rows(points.size[used], rows, points.weight[used], prior=prior)
    curves = log_scale[:, None] + exponent[:, None] * np.log(grid)
    parameters = {"exponent": exponent[0], "scale": np.exp(log_scale[0])}
    parameters["exponent_draws"] = exponent[1:]
    return Fit(curves[0], curves[1:], {k: np.asarray(v) for k, v in parameters.items()}, bool(np.isfinite(rows).all()))


def power_law_rows(
    size: Float[np.ndarray, " u"],
    log_error: Float[np.ndarray, "b u"],
    weight: Float[np.ndarray, " u"],
    *,
    prior: ExponentPrior | None = None,
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """Minimize `sum_i w_i (ln e_i - ln scale - exponent ln N_i)^2` for every row; return exponents and log scales.

    A prior adds `((ln(-exponent) - ln(-center)) / deviation)^2`. Exponents lie between -10 and -0.001.

    Examples:
        >>> size = np.array([10.0, 100.0, 1000.0])
        >>> exponent, log_scale = power_law_rows(size, np.log(2 * size**-0.5)[None], np.ones(3))
        >>> round(float(exponent[0]), 6), round(float(np.exp(log_scale[0])), 6)
        (-0.5, 2.0)
    """
    x = np.log(size)
    share = weight / weight.sum()
    center, level = share @ x, log_error @ share
    spread = weight @ (x - center) ** 2
    slope = ((log_error - level[:, None]) * weight) @ (x - center) / max(spread, 1e-12)
    exponent = np.clip(slope, -_STEEPEST, -_SHALLOWEST)
    if prior is not None:
        logs = np.linspace(np.log(_SHALLOWEST), np.log(_STEEPEST), _STEPS)
        deviation = float(np.asarray(prior.log_standard_deviation))
        pull = ((logs - np.log(-float(np.asarray(prior.exponent)))) / deviation) ** 2
        misfit = spread * (-np.exp(logs) - slope[:, None]) ** 2 + pull
        best = np.clip(np.argmin(misfit, axis=1), 1, _STEPS - 2)
        left, middle, right = (np.take_along_axis(misfit, (best + i)[:, None], axis=1)[:, 0] for i in (-1, 0, 1))
        bend = np.maximum(left - 2 * middle + right, 1e-12)
        step = np.clip(0.5 * (left - right) / bend, -1, 1)
        exponent = -np.exp(logs[best] + step * (logs[1] - logs[0]))
    return exponent, level - exponent * center
