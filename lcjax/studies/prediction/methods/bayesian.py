"""The Bayesian forecast, `lcjax.forecast`, of the same points with their replicates."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.curves.forecast.families import FAMILIES
from lcjax.curves.forecast.forecast import forecast
from lcjax.curves.learning_curve import LearningCurve
from lcjax.studies.prediction.methods.calibration import calibrate_draws, steepness
from lcjax.studies.prediction.methods.points import Fit, Points, Used
from lcjax.typing import KeyArray

__all__ = ["compile_forecast", "fit_forecasts"]

COPIES = 4  # of the forecast from all sizes, because 512 draws do not determine the tail of the sizes for a target


def fit_forecasts(
    key: KeyArray, points: Points, uses: Sequence[Used], grid: Float[np.ndarray, " t"], chance_error: float
) -> list[Fit]:
    """Forecast the curve from each selection of sizes, as rows of one batch; that from all sizes has more draws.

    The draws are those of the mean error on the examples at hand, calibrated as in
    `lcjax.studies.prediction.methods.calibration`; the sampling of the examples is not part of the posterior.

    Args:
        key: a typed key.
        points: measured errors.
        uses: selections of sizes.
        grid: sizes to predict, at most 128 without another compilation.
        chance_error: upper limit of the forecast.
    """
    dtype = jnp.result_type(float)
    copies = np.array([COPIES if used.all() else 1 for used in uses])
    used = np.repeat(np.stack(uses), copies, axis=0)
    mean = points.replicates.mean(axis=0)
    mean = np.where(mean > 0, mean, np.exp(points.log_error))  # no mistake counts as half of one
    error = np.where(used, mean, np.nan).astype(dtype)
    replicates = np.where(used[:, None], points.replicates, np.nan).astype(dtype)
    curve = LearningCurve(points.size.astype(dtype), error, None, replicates)
    ahead = forecast(key, curve, families=FAMILIES, chance=np.asarray(chance_error, dtype), allow_rising=True)
    draws = np.asarray(ahead.predict_draws(grid.astype(dtype)), float)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(draws, 1e-30))
    fits = []
    for rows, own in zip(np.split(logs, np.cumsum(copies)[:-1]), uses, strict=True):
        rows = rows.reshape(-1, len(grid))
        steep = steepness(points.size[own], np.exp(points.log_error[own]))
        rows = calibrate_draws(rows, np.log(grid / points.size[own].max()), steep)
        fits.append(Fit(np.median(rows, axis=0), rows, {}, True))
    return fits


def compile_forecast(key: KeyArray, sizes: int, grid: int) -> None:
    """Compile the programs of `fit_forecasts` for numbers of sizes, by forecasting a placeholder.

    Args:
        key: a typed key.
        sizes: number of sizes measured.
        grid: number of sizes to predict.
    """
    dtype = jnp.result_type(float)
    size = 2.0 ** np.arange(sizes)
    curve = LearningCurve(
        size.astype(dtype), (0.5 / size).astype(dtype), None, np.tile(0.5 / size, (2, 1)).astype(dtype)
    )
    forecast(key, curve, families=FAMILIES, chance=np.asarray(1.0, dtype)).predict_draws(np.ones(grid, dtype))
