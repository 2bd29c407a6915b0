"""Concrete arrays on a CPU: SciPy's k-d tree finds candidates, direct distances decide."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.boxes import box_search
from lcjax.kernels.neighbors.brute_force import brute_force_search
from lcjax.kernels.neighbors.distance import ABSENT, Problem, Ranked, smallest, squared_distance
from lcjax.typing import Array

__all__ = ["kdtree_search"]

LEAF = 32  # points; twice SciPy's default, because the points beyond the nearest are visited as well


def kdtree_search(problem: Problem, *, k: int, memory: int) -> Ranked:
    """Search concrete arrays by SciPy's `cKDTree` with all workers; see `Search` for arguments and result.

    The tree returns ties in any order and sorts by distances in double precision. A query is searched again without
    the tree if the direct distances of points beyond its candidates could be as small as the k-th.

    Raises:
        ValueError: the arrays are traced.

    Examples:
        >>> import numpy as np
        >>> from lcjax.kernels.neighbors import nearest_neighbors
        >>> points = np.array([[2.0, 2.0], [-1.0, 0.0]])
        >>> nearest_neighbors(np.array([[0.0, 1.0]]), points, search=kdtree_search).index
        Array([[1]], dtype=int32)
    """
    if any(isinstance(part, jax.core.Tracer) for part in problem):
        raise ValueError("kdtree_search runs on the host and needs concrete arrays, got traced ones.")
    from scipy.spatial import cKDTree

    queries, points, label, excluded = (np.asarray(part) for part in problem)
    usable = np.flatnonzero(label != ABSENT)
    if len(usable) == 0:
        return jnp.full((len(queries), k), jnp.inf, queries.dtype), jnp.full((len(queries), k), ABSENT)
    count = k + 1 + bool((excluded >= 0).any())
    tree = cKDTree(points[usable], leafsize=LEAF, balanced_tree=False, compact_nodes=points.shape[1] >= 8)
    reach, candidates = (part.reshape(len(queries), count) for part in tree.query(queries, k=count, workers=-1))
    candidates = np.append(usable, ABSENT)[candidates]
    candidates = np.where(np.isfinite(reach), candidates, ABSENT).astype(np.int32)
    best, index = (np.array(part) for part in _rank(problem, candidates, k=k))
    # A point beyond the candidates is at least `beyond` away, up to rounding of the square and of the sum.
    kind = np.finfo(queries.dtype)
    beyond = reach[:, -1] ** 2 * (1 - (queries.shape[1] + 4) * float(kind.eps))
    beyond = np.where(beyond > 4 * float(kind.tiny), beyond, 0)
    doubtful = np.flatnonzero(~(best[:, -1] < beyond) & np.isfinite(reach[:, -1]))
    if len(doubtful):
        best[doubtful], index[doubtful] = _search_without_tree(problem, doubtful, k=k, memory=memory)
    return jnp.asarray(best), jnp.asarray(index)


_brute_force_search = jit(static_argnames=("k", "memory"))(brute_force_search)
_box_search = jit(static_argnames=("k", "memory"))(box_search)


@jit(static_argnames="k")
def _rank(problem: Problem, candidates: Int[Array, "m c"], *, k: int) -> Ranked:
    """Return the k nearest candidates by direct distance and index."""
    label = jnp.where(candidates == problem.excluded[:, None], ABSENT, candidates)
    points: Float[Array, "m c d"] = problem.points[jnp.where(label == ABSENT, 0, label)]
    value = squared_distance(problem.queries[:, :, None], jnp.swapaxes(points, 1, 2))
    return smallest(jnp.where(label == ABSENT, jnp.inf, value), label, k)


def _search_without_tree(
    problem: Problem, rows: Int[np.ndarray, " r"], *, k: int, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """Search some queries again; their number is rounded up, so that few shapes are compiled."""
    size = 16 if len(rows) <= 16 else 1 << (len(rows) - 1).bit_length()
    padded = np.concatenate([rows, np.full(size - len(rows), rows[0])])
    part = problem._replace(queries=problem.queries[padded], excluded=problem.excluded[padded])
    search = _brute_force_search if len(rows) <= 64 or len(problem.points) <= 2048 or k > 64 else _box_search
    value, index = search(part, k=k, memory=memory)
    return np.asarray(value)[: len(rows)], np.asarray(index)[: len(rows)]
