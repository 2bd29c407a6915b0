"""Cholesky factor of a kernel matrix that is never stored: lower blocks, worked out as their turn comes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from lcjax.kernels.compilation import jit

__all__ = ["factorize", "solve"]

_HIGHEST = jax.lax.Precision.HIGHEST

Factor = list[list[jax.Array]]  # block rows of the lower triangle, each block (b, b)


def factorize(
    kernel: Callable[[Any, Any], Any],
    points: Float[jax.Array, "n d"],
    *,
    ridge: float = 0.0,
    block: int = 1024,
    on_progress: Callable[[int, int], None] | None = None,
) -> Factor:
    """Lower Cholesky factor of `K + ridge I`, block by block.

    Each block of K is worked out, freed of what lies left of it, and factored or solved in place, so that memory never
    holds more than the blocks of the factor and three others. The last block is filled up with those of an identity.

    Args:
        kernel: a pytree that is called, `(m, d), (n, d) -> (m, n)`.
        points: n points.
        ridge: added to the diagonal.
        block: rows of a block.
        on_progress: called after each row of blocks with the number of those done and of all.

    Returns:
        Block rows; nan where the matrix is not positive definite.
    """
    n = len(points)
    padded = jnp.pad(points, ((0, -n % block), (0, 0)))
    parts = [padded[i : i + block] for i in range(0, n, block)]
    factor: Factor = []
    for i, rows in enumerate(parts):
        count = min(block, n - i * block)
        row: list[jax.Array] = []
        for j in range(i):
            piece = _off_diagonal(kernel, rows, parts[j], jnp.int32(count))
            for k in range(j):
                piece = _minus_product(piece, row[k], factor[j][k])
            row.append(_divide(piece, factor[j][j]))
        piece = _diagonal(kernel, rows, jnp.int32(count), ridge)
        for left in row:
            piece = _minus_product(piece, left, left)
        row.append(_cholesky(piece))
        factor.append(row)
        if on_progress is not None:
            row[-1].block_until_ready()
            on_progress(i + 1, len(parts))
    return factor


def solve(factor: Factor, right: Float[jax.Array, "n c"]) -> Float[jax.Array, "n c"]:
    """Solve `L L^T x = right` by the blocks of L."""
    n, block = len(right), factor[0][0].shape[0]
    padded = jnp.pad(right, ((0, -n % block), (0, 0)))
    parts = [padded[i : i + block] for i in range(0, n, block)]
    for i, row in enumerate(factor):
        for j in range(i):
            parts[i] = parts[i] - jnp.matmul(row[j], parts[j], precision=_HIGHEST)
        parts[i] = jax.scipy.linalg.solve_triangular(row[i], parts[i], lower=True)
    for i in reversed(range(len(factor))):
        for j in range(i + 1, len(factor)):
            parts[i] = parts[i] - jnp.matmul(factor[j][i].T, parts[j], precision=_HIGHEST)
        parts[i] = jax.scipy.linalg.solve_triangular(factor[i][i], parts[i], lower=True, trans=1)
    return jnp.concatenate(parts)[:n]


@jit
def _off_diagonal(kernel: Any, rows: Any, columns: Any, count: Any) -> jax.Array:
    return jnp.where(jnp.arange(len(rows))[:, None] < count, kernel(rows, columns), 0)


@jit
def _diagonal(kernel: Any, rows: Any, count: Any, ridge: Any) -> jax.Array:
    number = jnp.arange(len(rows))
    present = (number[:, None] < count) & (number < count)
    unit = jnp.eye(len(rows), dtype=rows.dtype)
    return jnp.where(present, kernel(rows, rows) + ridge * unit, unit)


@jit(donate_argnames="piece")
def _minus_product(piece: Any, left: Any, above: Any) -> jax.Array:
    return piece - jnp.matmul(left, above.T, precision=_HIGHEST)


@jit(donate_argnames="piece")
def _cholesky(piece: Any) -> jax.Array:
    return jnp.linalg.cholesky(piece, symmetrize_input=False)


@jit(donate_argnames="piece")
def _divide(piece: Any, triangle: Any) -> jax.Array:
    return jax.scipy.linalg.solve_triangular(triangle, piece.T, lower=True).T
