"""Label noise from the labels of nearest neighbors, extrapolated to infinitely many examples."""

import math

import numpy as np
from jaxtyping import Float, Integer, Num

from lcjax.curves.floors.error_floor import ErrorFloor, floor_from_disagreement
from lcjax.kernels.neighbors.host import host_neighbors
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["NeighborNoise", "neighbor_noise", "neighbor_noise_floor"]

NEIGHBORS = 32  # contain the nearest neighbor in a random eighth of the points with probability 0.986
SHARE = 1 / 8
DIMENSION_NEIGHBORS = 10


@record
class NeighborNoise:
    """Disagreement between the labels of a point and of its nearest neighbor.

    Attributes:
        size: an eighth of the number of points and their number, `(2,)`.
        disagreement: expected disagreement in a random subset of that size, a fraction, `(2,)`.
        dimension: dimension of the points that the extrapolation assumes, `()`.
        limit: disagreement extrapolated to infinitely many points, `()`.
        standard_error: of `limit`, `()`, given the dimension.
    """

    size: Num[Array, "2"]
    disagreement: Float[Array, "2"]
    dimension: Float[Array, ""]
    limit: Float[Array, ""]
    standard_error: Float[Array, ""]


def neighbor_noise(
    points: Num[Array, "n d"], labels: Integer[Array, " _"], *, dimension: float | None = None
) -> NeighborNoise:
    """Estimate the probability that the labels of a point and of an arbitrarily near neighbor differ.

    With finitely many points the nearest neighbor is at a distance, so labels also differ because the inputs do. The
    disagreement D(m) of nearest neighbors in random subsets of m of the n points follows from one search: if each point
    belongs to the subset with probability s = m / n, the nearest is the j-th neighbor with probability
    `s (1 - s)^(j-1)`, normalized over the 32 neighbors examined. Near a boundary between classes the excess over the
    limit is proportional to the distance of the neighbor, and thus to `m^(-1/d)` in d dimensions. Two sizes in ratio 8
    then determine the limit

        D = D(n) - (D(n/8) - D(n)) / (8^(1/d) - 1),

    clipped to [0, D(n)]. Where class probabilities vary smoothly, the excess falls as `m^(-2/d)`, and the limit is too
    small rather than too large. The standard error follows from the variance over points, which is doubled because two
    points may be each other's nearest neighbors.

    Args:
        points: n inputs or features in d dimensions; at least 64. Columns need comparable units.
        labels: class of each point.
        dimension: intrinsic dimension d of the points, positive; by default the estimate of Levina and Bickel (2004)
            from ten neighbors, averaged as by MacKay and Ghahramani (2005).

    Raises:
        ValueError: points and labels differ in number, there are fewer than 64, or the dimension is not positive.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> points = rng.uniform(size=(4000, 2))
        >>> labels = (points[:, 0] > 0.5) ^ (rng.random(4000) < 0.1)  # a tenth is flipped
        >>> noise = neighbor_noise(points, labels.astype(int))
        >>> bool(abs(noise.limit - 0.18) < 3 * noise.standard_error)
        True
    """
    points, labels = np.asarray(points), np.asarray(labels)
    n = len(points)
    if labels.shape != (n,):
        raise ValueError(f"There are {n} points and labels of shape {labels.shape}.")
    if n < 2 * NEIGHBORS:
        raise ValueError(f"The extrapolation of neighbors' labels needs at least {2 * NEIGHBORS} points, got {n}.")
    if dimension is not None and not dimension > 0:
        raise ValueError(f"The dimension must be positive, got {dimension}.")
    nearest = host_neighbors(points, points, k=NEIGHBORS, exclude_self=True)
    if dimension is None:
        dimension = _dimension(np.asarray(nearest.distance, float)[:, :DIMENSION_NEIGHBORS])
    differs = labels[np.asarray(nearest.index)] != labels[:, None]
    weight = SHARE * (1 - SHARE) ** np.arange(NEIGHBORS)
    single = np.stack([differs @ (weight / weight.sum()), differs[:, 0].astype(float)], axis=1)
    few, many = single.mean(axis=0)
    factor = 1 / math.expm1(-math.log(SHARE) / dimension)
    slope = np.array([-factor, 1 + factor]) if few > many else np.array([0.0, 1.0])
    limit = np.clip(np.dot([few, many], slope), 0.0, many)
    error = math.sqrt(2 * np.var(single @ slope, ddof=1) / n)
    return NeighborNoise(
        np.array([SHARE * n, n]), np.array([few, many]), np.asarray(dimension), np.asarray(limit), np.asarray(error)
    )


def neighbor_noise_floor(
    points: Num[Array, "n d"],
    labels: Integer[Array, " _"],
    *,
    classes: int,
    dimension: float | None = None,
    level: float = 0.9,
) -> ErrorFloor:
    """Return the floor due to label noise, from the labels of nearest neighbors.

    The lower limit is that of Cover and Hart (1967) for the extrapolated disagreement (`neighbor_noise`,
    `lcjax.curves.floors.error_floor.bayes_error_bounds`). The upper limit is that of the measured disagreement of
    nearest neighbors among all points, because no floor exceeds the error of a classifier. The floor holds for the
    given points: features of a network that discards information have a higher floor than its inputs.

    Args:
        points: n inputs or features in d dimensions; at least 64. In many dimensions neighbors are far apart, and the
            lower limit is 0.
        labels: class of each point.
        classes: number of classes.
        dimension: as in `neighbor_noise`.
        level: nominal coverage of the interval, in (0, 1).

    Raises:
        ValueError: as in `neighbor_noise` and `lcjax.curves.floors.error_floor.floor_from_disagreement`.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> points = rng.uniform(size=(4000, 2))
        >>> labels = (points[:, 0] > 0.5) ^ (rng.random(4000) < 0.1)
        >>> floor = neighbor_noise_floor(points, labels.astype(int), classes=2)
        >>> bool(floor.low < 0.1 < floor.high)
        True
    """
    noise = neighbor_noise(points, labels, dimension=dimension)
    count, share = len(labels) / 2, float(noise.disagreement[-1])
    low = floor_from_disagreement(noise.limit, noise.standard_error, classes=classes, count=count, level=level).low
    error = math.sqrt(share * (1 - share) / count)
    return ErrorFloor(low, floor_from_disagreement(share, error, classes=classes, count=count, level=level).high)


def _dimension(distance: Float[np.ndarray, "n k"]) -> float:
    """Return the inverse of the mean inverse local dimension, at least 1, over points that coincide with no other."""
    distinct = distance[:, 0] > 0
    if not distinct.any():
        return 1.0
    logs = np.log(distance[distinct, -1:] / distance[distinct, :-1])
    return max(1.0, float(1 / max(np.mean(logs), 1e-6)))
