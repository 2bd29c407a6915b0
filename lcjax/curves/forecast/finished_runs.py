"""Draws of a run's value at its end, weighted by the finished runs of the same sweep."""

import numpy as np
from jaxtyping import Float

__all__ = ["find_ends", "weigh_draws"]

# Scale of the kernels at the finished runs, in log value; one more kernel, at their median, has a scale of 1. The
# weight of draws below the lowest finished run is halved, because the kernels extend to values that no run has reached.
_KERNEL, _BEYOND = 0.08, 0.5
_TINY = 1e-9  # smallest value of which a logarithm is taken; replaces 0


def find_ends(finished: Float[np.ndarray, "*b n s"], *, lowest: bool) -> Float[np.ndarray, "*b n"]:
    """Return the last or the lowest record of every finished run; nan if it has no record."""
    there = ~np.isnan(finished)
    if lowest:
        value = np.min(np.where(there, finished, np.inf), axis=-1)
    else:
        last = finished.shape[-1] - 1 - np.argmax(there[..., ::-1], axis=-1)
        value = np.take_along_axis(finished, last[..., None], axis=-1)[..., 0]
    return np.where(there.any(axis=-1), value, np.nan)


def weigh_draws(
    draws: Float[np.ndarray, "*b k"],
    last: Float[np.ndarray, "*b"],
    ends: Float[np.ndarray, "*b n"],
    before: Float[np.ndarray, "*b n"],
) -> Float[np.ndarray, "*b k"]:
    """Weight draws by the values and changes of finished runs, and return as many equally likely draws.

    Args:
        draws: draws of the value at the end, in ascending order.
        last: last record of the run.
        ends: values of the finished runs at their end; those that are not finite are ignored.
        before: their values at the current step of the run.
    """
    y, x = _log(draws), _log(last)[..., None]
    end, change = _log(ends), _log(ends) - _log(before)
    weight = _kernels(y, end) * _kernels(y - x, change)
    least = np.min(np.where(np.isnan(end), np.inf, end), axis=-1, keepdims=True, initial=np.inf)
    weight = weight * np.where(y < least, _BEYOND, 1.0)
    cumulated = np.cumsum(weight, axis=-1)
    middle = (cumulated - weight / 2) / cumulated[..., -1:]
    level = (np.arange(y.shape[-1]) + 0.5) / y.shape[-1]
    rows = [
        np.interp(level, places, row) if np.all(np.isfinite(places)) else row
        for places, row in zip(middle.reshape(-1, len(level)), y.reshape(-1, len(level)), strict=True)
    ]
    weighed = np.exp(np.stack(rows)).reshape(draws.shape)
    return np.asarray(np.where(np.isfinite(weighed), weighed, draws), draws.dtype)


def _kernels(y: Float[np.ndarray, "*b k"], centers: Float[np.ndarray, "*b n"]) -> Float[np.ndarray, "*b k"]:
    """Return the sum of a narrow kernel at each center and a broad one at their median; 1 without centers."""
    there = np.isfinite(centers)
    count = np.sum(there, axis=-1)
    order = np.sort(np.where(there, centers, np.inf), axis=-1)
    median = np.take_along_axis(order, np.maximum(count - 1, 0)[..., None] // 2, axis=-1)

    def student(distance: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        density: np.ndarray = (1 + distance**2 / 4) ** -2.5
        return density

    away = (y[..., None, :] - np.where(there, centers, 0.0)[..., None]) / _KERNEL
    near = np.sum(np.where(there[..., None], student(away), 0.0), axis=-2) / _KERNEL
    broad = student(y - np.where(count[..., None] > 0, median, 0.0))
    return np.where(count[..., None] > 0, near + broad, 1.0)


def _log(value: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return logarithms; nan where a value is not finite."""
    finite = np.isfinite(value)
    log: np.ndarray = np.where(finite, np.log(np.maximum(np.where(finite, value, 1.0), _TINY)), np.nan)
    return log
