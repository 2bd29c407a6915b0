"""Conjugate gradients on a kernel matrix that is never stored, its rows split over the devices of a mesh."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Bool, Float, Int

from lcjax.kernels.compilation import jit
from lcjax.kernels.linear_systems.block_cholesky import Kernel

__all__ = ["KernelSolution", "conjugate_gradients"]

_HIGHEST = jax.lax.Precision.HIGHEST

Columns: TypeAlias = Float[jax.Array, "n c"]


class KernelSolution(NamedTuple):
    """Solution of a linear system.

    Attributes:
        coefficients: `(n, c)`.
        residual: largest absolute residual, `()`.
        iterations: number taken, `()`.
        converged: True if every column has reached the tolerance, `()`.
    """

    coefficients: Columns
    residual: Float[jax.Array, ""]
    iterations: Int[jax.Array, ""]
    converged: Bool[jax.Array, ""]


class _State(NamedTuple):
    """State of the iteration; `product` is the inner product of the residual and its preconditioned form, `(c,)`."""

    alpha: Columns
    residual: Columns
    direction: Columns
    product: Float[jax.Array, " c"]
    step: Int[jax.Array, ""]


def conjugate_gradients(
    kernel: Kernel,
    points: Float[jax.Array, "n d"],
    targets: Columns,
    *,
    ridge: float = 0.0,
    rows: int = 1024,
    mesh: Mesh | None = None,
    rank: int = 0,
    tolerance: float = 1e-4,
    most: int = 1000,
) -> KernelSolution:
    """Solve `(K + ridge I) alpha = targets` for all columns at once.

    Each device evaluates `rows` rows of its share of K at a time and multiplies them; nothing larger than `rows` times
    n is stored. The preconditioner is the randomized Nystrom approximation of Frangella, Tropp and Udell (2023,
    Algorithm 2.1 and Eq. (1.3)), with its smallest eigenvalue in place of the ridge where that is smaller.

    Args:
        kernel: a pytree that is called, `(m, d), (n, d) -> (m, n)`.
        points: n points.
        targets: c columns.
        ridge: added to the diagonal.
        rows: rows of a tile.
        mesh: devices, along whose first axis the rows are split; None for one device.
        rank: rank of the preconditioner, 0 for none.
        tolerance: largest norm of a column's residual relative to that of its targets; `converged` allows twice this
            for the residual that is evaluated at the end.
        most: largest number of iterations.

    Examples:
        >>> kernel = jax.tree_util.Partial(lambda x, y: x @ y.T)
        >>> solution = conjugate_gradients(kernel, jnp.array([[2.0], [0.0]]), jnp.array([[9.0], [5.0]]), ridge=5.0)
        >>> solution.coefficients.round(3).tolist(), bool(solution.converged)
        ([[1.0], [1.0]], True)
    """
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("rows",)) if mesh is None else Mesh(mesh.devices, mesh.axis_names)
    return _solve(kernel, points, targets, ridge, tolerance, most, rows, mesh, rank)


@jit(static_argnames=("rows", "mesh", "rank"))
def _solve(
    kernel: Kernel,
    points: Float[jax.Array, "n d"],
    targets: Columns,
    ridge: jax.Array | float,
    tolerance: jax.Array | float,
    most: jax.Array | int,
    rows: int,
    mesh: Mesh,
    rank: int,
) -> KernelSolution:
    n = len(points)
    axis, devices = mesh.axis_names[0], mesh.shape[mesh.axis_names[0]]
    rows = min(rows, -(-n // devices))
    padded = jnp.pad(points, ((0, -n % (rows * devices)), (0, 0)))

    def multiply_share(part: jax.Array, points: jax.Array, vectors: jax.Array) -> jax.Array:
        tiles = part.reshape(-1, rows, part.shape[1])
        products = jax.lax.map(lambda tile: jnp.matmul(kernel(tile, points), vectors, precision=_HIGHEST), tiles)
        return jnp.reshape(products, (len(part), -1))

    split, whole = PartitionSpec(axis), PartitionSpec()
    multiply_rows = jax.shard_map(
        multiply_share, mesh=mesh, in_specs=(split, whole, whole), out_specs=split, check_vma=False
    )

    def multiply(vectors: jax.Array) -> jax.Array:
        return jnp.asarray(multiply_rows(padded, points, vectors)[:n] + ridge * vectors)

    basis = damp = jnp.zeros(0)
    if rank:
        basis, damp = _nystrom(multiply, n, points.dtype, ridge, rank)

    def precondition(residual: jax.Array) -> jax.Array:
        if not rank:
            return residual
        inside = jnp.matmul(basis.T, residual, precision=_HIGHEST)
        return residual + jnp.matmul(basis, (damp - 1)[:, None] * inside, precision=_HIGHEST)

    limit = tolerance**2 * jnp.sum(targets**2, axis=0)

    def unfinished(state: _State) -> jax.Array:
        return (state.step < most) & jnp.any(jnp.sum(state.residual**2, axis=0) > limit)

    def iterate(state: _State) -> _State:
        alpha, residual, direction, product, step = state
        image = multiply(direction)
        curvature = jnp.sum(direction * image, axis=0)
        length = jnp.where(curvature > 0, product / jnp.where(curvature > 0, curvature, 1), 0)
        alpha, residual = alpha + length * direction, residual - length * image
        corrected = precondition(residual)
        new = jnp.sum(residual * corrected, axis=0)
        direction = corrected + jnp.where(product > 0, new / product, 0) * direction
        return _State(alpha, residual, direction, new, step + 1)

    corrected = precondition(targets)
    product = jnp.sum(targets * corrected, axis=0)
    start = _State(jnp.zeros_like(targets), targets, corrected, product, jnp.int32(0))
    end = jax.lax.while_loop(unfinished, iterate, start)
    residual = targets - multiply(end.alpha)
    converged = jnp.all(jnp.sum(residual**2, axis=0) <= 4 * limit)
    return KernelSolution(end.alpha, jnp.max(jnp.abs(residual)), end.step, converged)


def _nystrom(
    multiply: Callable[[jax.Array], jax.Array], n: int, dtype: jnp.dtype, ridge: jax.Array | float, rank: int
) -> tuple[jax.Array, jax.Array]:
    """Return eigenvectors `(n, rank)` and the factors by which the preconditioner multiplies them, `(rank,)`."""
    test, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (n, rank), dtype))
    sketch = multiply(test) - ridge * test
    shift = np.finfo(dtype).eps * jnp.linalg.norm(sketch)
    sketch = sketch + shift * test
    factor = jnp.linalg.cholesky(jnp.matmul(test.T, sketch, precision=_HIGHEST))
    half = jax.scipy.linalg.solve_triangular(factor, sketch.T, lower=True).T
    basis, singular, _ = jnp.linalg.svd(half, full_matrices=False)
    value = jnp.maximum(singular**2 - shift, 0)
    floor = jnp.maximum(value[-1], ridge)
    return basis, (value[-1] + floor) / (value + floor)
