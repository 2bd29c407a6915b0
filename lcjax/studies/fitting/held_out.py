"""Scores of forecasts on the held-out sizes of a table of curves."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.curves.forecast.forecast import Forecast
from lcjax.records import record
from lcjax.studies.fitting.fitted_curves import FittedCurves
from lcjax.typing import Array

__all__ = ["HeldOutScores", "score_held_out"]

CRPS_LEVELS = 99
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@record
class HeldOutScores:
    """Scores of forecasts on held-out sizes, per curve and by group; the groups include "all".

    Attributes:
        score: `sqrt(mean((log prediction - log error)^2))` over the held-out sizes of each curve, `(b,)`, as in
            Alabdulmohsin et al. (2022); nan for curves without held-out sizes.
        mean: mean score by group.
        geometric_mean: geometric mean of the scores by group.
        curves: number of curves by group.
        levels: nominal levels, `(l,)`.
        coverage: fraction of held-out sizes inside the interval of each level, averaged over curves, by group, `(l,)`.
        last_value: mean score of the last value by group, as a baseline.
        log_likelihood: mean log density of the held-out errors, per unit of the error, averaged over curves, by group;
            nan for a mixture of forms, which has no density. An error at or above chance counts by its log probability.
        crps: mean continuous ranked probability score of the log errors, averaged over curves, by group.
    """

    score: Float[np.ndarray, " b"]
    mean: dict[str, float]
    geometric_mean: dict[str, float]
    curves: dict[str, int]
    levels: Float[np.ndarray, " l"]
    coverage: dict[str, Float[np.ndarray, " l"]]
    last_value: dict[str, float]
    log_likelihood: dict[str, float]
    crps: dict[str, float]


def score_held_out(fitted: FittedCurves, *, levels: Sequence[float] = LEVELS) -> HeldOutScores:
    """Score forecasts on held-out sizes as the public benchmark does, by domain and over all curves, with coverage.

    Raises:
        ValueError: no curve has a held-out size with a positive error.
    """
    table = fitted.table
    size, error = np.asarray(table.curve.size, float), np.asarray(table.curve.error, float)
    held_out = ~table.fitted & (error > 0)
    if not held_out.any():
        raise ValueError("No size is held out, so there is nothing to score; the benchmark marks them by Training = 0.")
    dtype = jnp.result_type(float)
    at = jnp.asarray(np.where(held_out, size, np.nanmax(size, axis=1, keepdims=True)), dtype)
    truth = np.log(np.where(held_out, error, 1.0))
    count = np.where(held_out.any(axis=1), held_out.sum(axis=1), np.nan)

    def score_of(prediction: Array) -> Float[np.ndarray, " b"]:
        squares = np.where(held_out, (np.log(np.asarray(prediction, float)) - truth) ** 2, 0).sum(axis=1)
        return np.asarray(np.sqrt(squares / count))

    score = score_of(fitted.forecast.predict(at))
    last = np.where(table.fitted & ~np.isnan(error), size, -np.inf).argmax(axis=1)
    last_score = score_of(np.broadcast_to(np.take_along_axis(error, last[:, None], 1), error.shape))
    tails = jnp.asarray([0.5 + sign * level / 2 for sign in (-1, 1) for level in levels], dtype)
    grid = (jnp.arange(CRPS_LEVELS, dtype=dtype) + 0.5) / CRPS_LEVELS
    if isinstance(fitted.forecast, Forecast):
        quantiles = np.asarray(fitted.forecast.quantile(at, jnp.concatenate([tails, grid])), float)
        density = np.asarray(fitted.forecast.log_density(at, jnp.asarray(np.where(held_out, error, 1.0), dtype)), float)
        log_likelihood = np.where(held_out, density, 0).sum(axis=1) / count
    else:
        draws = fitted.forecast.predict_draws(at)
        quantiles = np.moveaxis(np.asarray(jnp.quantile(draws, jnp.concatenate([tails, grid]), axis=-2), float), 0, -1)
        log_likelihood = np.full(len(error), np.nan)
    limits = np.moveaxis(quantiles[..., : 2 * len(levels)], -1, 0)
    low, high = limits.reshape(2, len(levels), *held_out.shape)
    coverage = ((low <= error) & (error <= high) & held_out).sum(axis=-1) / count
    ranked = _crps(np.log(np.maximum(quantiles[..., 2 * len(levels) :], 1e-30)), truth)
    crps = np.where(held_out, ranked, 0).sum(axis=1) / count

    names = np.asarray(table.groups)
    members = {"all": held_out.any(axis=1)}
    members |= {group: members["all"] & (names == group) for group in dict.fromkeys(table.groups) if group}
    members = {group: rows for group, rows in members.items() if rows.any()}
    log_score = np.log(np.maximum(score, 1e-12))
    return HeldOutScores(
        score,
        {group: float(score[rows].mean()) for group, rows in members.items()},
        {group: float(np.exp(log_score[rows].mean())) for group, rows in members.items()},
        {group: int(rows.sum()) for group, rows in members.items()},
        np.asarray(levels, float),
        {group: coverage[:, rows].mean(axis=1) for group, rows in members.items()},
        {group: float(last_score[rows].mean()) for group, rows in members.items()},
        {group: float(log_likelihood[rows].mean()) for group, rows in members.items()},
        {group: float(crps[rows].mean()) for group, rows in members.items()},
    )


def _crps(quantiles: Float[np.ndarray, "b s q"], truth: Float[np.ndarray, "b s"]) -> Float[np.ndarray, "b s"]:
    """Return the continuous ranked probability score of forecasts given by equally spaced quantiles.

    It is twice the mean quantile (pinball) loss over the levels (Gneiting and Raftery, 2007).
    """
    levels = (np.arange(quantiles.shape[-1]) + 0.5) / quantiles.shape[-1]
    above = truth[..., None] - quantiles
    return np.asarray(2 * np.mean(np.where(above >= 0, levels, levels - 1) * above, axis=-1))
