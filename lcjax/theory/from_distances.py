"""The learning curve from nearest-neighbor distances alone, without densities or Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.theory.laws import check_power
from lcjax.typing import Array, Scalar

__all__ = ["error_from_distances", "subset_tail"]


def error_from_distances(
    distance: Float[Array, "m k"],
    size: Num[Array, " s"],
    radius: Scalar,
    *,
    points: Scalar | int | None = None,
    power: int = 1,
    tolerance: Scalar = 1e-3,
) -> Float[jax.Array, " s"]:
    """Compute the expected error at every smaller training-set size, from the distances to one training set.

    The nearest point of a random subset of n of the M training points is the j-th nearest of all with probability

        C(M - j, n - 1) / C(M, n) = n / M * prod_{i=1}^{j-1} (1 - (n - 1) / (M - i))

    so that one search for k neighbors gives the exact mean of `Phi = min(1, (R / delta)^power)` (Bisla et al., 2021,
    Eq. (1)) over all subsets. Subsets without any of the k nearest points, a share `subset_tail`, have a distance of at
    least the k-th and are counted with the k-th. The truncation error is bounded by `tail * (1 - Phi_k)`, averaged over
    test points; where this exceeds `tolerance` times the error, the result is nan. There is no truncation error with
    k = M, or where the k-th distances exceed the radius.

    Args:
        distance: from m test points to their k nearest training points, ascending, `(m, k)`.
        size: numbers of training examples, `(s,)`, whole, in 1..M.
        radius: delta, in the unit of the distances.
        points: M, the size of the training set; k by default.
        power: 1 for the distance, 2 for its square, static.
        tolerance: largest truncation error relative to the error; infinity accepts any.

    Returns:
        Error at each size, `(s,)`, in the dtype of the distances; nan where a size is outside 1..M or the truncation
        error is too large.

    Raises:
        ValueError: `power` is neither 1 nor 2, or `points` (where known) is smaller than k.

    Examples:
        >>> import jax.numpy as jnp
        >>> distance = jnp.array([[0.1, 0.2, 0.6]])  # a subset of 2 of 3 points has the first in 2 of 3 cases
        >>> print(*(f"{error:.4f}" for error in error_from_distances(distance, jnp.array([1, 2, 3]), 1.0)))
        0.3000 0.1333 0.1000
    """
    check_power(power)
    k = distance.shape[1]
    if isinstance(points, int | np.integer) and points < k:
        raise ValueError(f"points must be at least the number of neighbors, {k}, got points={points}.")
    return _error_from_distances(distance, size, radius, k if points is None else points, tolerance, power=power)


@jit(static_argnames="power")
def _error_from_distances(
    distance: Float[Array, "m k"],
    size: Num[Array, " s"],
    radius: Scalar,
    points: Scalar | int,
    tolerance: Scalar,
    *,
    power: int,
) -> Float[jax.Array, " s"]:
    distance = jnp.asarray(distance)
    k = distance.shape[1]
    total = jnp.asarray(points, distance.dtype)
    error = jnp.mean(jnp.minimum(1, (distance / jnp.asarray(radius)) ** power), axis=0)

    def error_at(n: Float[jax.Array, ""]) -> Float[jax.Array, ""]:
        tail, nearest = _rank_probabilities(n, total, k, distance.dtype)
        truncation = tail * (1 - error[-1])
        value = jnp.sum(nearest * error) + tail * error[-1]
        return jnp.where((n >= 1) & (n <= total) & (truncation <= jnp.asarray(tolerance) * value), value, jnp.nan)

    return jnp.asarray(lax.map(error_at, jnp.asarray(size, distance.dtype)))


@jit(static_argnames="k")
def subset_tail(size: Num[Array, "*s"] | int, points: Scalar | int, k: int) -> Float[jax.Array, "*s"]:
    """Return the share of subsets of n of M points without any of the k nearest, `C(M - k, n) / C(M, n)`.

    Sizes n are whole, in 1..M; k is static, and the result has JAX's default floating dtype.

    Examples:
        >>> print(subset_tail(2, 4, 1))
        0.5
    """
    dtype = jnp.result_type(float)
    size = jnp.asarray(size, dtype)
    tail, _ = jax.vmap(lambda n: _rank_probabilities(n, points, k, dtype))(size.reshape(-1))
    return tail.reshape(size.shape)


def _rank_probabilities(
    n: Float[jax.Array, ""], points: Scalar | int, k: int, dtype: jnp.dtype
) -> tuple[Float[jax.Array, ""], Float[jax.Array, " k"]]:
    """Return the probability that a random subset of n has none of the first k points, and that each is its first.

    A running sum of `log(1 - n / (M - i))`: differences of log-gamma functions would lose log10(M) + 1 digits, and so
    would differences of successive probabilities.
    """
    remaining = jnp.asarray(points, dtype) - jnp.arange(k, dtype=dtype)
    possible = remaining > n
    present = jnp.where(possible, n / jnp.where(possible, remaining, 1), 1)
    steps = jnp.where(possible, jnp.log1p(-jnp.where(possible, present, 0)), -jnp.inf)
    absent = jnp.exp(jnp.concatenate([jnp.zeros(1, dtype), jnp.cumsum(steps)]))
    return absent[-1], absent[:-1] * present
