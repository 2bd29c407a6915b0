"""Small problems on the host: every pair by NumPy, which takes less time than the compilation of any search."""

import math

import numpy as np
from jaxtyping import Float, Num

from lcjax.kernels.neighbors.dispatch import nearest_neighbors
from lcjax.kernels.neighbors.distance import Neighbors

__all__ = ["host_neighbors"]

WORK = 2**28  # pairs times features, each at least 16, up to which NumPy takes less than a second
BLOCK = 2**22  # pairs that are compared at once


def host_neighbors(
    queries: Num[np.ndarray, "m d"], points: Num[np.ndarray, "n _"], k: int = 1, *, exclude_self: bool = False
) -> Neighbors:
    """Find the same neighbors as `nearest_neighbors`, from and to NumPy arrays, without compiling for small problems.

    Every pair is compared by NumPy where this takes less than about a second; all else is left to `nearest_neighbors`.
    Distances have the same bits, and ties and rows that are not finite are treated alike.

    Args:
        queries: m points in d dimensions.
        points: n points in the same unit.
        k: neighbors per query, `1 <= k <= n` (n - 1 with `exclude_self`).
        exclude_self: queries and points are the same set, and no point is its own neighbor.

    Raises:
        ValueError: as by `nearest_neighbors`.

    Examples:
        >>> nearest = host_neighbors(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [6.0, 8.0]]), k=2)
        >>> nearest.distance.tolist(), nearest.index.tolist()
        ([[5.0, 10.0]], [[0, 1]])
    """
    m, n = len(queries), len(points)
    available = n - 1 if exclude_self else n
    floating = {queries.dtype, points.dtype} <= {np.dtype(np.float32), np.dtype(np.float64)}
    posed = queries.ndim == points.ndim == 2 and queries.shape[1] == points.shape[1] > 0 and 1 <= k <= available
    if not floating or not posed or (exclude_self and m != n) or m * n * max(points.shape[1], 16) > WORK:
        found = nearest_neighbors(queries, points, k, exclude_self=exclude_self)
        return Neighbors(np.asarray(found.distance), np.asarray(found.index), found.method)
    dtype = np.result_type(queries, points)
    queries, points = queries.astype(dtype), points.astype(dtype)
    unit = _usual_unit(queries, points)
    queries, points = queries * unit, points * unit
    valid, usable = (np.isfinite(rows).all(axis=1) for rows in (queries, points))
    distance, index = np.empty((m, k), dtype), np.empty((m, k), np.int32)
    height = max(1, BLOCK // n)
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, m, height):
            rows = slice(first, min(first + height, m))
            square = _squares(queries[rows], points)
            square[:, ~usable] = np.nan  # sorted last
            if exclude_self:
                square[np.arange(len(square)), np.arange(rows.start, rows.stop)] = np.nan
            if k == 1 and not np.isnan(square).any():
                index[rows] = np.argmin(square, axis=1)[:, None]
            else:
                index[rows] = np.argsort(square, axis=1, kind="stable")[:, :k]
            distance[rows] = np.sqrt(np.take_along_axis(square, index[rows], axis=1)) / unit
    distance[~valid] = np.nan
    return Neighbors(distance, np.where(np.isnan(distance), -1, index).astype(np.int32), "host_neighbors")


def _usual_unit(*arrays: Float[np.ndarray, "_ d"]) -> float:
    """Return a power of two as `rescale` chooses it."""
    values = np.concatenate([values[np.isfinite(values) & (values != 0)] for values in arrays])
    exponent = -round(float(np.mean(np.frexp(values)[1]))) if values.size else 0
    most = -int(np.finfo(values.dtype).minexp)
    return math.ldexp(1.0, min(max(exponent, -most), most))


def _squares(queries: Float[np.ndarray, "m d"], points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m n"]:
    """Return squared distances, summed in the order of the features as by `squared_distance`."""
    total = np.zeros((len(queries), len(points)), queries.dtype)
    for q, x in zip(queries.T, points.T, strict=True):
        total += (q[:, None] - x) ** 2
    return total
