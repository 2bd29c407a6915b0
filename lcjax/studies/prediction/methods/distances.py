"""The error model from nearest-neighbor distances between features, tabulated over radii and sizes.

No density is fitted and no dimension is chosen: the distances are those of the network's features.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lcjax.studies.prediction.methods.tabulated import Table
from lcjax.typing import Array

__all__ = ["Distances", "find_distances", "tabulate_distances"]

QUERIES = 2000  # largest number of held-out points whose neighbors are searched
_TAIL = 14.0  # subsets without any of the k nearest points are a share of exp(-14) or less
_RADII, _SHORTEST, _LONGEST = 801, 0.5, np.exp(9.0)
_BYTES = 2**27  # of one block of distances


class Distances(NamedTuple):
    """Distances from held-out points to their nearest reference points.

    Attributes:
        value: k smallest distances of each of m points, ascending, `(m, k)`.
        points: number of reference points.
    """

    value: Float[np.ndarray, "m k"]
    points: int


def find_distances(
    queries: Float[Array, "m d"], reference: Float[Array, "n d"], smallest: float, rng: np.random.Generator
) -> Distances:
    """Compute the distances from at most 2,000 queries to as many nearest points as subsets of a size need.

    A random subset of `smallest` reference points contains one of the k nearest except with probability exp(-14).

    Args:
        queries: features of held-out points.
        reference: features of the reference points.
        smallest: smallest size at which the curve is needed.
        rng: generator that selects the queries.
    """
    x, y = (np.asarray(part, float) for part in (queries, reference))
    if len(x) > QUERIES:
        x = x[rng.choice(len(x), QUERIES, replace=False)]
    n = len(y)
    k = min(n, int(np.ceil(_TAIL * n / smallest)))
    center = y.mean(axis=0)
    x, y = x - center, y - center
    norm, blocks = (y**2).sum(axis=1), []
    for part in np.array_split(x, max(1, 8 * len(x) * n // _BYTES + 1)):
        square = (part**2).sum(axis=1)[:, None] + norm - 2 * part @ y.T
        nearest = square if k == n else np.partition(square, k - 1, axis=1)[:, :k]
        blocks.append(np.sqrt(np.maximum(np.sort(nearest, axis=1), 0)))
    return Distances(np.concatenate(blocks), n)


def tabulate_distances(distances: list[Distances], grid: Float[np.ndarray, " t"]) -> Table:
    """Tabulate the expected error of every seed at all radii of interest, as `lcjax.error_from_distances` computes it.

    Beyond the number of reference points the curve continues as the power law of its own last octave.

    Args:
        distances: of every seed.
        grid: sizes, ascending, whole up to the number of reference points.

    Examples:
        >>> distances = find_distances(np.zeros((1, 1)), np.arange(1.0, 5.0)[:, None], 1, np.random.default_rng(0))
        >>> table = tabulate_distances([distances], np.array([1.0, 4.0]))
        >>> i = np.argmin(np.abs(table.log_radius[0] - np.log(4.0)))  # mean of 1..4 over 4, and 1 over 4
        >>> print(np.round(np.exp(table.log_error[0, i] + table.log_radius[0, i] - np.log(4.0)), 2))
        [0.62 0.25]
    """
    tables = [_tabulate(one, grid) for one in distances]
    return Table(*(np.stack(parts) for parts in zip(*tables, strict=True)))


def _tabulate(distances: Distances, grid: Float[np.ndarray, " t"]) -> tuple[np.ndarray, np.ndarray]:
    value, total = distances
    positive = value[value > 0]
    shortest, longest = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    radius = np.geomspace(_SHORTEST * shortest, _LONGEST * longest, _RADII)
    ordered = np.sort(value, axis=0)
    below = np.concatenate([np.zeros((1, value.shape[1])), np.cumsum(ordered, axis=0)])
    count = np.stack([np.searchsorted(column, radius) for column in ordered.T], axis=1)
    capped = np.take_along_axis(below, count, axis=0) / radius[:, None] + (len(value) - count)
    by_rank = capped / len(value)  # mean of min(1, R / delta) over the held-out points, (g, k)

    half = max(1, total // 2)
    inside = grid[grid <= total]
    log_error = np.log(np.maximum(by_rank @ _rank_probabilities(np.append(inside, [half, total]), *distances), 1e-30))
    at_half, at_end = log_error[:, -2:].T
    slope = (at_end - at_half) / max(np.log(total / half), 1e-9)
    beyond = at_end[:, None] + slope[:, None] * np.log(grid[grid > total] / total)
    return np.log(radius), np.concatenate([log_error[:, :-2], beyond], axis=1)


def _rank_probabilities(size: Float[np.ndarray, " t"], value: np.ndarray, total: int) -> Float[np.ndarray, "k t"]:
    """Return the probability that each point is the nearest of a random subset; the last has that of all farther ones.

    See `lcjax.error_from_distances` for the formula.
    """
    k = value.shape[1]
    remaining = total - np.arange(k, dtype=float)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(remaining > size, size / remaining, 1.0)
        absent = np.exp(np.cumsum(np.log1p(-np.minimum(share, 1.0)), axis=0))
    before = np.concatenate([np.ones((1, len(size))), absent[:-1]])
    nearest = before * share
    nearest[-1] += absent[-1]
    return nearest
