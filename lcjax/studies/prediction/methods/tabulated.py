"""Curves with one free parameter, tabulated, and their least-squares fit without compilation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.studies.prediction.methods.points import Fit, Points, Used

__all__ = ["Table", "fit_table"]


class Table(NamedTuple):
    """Log errors of the curves of every seed at each value of a parameter and each size.

    Attributes:
        log_radius: logarithm of the radius, ascending or descending in equal steps, `(r, g)`.
        log_error: log errors at the sizes of a grid, `(r, g, t)`.
    """

    log_radius: Float[np.ndarray, "r g"]
    log_error: Float[np.ndarray, "r g t"]


def fit_table(table: Table, columns: Int[np.ndarray, " s"], points: Points, used: Used) -> Fit:
    """Fit the radius of every seed to the measured errors, and that of one seed to every bootstrap draw.

        sum_i w_i (ln e_i - ln error(N_i; delta))^2

    is minimized over the tabulated radii, refined by a parabola. The estimate is the mean error over seeds.

    Args:
        table: curves of every seed.
        columns: places of the sizes of `points` in the grid of the table.
        points: measured errors and draws.
        used: True at the sizes to fit.

    Examples:
        >>> size, log_radius = np.array([10.0, 100.0]), np.linspace(-1.0, 1.0, 201)
        >>> table = Table(log_radius[None], (-np.log(size) - log_radius[:, None])[None])
        >>> error = np.log(np.array([0.2, 0.02]))
        >>> logs, one = error[None], np.ones((1, 1))
        >>> points = Points(
        ...     size, error, np.full(2, 0.1), logs, np.zeros(1), logs, logs, np.exp(logs), one, np.zeros(1, int)
        ... )
        >>> fit = fit_table(table, np.arange(2), points, np.ones(2, bool))
        >>> print(f"{fit.parameters['radius'][0]:.3f}", fit.converged)
        0.500 True
    """
    seeds = len(table.log_radius)
    rows = np.concatenate([np.tile(points.log_error, (seeds, 1)), points.draws])[:, used]
    seed = np.concatenate([np.arange(seeds), points.seed])
    curves, radius = np.empty((len(rows), table.log_error.shape[2])), np.empty(len(rows))
    inside = np.empty(len(rows), bool)
    for i in range(seeds):
        own = seed == i
        curves[own], radius[own], inside[own] = _fit_rows(
            table.log_radius[i], table.log_error[i], columns[used], rows[own], points.weight[used]
        )
    center = np.log(np.mean(np.exp(curves[:seeds]), axis=0))
    return Fit(center, curves[seeds:], {"radius": np.exp(radius[:seeds])}, bool(inside.all()))


def _fit_rows(
    parameter: Float[np.ndarray, " g"],
    log_error: Float[np.ndarray, "g t"],
    columns: Int[np.ndarray, " u"],
    rows: Float[np.ndarray, "b u"],
    weight: Float[np.ndarray, " u"],
) -> tuple[Float[np.ndarray, "b t"], Float[np.ndarray, " b"], Bool[np.ndarray, " b"]]:
    """Return the curve and the parameter that fit each row best, and False where it lies at an end of the table."""
    at = log_error[:, columns]
    misfit = ((rows**2) @ weight)[:, None] - 2 * (rows * weight) @ at.T + (at**2) @ weight
    best = np.clip(np.argmin(misfit, axis=1), 1, len(parameter) - 2)
    left, middle, right = (np.take_along_axis(misfit, (best + i)[:, None], axis=1)[:, 0] for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(bend > 0, 0.5 * (left - right) / bend, 0.0)
    inside = (bend > 0) & (np.abs(step) <= 1)
    place = best + np.clip(step, -1, 1)
    low = np.minimum(place.astype(int), len(parameter) - 2)
    part = (place - low)[:, None]
    curve = (1 - part) * log_error[low] + part * log_error[low + 1]
    return curve, (1 - part[:, 0]) * parameter[low] + part[:, 0] * parameter[low + 1], inside
