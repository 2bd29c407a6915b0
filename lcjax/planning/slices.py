"""Division of a budget among several types of data, by their expected errors and the unfairness between them."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lcjax.curves.forecast.forecast import Forecast
from lcjax.curves.forecast.mixture import MixtureForecast

__all__ = ["divide_budget", "even_divisions", "expected_losses"]

_SIZES = 128  # sizes at which the forecasts are evaluated, geometric from the size at hand to what the budget buys


def divide_budget(
    size: Float[np.ndarray, "b s"], loss: Float[np.ndarray, "b s"], cost: Float[np.ndarray, " b"], budget: float
) -> Float[np.ndarray, " b"]:
    """Return the sizes that minimize the sum of the losses of all types within a budget.

    The losses are interpolated by their lower convex hulls, whose segments are bought in the order of their reduction
    of the loss per unit of cost; this is the optimum for the hulls. It ends early if more data do not reduce the loss.

    Args:
        size: sizes in ascending order, the one at hand first.
        loss: loss at each size.
        cost: cost of one example of each type.
        budget: largest total cost.

    Examples:
        >>> size = np.tile(np.linspace(100.0, 200.0, 101), (2, 1))
        >>> divide_budget(size, 10 / size, np.array([1.0, 1.0]), 60.0).round(3)
        array([130., 130.])
    """
    segments = []
    for i, (x, y) in enumerate(zip(size, loss, strict=True)):
        corners = _lower_hull(x, y)
        for left, right in itertools.pairwise(corners):
            fall = (y[left] - y[right]) / (x[right] - x[left])
            if fall > 0:
                segments.append((fall / max(cost[i], 1e-300), i, float(x[right] - x[left])))
    bought, left_over = size[:, 0].astype(float), float(budget)
    for _, i, length in sorted(segments, key=lambda segment: -segment[0]):
        part = length if cost[i] == 0 else min(length, left_over / cost[i])
        bought[i] += part
        left_over -= part * cost[i]
    return bought


def even_divisions(
    start: Float[np.ndarray, " b"], cost: Float[np.ndarray, " b"], budget: float, limit: Float[np.ndarray, " b"]
) -> dict[str, Float[np.ndarray, " b"]]:
    """Return divisions of a budget that need no forecast, by their names: the sizes up to which to collect.

    What a limit leaves is not spent.

    Args:
        start: numbers of examples at hand.
        cost: cost of one example of each type.
        budget: largest total cost.
        limit: largest numbers of examples.

    Examples:
        >>> even_divisions(np.array([100.0, 300.0]), np.array([1.0, 0.5]), 50.0, np.full(2, np.inf))
        {'the same cost for each': array([125., 350.]), 'in proportion to the examples at hand': array([120., 360.])}
    """
    with np.errstate(divide="ignore"):
        equal = start + budget / len(start) / np.maximum(cost, 1e-300)
    total = float(np.sum(cost * start))
    growth = 1 + budget / total if total > 0 else np.inf
    parts = {"the same cost for each": equal, "in proportion to the examples at hand": growth * start}
    return {name: np.minimum(size, limit) for name, size in parts.items()}


def expected_losses(
    forecasts: Sequence[Forecast | MixtureForecast],
    start: Float[np.ndarray, " b"],
    most: Float[np.ndarray, " b"],
    unfairness: float,
) -> tuple[Float[np.ndarray, "b s"], Float[np.ndarray, "b s"], Float[np.ndarray, "b s"]]:
    """Return sizes, losses and expected errors of every type, from the size at hand to the largest one.

    As in Tae and Whang (2021), the loss of a type is its error plus `unfairness` times the excess of the error over the
    mean of all types at hand, `max(0, error / mean - 1)`; here both are averaged over the draws of the forecast.

    Args:
        forecasts: forecasts of all types, of one or of a batch each.
        start: sizes at hand.
        most: largest sizes.
        unfairness: weight of the excess.
    """
    size = np.exp(np.linspace(np.log(start), np.log(np.maximum(most, start * (1 + 1e-9))), _SIZES, axis=-1))
    size[:, 0] = start
    draws, done = [], 0
    for ahead in forecasts:
        batch = np.shape(ahead.measured.error)[:-1]
        count = int(np.prod(batch, dtype=int))
        own = size[done : done + count].astype(np.asarray(ahead.measured.error).dtype)
        each = np.asarray(ahead.predict_draws(own.reshape((*batch, _SIZES))), float)
        draws.append(each.reshape(count, -1, _SIZES))
        done += count
    error = np.concatenate([np.mean(each, axis=1) for each in draws])
    mean = np.mean(error[:, 0])
    excess = np.concatenate([np.mean(np.maximum(each / mean - 1, 0.0), axis=1) for each in draws])
    return size, error + unfairness * excess, error


def _lower_hull(x: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> list[int]:
    """Return the indices of the corners of the lower convex hull."""
    corners: list[int] = []
    for i in range(len(x)):
        while len(corners) >= 2:
            a, b = corners[-2:]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            corners.pop()
        corners.append(i)
    return corners
