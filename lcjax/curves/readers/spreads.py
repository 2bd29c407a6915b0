"""Repeats with a given mean and standard deviation, for files that contain only these."""

import numpy as np
from jaxtyping import Float, Int

__all__ = ["LARGEST_COUNT", "repeats_from_spread", "root_mean_square", "use_spread"]

LARGEST_COUNT = 1000
"""Largest number of repeats that are made."""


def repeats_from_spread(
    mean: Float[np.ndarray, "b s"], deviation: Float[np.ndarray, "b s"], count: Float[np.ndarray, "b s"]
) -> Float[np.ndarray, "b r s"] | None:
    """Return repeats whose mean, standard deviation and number are those given.

    Forecasts use repeats through their number, mean and spread, so any such values give the same forecast. These lie at
    equal distances above and below the mean (an odd one at the mean). The order rotates with the size, so that repeats
    of one number are not correlated.

    Args:
        mean: mean error of each size.
        deviation: standard deviation of one repeat, with the divisor `count - 1`.
        count: number of repeats, from 1 to `LARGEST_COUNT`; where it is 1 or `deviation` is nan, there is one repeat.

    Returns:
        Repeats, nan beyond the number of each size; None if one would not be positive.

    Examples:
        >>> repeats = repeats_from_spread(np.array([[0.5]]), np.array([[0.1]]), np.array([[4.0]]))
        >>> repeats.mean().round(6).item(), repeats.std(ddof=1).round(6).item(), repeats.shape
        (0.5, 0.1, (1, 4, 1))
    """
    number = np.where(np.isnan(deviation) | ~(count > 1), 1, np.nan_to_num(count, nan=1)).astype(int)
    r = max(int(number.max(initial=1)), 1)
    index = np.arange(r)[None, :, None]
    within = index < number[:, None, :]
    place = np.where(within, (index + np.arange(mean.shape[1])) % np.maximum(number[:, None, :], 1), 0)
    outer = number - number % 2
    step = np.nan_to_num(deviation) * np.sqrt((number - 1) / np.maximum(outer, 1))
    sign = np.where(place < outer[:, None, :], np.where(place % 2 == 0, 1.0, -1.0), 0.0)
    repeats = np.where(within, mean[:, None, :] + sign * step[:, None, :], np.nan)
    return None if np.any((repeats <= 0) & (mean[:, None, :] > 0)) else repeats


def root_mean_square(
    standard_error: Float[np.ndarray, " n"],
    curve: Int[np.ndarray, " n"],
    column: Int[np.ndarray, " n"],
    shape: tuple[int, ...],
) -> Float[np.ndarray, "b s"]:
    """Return the standard errors of the means over rows of one size that were measured on the same test examples.

    Their errors are the same, so that the mean has the standard error of each of them, not of independent ones.

    Args:
        standard_error: of each row; nan where it is not known.
        curve: row in the result.
        column: column in the result.
        shape: shape of the result, nan where nothing is known.

    Examples:
        >>> root_mean_square(np.array([0.1, 0.1, 0.2]), np.zeros(3, int), np.array([0, 0, 1]), (1, 2)).round(3).tolist()
        [[0.1, 0.2]]
    """
    known = np.isfinite(standard_error)
    squares, count = np.zeros(shape), np.zeros(shape)
    np.add.at(squares, (curve[known], column[known]), standard_error[known] ** 2)
    np.add.at(count, (curve[known], column[known]), 1)
    return np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan)


def use_spread(
    repeats: Float[np.ndarray, "b r s"] | None,
    mean: Float[np.ndarray, "b s"],
    deviation: Float[np.ndarray, "b s"],
    count: Float[np.ndarray, "b s"],
    name: str,
) -> tuple[Float[np.ndarray, "b r s"] | None, tuple[str, ...]]:
    """Return repeats with the given spread if there is one mean for each size, and a note.

    Args:
        repeats: repeats in rows of their own, or None.
        mean: mean error of each size.
        deviation: standard deviation of one repeat.
        count: number of repeats; nan where it is not known.
        name: source of the spread, for the note.

    Examples:
        >>> one, half = np.ones((1, 1)), np.full((1, 1), 0.5)
        >>> use_spread(None, half, 0.1 * one, 4 * one, "'std'")[1]
        ("Used as the spread of the repeats: 'std'.",)
    """
    if np.isnan(count).all():
        return repeats, (f"Not used: {name}. Give repeats as rows, or their number in a column n_repeats.",)
    if repeats is not None:
        return repeats, (f"Not used: {name}. Sizes occur in several rows, whose spread is used.",)
    implied = repeats_from_spread(mean, deviation, count)
    if implied is None:
        return None, (f"Not used: {name}. Some spreads are as large as the errors themselves.",)
    return implied, (f"Used as the spread of the repeats: {name}.",)
