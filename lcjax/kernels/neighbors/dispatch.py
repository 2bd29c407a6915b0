"""Which algorithm serves which shapes."""

from collections.abc import Callable

import jax

from lcjax.kernels.neighbors.boxes import tiles_search
from lcjax.kernels.neighbors.brute_force import scan_search
from lcjax.kernels.neighbors.matmul import products_search
from lcjax.kernels.neighbors.sorted_line import line_search

__all__ = ["traced_search"]

FEW = 1024  # points up to which comparing every pair costs less than any structure


def traced_search(n: int, d: int, k: int) -> tuple[Callable[..., tuple[jax.Array, jax.Array]], str]:
    """The search that runs under transformations for n points in d dimensions, and its name.

    Every pair up to 1024 points; else one sort for d = 1, boxes up to d = 5 (up to d = 8 beyond 2e5 points, where
    every product would cost more than the boxes that a walk opens), products for more dimensions or many neighbours.
    """
    if n <= FEW or 4 * k >= n:
        return scan_search, "scan"
    if d == 1:
        return line_search, "line"
    if k <= 64 and (d <= 5 or (d <= 8 and n > 200_000)):
        return tiles_search, "tiles"
    return products_search, "products"
