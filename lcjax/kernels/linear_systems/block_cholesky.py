"""Cholesky factor of a kernel matrix that is never stored: lower blocks, each evaluated once."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from lcjax.kernels.compilation import jit
from lcjax.typing import OnProgress, Progress

__all__ = ["Factor", "Kernel", "factorize", "solve"]

_HIGHEST = jax.lax.Precision.HIGHEST

Kernel: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]  # a pytree, `(m, d), (n, d) -> (m, n)`
Factor: TypeAlias = list[list[jax.Array]]  # block rows of the lower triangle, each block (b, b)
Block: TypeAlias = Float[jax.Array, "b b"]
Rows: TypeAlias = Float[jax.Array, "b d"]


def factorize(
    kernel: Kernel,
    points: Float[jax.Array, "n d"],
    *,
    ridge: float = 0.0,
    block: int = 1024,
    on_progress: OnProgress | None = None,
) -> Factor:
    """Compute the lower Cholesky factor of `K + ridge I`, block by block.

    Each block of K is evaluated, reduced by the blocks to its left, and factored or solved in place, so that memory
    never holds more than the blocks of the factor and three others. The last block is padded with an identity.

    Args:
        kernel: a pytree that is called, `(m, d), (n, d) -> (m, n)`.
        points: n points.
        ridge: added to the diagonal.
        block: rows of a block.
        on_progress: called after each row of blocks, in stage "factorize".

    Returns:
        Block rows; nan where the matrix is not positive definite.

    Examples:
        >>> kernel = jax.tree_util.Partial(lambda x, y: x @ y.T)
        >>> factor = factorize(kernel, jnp.array([[2.0], [0.0]]), ridge=5.0)
        >>> solve(factor, jnp.array([[9.0], [5.0]])).round(3).tolist()
        [[1.0], [1.0]]
    """
    n = len(points)
    parts = _split(points, block)
    factor: Factor = []
    for i, rows in enumerate(parts):
        count = jnp.int32(min(block, n - i * block))
        row: list[jax.Array] = []
        for j in range(i):
            piece = _off_diagonal(kernel, rows, parts[j], count)
            for k in range(j):
                piece = _minus_product(piece, row[k], factor[j][k])
            row.append(_divide(piece, factor[j][j]))
        piece = _diagonal(kernel, rows, count, ridge)
        for left in row:
            piece = _minus_product(piece, left, left)
        row.append(_cholesky(piece))
        factor.append(row)
        if on_progress is not None:
            row[-1].block_until_ready()
            on_progress(Progress("factorize", i + 1, len(parts)))
    return factor


def solve(factor: Factor, right: Float[jax.Array, "n c"]) -> Float[jax.Array, "n c"]:
    """Solve `L L^T x = right` by the blocks of L; see `factorize` for an example."""
    parts = _split(right, factor[0][0].shape[0])
    for i, row in enumerate(factor):
        for j in range(i):
            parts[i] = parts[i] - jnp.matmul(row[j], parts[j], precision=_HIGHEST)
        parts[i] = jax.scipy.linalg.solve_triangular(row[i], parts[i], lower=True)
    for i in reversed(range(len(factor))):
        for j in range(i + 1, len(factor)):
            parts[i] = parts[i] - jnp.matmul(factor[j][i].T, parts[j], precision=_HIGHEST)
        parts[i] = jax.scipy.linalg.solve_triangular(factor[i][i], parts[i], lower=True, trans=1)
    return jnp.concatenate(parts)[: len(right)]


def _split(rows: Float[jax.Array, "n c"], block: int) -> list[jax.Array]:
    """Split rows into blocks, the last one padded with zeros."""
    padded = jnp.pad(rows, ((0, -len(rows) % block), (0, 0)))
    return [padded[i : i + block] for i in range(0, len(rows), block)]


@jit
def _off_diagonal(kernel: Kernel, rows: Rows, columns: Rows, count: Int[jax.Array, ""]) -> Block:
    return jnp.where(jnp.arange(len(rows))[:, None] < count, kernel(rows, columns), 0)


@jit
def _diagonal(kernel: Kernel, rows: Rows, count: Int[jax.Array, ""], ridge: jax.Array | float) -> Block:
    number = jnp.arange(len(rows))
    present = (number[:, None] < count) & (number < count)
    unit = jnp.eye(len(rows), dtype=rows.dtype)
    return jnp.where(present, kernel(rows, rows) + ridge * unit, unit)


@jit(donate_argnames="piece")
def _minus_product(piece: Block, left: Block, above: Block) -> Block:
    return piece - jnp.matmul(left, above.T, precision=_HIGHEST)


@jit(donate_argnames="piece")
def _cholesky(piece: Block) -> Block:
    return jnp.asarray(jnp.linalg.cholesky(piece, symmetrize_input=False))


@jit(donate_argnames="piece")
def _divide(piece: Block, triangle: Block) -> Block:
    return jnp.asarray(jax.scipy.linalg.solve_triangular(triangle, piece.T, lower=True)).T
