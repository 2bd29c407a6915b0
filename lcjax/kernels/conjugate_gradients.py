"""Conjugate gradients on a kernel matrix that is never stored, its rows split over the devices of a mesh."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float

from lcjax.kernels.compilation import jit

__all__ = ["conjugate_gradients"]

_HIGHEST = jax.lax.Precision.HIGHEST


def conjugate_gradients(
    kernel: Any,
    points: Float[jax.Array, "n d"],
    targets: Float[jax.Array, "n c"],
    *,
    ridge: float = 0.0,
    rows: int = 1024,
    mesh: Mesh | None = None,
    rank: int = 0,
    tolerance: float = 1e-4,
    most: int = 1000,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Solve `(K + ridge I) alpha = targets`, all columns side by side.

    Each device works out `rows` rows of its share of K at a time and multiplies them; nothing larger than `rows` times
    n is stored. The preconditioner is the randomized Nystrom approximation of Frangella, Tropp and Udell (2023,
    Algorithm 2.1 and Eq. 1.3), with its smallest eigenvalue in place of the ridge where that is smaller.

    Args:
        kernel: a pytree that is called, `(m, d), (n, d) -> (m, n)`.
        points: n points.
        targets: c columns.
        ridge: added to the diagonal.
        rows: of a tile.
        mesh: of devices, along whose first axis the rows are split; one device by default.
        rank: of the preconditioner, 0 for none.
        tolerance: norm of a column's residual relative to that of its targets.
        most: largest number of iterations.

    Returns:
        Coefficients `(n, c)`, largest residual `()`, iterations `()`, whether every column reached the tolerance `()`.
    """
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("rows",)) if mesh is None else Mesh(mesh.devices, mesh.axis_names)
    return _solve(kernel, points, targets, ridge, tolerance, most, rows, mesh, rank)


@jit(static_argnames=("rows", "mesh", "rank"))
def _solve(
    kernel: Any, points: Any, targets: Any, ridge: Any, tolerance: Any, most: Any, rows: int, mesh: Mesh, rank: int
) -> tuple[jax.Array, ...]:
    n = len(points)
    axis, devices = mesh.axis_names[0], mesh.shape[mesh.axis_names[0]]
    rows = min(rows, -(-n // devices))
    padded = jnp.pad(points, ((0, -n % (rows * devices)), (0, 0)))

    def share(part: jax.Array, points: jax.Array, vectors: jax.Array) -> jax.Array:
        tiles = part.reshape(-1, rows, part.shape[1])
        products = jax.lax.map(lambda tile: jnp.matmul(kernel(tile, points), vectors, precision=_HIGHEST), tiles)
        return products.reshape(len(part), -1)

    split, whole = PartitionSpec(axis), PartitionSpec()
    sharded = jax.shard_map(share, mesh=mesh, in_specs=(split, whole, whole), out_specs=split, check_vma=False)

    def times(vectors: jax.Array) -> jax.Array:
        return sharded(padded, points, vectors)[:n] + ridge * vectors

    basis = damp = jnp.zeros(0)
    if rank:
        basis, damp = _nystrom(times, n, points.dtype, ridge, rank)

    def precondition(residual: jax.Array) -> jax.Array:
        if not rank:
            return residual
        inside = jnp.matmul(basis.T, residual, precision=_HIGHEST)
        return residual + jnp.matmul(basis, (damp - 1)[:, None] * inside, precision=_HIGHEST)

    def goes_on(state: Any) -> jax.Array:
        _, residual, _, _, step = state
        return (step < most) & jnp.any(jnp.sum(residual**2, axis=0) > limit)

    def iterate(state: Any) -> Any:
        alpha, residual, direction, product, step = state
        image = times(direction)
        curvature = jnp.sum(direction * image, axis=0)
        length = jnp.where(curvature > 0, product / jnp.where(curvature > 0, curvature, 1), 0)
        alpha, residual = alpha + length * direction, residual - length * image
        corrected = precondition(residual)
        new = jnp.sum(residual * corrected, axis=0)
        return alpha, residual, corrected + jnp.where(product > 0, new / product, 0) * direction, new, step + 1

    limit = tolerance**2 * jnp.sum(targets**2, axis=0)
    corrected = precondition(targets)
    product = jnp.sum(targets * corrected, axis=0)
    start = jnp.zeros_like(targets), targets, corrected, product, jnp.int32(0)
    alpha, _, _, _, step = jax.lax.while_loop(goes_on, iterate, start)
    residual = targets - times(alpha)
    converged = jnp.all(jnp.sum(residual**2, axis=0) <= 4 * limit)
    return alpha, jnp.max(jnp.abs(residual)), step, converged


def _nystrom(times: Any, n: int, dtype: Any, ridge: Any, rank: int) -> tuple[jax.Array, jax.Array]:
    """Eigenvectors `(n, rank)` and what the preconditioner multiplies them with."""
    test, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (n, rank), dtype))
    sketch = times(test) - ridge * test
    shift = jnp.finfo(dtype).eps * jnp.linalg.norm(sketch)
    sketch = sketch + shift * test
    factor = jnp.linalg.cholesky(jnp.matmul(test.T, sketch, precision=_HIGHEST))
    half = jax.scipy.linalg.solve_triangular(factor, sketch.T, lower=True).T
    basis, singular, _ = jnp.linalg.svd(half, full_matrices=False)
    value = jnp.maximum(singular**2 - shift, 0)
    floor = jnp.maximum(value[-1], ridge)
    return basis, (value[-1] + floor) / (value + floor)
