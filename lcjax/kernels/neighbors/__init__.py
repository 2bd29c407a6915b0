"""Exact nearest neighbours: `nearest_neighbors` chooses among the algorithms of this package."""

import jax
import numpy as np
from jaxtyping import Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.boxes import tiles_neighbors
from lcjax.kernels.neighbors.brute_force import scan_neighbors
from lcjax.kernels.neighbors.dispatch import FEW, traced_search
from lcjax.kernels.neighbors.distance import Neighbors, search_rows
from lcjax.kernels.neighbors.kdtree import tree_neighbors
from lcjax.kernels.neighbors.matmul import products_neighbors
from lcjax.kernels.neighbors.sharded import sharded_neighbors
from lcjax.kernels.neighbors.sorted_line import line_neighbors

__all__ = [
    "Neighbors",
    "line_neighbors",
    "nearest_neighbors",
    "products_neighbors",
    "scan_neighbors",
    "sharded_neighbors",
    "tiles_neighbors",
    "tree_neighbors",
]

Array = jax.Array | np.ndarray


def nearest_neighbors(
    queries: Num[Array, "m d"],
    points: Num[Array, "n _"],
    k: int = 1,
    *,
    exclude_self: bool = False,
    squared: bool = False,
    memory: int = 2**28,
) -> Neighbors:
    """Exact Euclidean nearest neighbours of each query among the points, nearest first.

    A pair's squared distance is `sum_j (q_j - x_j)^2`, rounded after every operation in the dtype of the
    computation; it decides the order, and equal ones go to the lower index. The distances (not the indices) have
    derivatives with respect to queries and points: along the difference, 0 where two points coincide. Rows with a
    coordinate that is nan or infinite have no position: as a query such a row gets nan and index -1, as a point it
    is never chosen.

    Works under `jit`, `vmap`, `grad` and `shard_map`; `sharded_neighbors` splits one search over a mesh. The choice
    depends on shapes and backend only: concrete arrays on a CPU with 2 <= d <= 8 and more than 1024 points go to
    `tree_neighbors`, all others to the choice of `traced_search`. Every algorithm gives the same answer.

    Args:
        queries: m points in d dimensions, floating (float16 and bfloat16 are computed in float32) or integer.
        points: n points in the same unit.
        k: neighbours per query, static, 1 <= k <= n (n - 1 with `exclude_self`).
        exclude_self: queries and points are the same set, and no point is its own neighbour.
        squared: return squared distances.
        memory: bytes that the temporaries may take, beside the inputs, their sorted copy and the result.

    Returns:
        `Neighbors` with `distance` and `index`, both `(m, k)`, and the name of the algorithm. The distance has
        the inputs' floating dtype (JAX's default one for integers), the index int32.

    Raises:
        ValueError: `k` is outside its range, shapes do not match, or the dtype is not real.

    Examples:
        >>> import jax.numpy as jnp
        >>> found = nearest_neighbors(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0], [6.0, 8.0]]), k=2)
        >>> found.distance.tolist(), found.index.tolist()
        ([[5.0, 10.0]], [[0, 1]])
    """
    if _tree_wins(queries, points, k):
        return tree_neighbors(queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory)
    return _traced(queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory)


@jit(static_argnames=("k", "exclude_self", "squared", "memory"))
def _traced(
    queries: Num[Array, "m d"], points: Num[Array, "n _"], k: int, *, exclude_self: bool, squared: bool, memory: int
) -> Neighbors:
    n, d = points.shape if points.ndim == 2 else (0, 0)
    search, method = traced_search(n, d, k)
    return search_rows(
        search, queries, points, k, exclude_self=exclude_self, squared=squared, memory=memory, method=method
    )


def _tree_wins(queries: Array, points: Array, k: int) -> bool:
    """Whether both arrays are concrete, on the CPU and of a shape for which SciPy's tree is the faster."""
    if isinstance(queries, jax.core.Tracer) or isinstance(points, jax.core.Tracer) or points.ndim != 2:
        return False
    on_host = all(
        isinstance(x, np.ndarray) or (len(x.devices()) == 1 and next(iter(x.devices())).platform == "cpu")
        for x in (queries, points)
    )
    n, d = points.shape
    return on_host and jax.default_backend() == "cpu" and n > FEW and 2 <= d <= 8 and k <= 64
