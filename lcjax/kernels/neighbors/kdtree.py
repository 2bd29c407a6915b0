"""Concrete arrays on a CPU: SciPy's k-d tree finds candidates, the shared direct distances decide."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.boxes import tiles_search
from lcjax.kernels.neighbors.brute_force import scan_search
from lcjax.kernels.neighbors.distance import ABSENT, Neighbors, finish, prepare, smallest, squared_distance

__all__ = ["tree_neighbors"]

Array = jax.Array | np.ndarray

LEAF = 32  # points; twice SciPy's default, because the points beyond the nearest are visited as well


def tree_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Nearest neighbours by SciPy's `cKDTree` with all workers, for concrete arrays; not under transformations.

    Arguments and result are those of `nearest_neighbors`. The tree returns ties in any order, and orders by distances
    in double precision; a query for which the direct distances of points beyond its candidates could be as small as
    the k-th is searched again without the tree.

    Raises:
        ValueError: as for `nearest_neighbors`, or the arrays are traced.

    Examples:
        >>> import numpy as np
        >>> tree_neighbors(np.array([[0.0, 1.0]]), np.array([[2.0, 2.0], [-1.0, 0.0]])).index
        Array([[1]], dtype=int32)
    """
    if isinstance(queries, jax.core.Tracer) or isinstance(points, jax.core.Tracer):
        raise ValueError("tree_neighbors runs on the host and takes concrete arrays, got traced ones.")
    from scipy.spatial import cKDTree

    queries, points, dtype = prepare(queries, points, k, exclude_self)
    host_queries, host_points = np.asarray(queries), np.asarray(points)
    m, n = host_queries.shape[0], host_points.shape[0]
    valid, usable = np.isfinite(host_queries).all(axis=1), np.isfinite(host_points).all(axis=1)
    kept = np.flatnonzero(usable)
    q = host_queries if valid.all() else np.where(valid[:, None], host_queries, 0)
    x = host_points if len(kept) == n else host_points[kept]

    count = k + 1 + exclude_self
    if m == 0 or len(kept) == 0:
        index = np.full((m, k), ABSENT)
    else:
        tree = cKDTree(x, leafsize=LEAF, balanced_tree=False, compact_nodes=x.shape[1] >= 8)
        reach, found = tree.query(q, k=count, workers=-1)
        reach, found = reach.reshape(m, count), found.reshape(m, count)
        found = found if len(kept) == n else np.append(kept, ABSENT)[found]
        found = np.where(np.isfinite(reach), found, ABSENT).astype(np.int32)
        exclude = np.arange(m, dtype=np.int32) if exclude_self else np.full(m, -1, np.int32)
        best, order = (np.array(part) for part in _rank(jnp.asarray(q), points, found, exclude, k=k))
        # A point beyond the candidates is at least `beyond` away, up to rounding of the square and of the sum.
        beyond = reach[:, -1] ** 2 * (1 - (q.shape[1] + 4) * float(np.finfo(q.dtype).eps))
        beyond = np.where(beyond > 4 * float(np.finfo(q.dtype).tiny), beyond, 0)
        doubtful = np.flatnonzero(valid & ~(best[:, -1] < beyond) & np.isfinite(reach[:, -1]))
        if len(doubtful):
            order[doubtful] = _again(q, host_points, usable, exclude, doubtful, k=k, memory=memory)
        index = order
    return _finish(queries, points, index, valid, squared=squared, dtype=dtype, method="tree")


_finish = jit(static_argnames=("squared", "dtype", "method"))(finish)
_scan = jit(static_argnames=("k", "memory"))(scan_search)
_tiles = jit(static_argnames=("k", "memory"))(tiles_search)


@jit(static_argnames="k")
def _rank(
    queries: Float[Array, "m d"],
    points: Float[Array, "n d"],
    found: Int[Array, "m c"],
    exclude: Int[Array, "m"],
    *,
    k: int,
) -> tuple[jax.Array, jax.Array]:
    """The k nearest of the candidates by direct distance and index."""
    label = jnp.where(found == exclude[:, None], ABSENT, found)
    candidates = points[jnp.where(label == ABSENT, 0, label)]
    value = squared_distance(queries[:, :, None], jnp.swapaxes(candidates, 1, 2))
    return smallest(jnp.where(label == ABSENT, jnp.inf, value), label, k)


def _again(
    queries: np.ndarray,
    points: np.ndarray,
    usable: np.ndarray,
    exclude: np.ndarray,
    rows: np.ndarray,
    *,
    k: int,
    memory: int,
) -> np.ndarray:
    """Indices of the k nearest for some rows; their number is rounded up, so that few shapes are compiled."""
    few = len(rows) <= 64
    size = 16 if len(rows) <= 16 else 1 << (len(rows) - 1).bit_length()
    padded = np.concatenate([rows, np.full(size - len(rows), rows[0])])
    number = np.where(usable, np.arange(len(points), dtype=np.int32), ABSENT)
    points = points if usable.all() else np.where(usable[:, None], points, 0)
    search = _scan if few or len(points) <= 2048 or k > 64 else _tiles
    return np.asarray(search(queries[padded], points, number, exclude[padded], k=k, memory=memory)[1])[: len(rows)]
