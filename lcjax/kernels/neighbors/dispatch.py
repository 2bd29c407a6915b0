"""Exact nearest neighbors by the algorithm that is fastest for the shapes, or by a given one."""

import contextlib
from typing import SupportsIndex

import jax
import numpy as np
from jaxtyping import Num

from lcjax.kernels.arguments import Nested, as_count, as_real
from lcjax.kernels.compilation import jit
from lcjax.kernels.neighbors.boxes import box_search
from lcjax.kernels.neighbors.brute_force import brute_force_search
from lcjax.kernels.neighbors.distance import Neighbors, Search, narrow, needs_double, search_rows
from lcjax.kernels.neighbors.kdtree import kdtree_search
from lcjax.kernels.neighbors.matmul import matmul_search
from lcjax.kernels.neighbors.sorted_line import sorted_line_search
from lcjax.typing import Array

__all__ = ["choose_search", "nearest_neighbors"]

FEW = 1024  # points up to which comparing every pair costs less than any structure


def nearest_neighbors(
    queries: Num[Array, "m d"] | Nested,
    points: Num[Array, "n _"] | Nested,
    k: SupportsIndex = 1,
    *,
    search: Search | None = None,
    exclude_self: bool = False,
    squared: bool = False,
    memory: SupportsIndex = 2**28,
) -> Neighbors:
    """Find the exact Euclidean nearest neighbors of each query among the points, nearest first.

    The squared distance of a pair, `sum_j (q_j - x_j)^2`, rounded after every operation in the dtype of the
    computation, decides the order; ties go to the lower index. The distances (not the indices) are differentiable in
    queries and points: along the difference, with derivative 0 where two points coincide. A row with a nan or infinite
    coordinate has no position: as a query it gets nan and index -1, as a point it is never a neighbor.

    Works under `jit`, `vmap`, `grad` and `shard_map`; `sharded_neighbors` splits one search over a mesh. The automatic
    choice depends on shapes and backend only: `kdtree_search` for concrete arrays on a CPU with 2 <= d <= 8 and more
    than 1024 points, otherwise that of `choose_search`. Every algorithm gives the same answer.

    Args:
        queries: m points in d dimensions, floating (float16 and bfloat16 are computed in float32) or integer. NumPy's
            arrays of 64 bits whose differences single precision does not hold are computed in float64.
        points: n points in the same unit, whatever it is.
        k: neighbors per query, static, 1 <= k <= n (n - 1 with `exclude_self`).
        search: the algorithm, static, one of `box_search`, `brute_force_search`, `kdtree_search`, `matmul_search` and
            `sorted_line_search`, or a function like them; None to choose it by shape.
        exclude_self: queries and points are the same set, and no point is its own neighbor.
        squared: return squared distances.
        memory: bytes that the temporaries may take, beside the inputs, their sorted copy and the result.

    Returns:
        `Neighbors` with `distance` and `index`, both `(m, k)`, and the name of the search. The distance has the
        inputs' floating dtype (JAX's default for integers), the index int32.

    Raises:
        ValueError: `k` or `memory` is outside its range, shapes do not match or are symbolic, or the dtype is not real.

    Examples:
        >>> import jax.numpy as jnp
        >>> nearest = nearest_neighbors(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0], [6.0, 8.0]]), k=2)
        >>> nearest.distance.tolist(), nearest.index.tolist()
        ([[5.0, 10.0]], [[0, 1]])
    """
    queries, points = as_real(queries, "queries"), as_real(points, "points")
    k, memory = as_count(k, "k"), as_count(memory, "memory")
    if search is None:
        n, d = points.shape if points.ndim == 2 and isinstance(points.shape[0], int) else (0, 0)
        search = kdtree_search if _tree_is_fastest(queries, points, k) else choose_search(n, d, k)
    elif not callable(search):
        raise ValueError(f"search must be a function such as lcjax.kernels.neighbors.box_search, got {search!r}.")
    run = search_rows if search is kdtree_search else _search_rows
    double = needs_double(queries, points)
    with jax.enable_x64(True) if double else contextlib.nullcontext():
        result = run(queries, points, k, search=search, exclude_self=exclude_self, squared=squared, memory=memory)
    return narrow(result, queries, points) if double else result


_search_rows = jit(static_argnames=("k", "search", "exclude_self", "squared", "memory"))(search_rows)


def choose_search(n: int, d: int, k: int) -> Search:
    """Choose the search for n points in d dimensions that runs under transformations.

    Every pair up to 1024 points; beyond, one sort for d = 1, boxes up to d = 5 (up to d = 8 for more than 2e5 points,
    where all products would cost more than the boxes that a walk opens), products for more dimensions or many
    neighbors.
    """
    if n <= FEW or 4 * k >= n:
        return brute_force_search
    if d == 1:
        return sorted_line_search
    if k <= 64 and (d <= 5 or (d <= 8 and n > 200_000)):
        return box_search
    return matmul_search


def _tree_is_fastest(queries: Array, points: Array, k: int) -> bool:
    """Return True for concrete arrays on the CPU of a shape for which SciPy's tree is the fastest."""
    if isinstance(queries, jax.core.Tracer) or isinstance(points, jax.core.Tracer) or points.ndim != 2:
        return False
    on_host = all(
        isinstance(x, np.ndarray) or (len(x.devices()) == 1 and next(iter(x.devices())).platform == "cpu")
        for x in (queries, points)
    )
    n, d = points.shape
    return on_host and jax.default_backend() == "cpu" and n > FEW and 2 <= d <= 8 and k <= 64
