"""The learning curve from nearest-neighbour distances alone: no density, no Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.theory.laws import check_power

__all__ = ["error_from_distances", "subset_tail"]

Array = jax.Array | np.ndarray
Scalar = Num[Array, ""] | float


@jit(static_argnames="power")
def error_from_distances(
    distance: Float[Array, "m k"],
    size: Num[Array, " s"],
    radius: Scalar,
    *,
    points: Num[Array, ""] | int | None = None,
    power: int = 1,
    tolerance: Scalar = 1e-3,
) -> Float[jax.Array, " s"]:
    """Expected error at every smaller training-set size, from the distances to one training set.

    The nearest of a random subset of n of the M training points is the j-th nearest of all with probability

        C(M - j, n - 1) / C(M, n) = n / M * prod_{i=1}^{j-1} (1 - (n - 1) / (M - i))

    so that one search of k neighbours gives the mean of `Phi = min(1, (R / delta)^power)` (Bisla et al. (2021),
    Eq. (1)) over all subsets, exactly. Subsets that hold none of the k nearest, a share `subset_tail`, have a distance
    of at least the k-th: they are counted with the k-th, and where `tail * (1 - Phi_k)`, averaged over test points, a
    bound of what this leaves out, exceeds `tolerance` times the error, the result is nan. With k = M nothing is left
    out, and nothing is where the k-th distances exceed the radius.

    Args:
        distance: from m test points to their k nearest training points, ascending, `(m, k)`.
        size: numbers of training examples, `(s,)`, whole, in 1..M.
        radius: delta, in the unit of the distances.
        points: M, the size of the training set; k if not given.
        power: 1 for the distance, 2 for its square, static.
        tolerance: largest part of an error that may be left out by truncation; infinity accepts any.

    Returns:
        Error at each size, `(s,)`, in the dtype of the distances; nan where a size is outside 1..M or truncation leaves
        out too much.

    Raises:
        ValueError: `power` is neither 1 nor 2, or `points` (where known) is smaller than k.

    Examples:
        >>> import jax.numpy as jnp
        >>> distance = jnp.array([[0.1, 0.2, 0.6]])  # a subset of 2 of 3 points has the first in 2 of 3 cases
        >>> print(*(f"{error:.4f}" for error in error_from_distances(distance, jnp.array([1, 2, 3]), 1.0)))
        0.3000 0.1333 0.1000
    """
    check_power(power)
    distance = jnp.asarray(distance)
    k = distance.shape[1]
    total = k if points is None else points
    if isinstance(total, int | np.integer) and total < k:
        raise ValueError(f"{k} neighbours were found among fewer points: points={total}.")
    error = jnp.mean(jnp.minimum(1, (distance / radius) ** power), axis=0)

    def at(n: jax.Array) -> jax.Array:
        missed, found = _missed_and_found(n, total, k, distance.dtype)
        left_out = missed * (1 - error[-1])
        value = jnp.sum(found * error) + missed * error[-1]
        return jnp.where((n >= 1) & (n <= total) & (left_out <= tolerance * value), value, jnp.nan)

    return lax.map(at, jnp.asarray(size, distance.dtype))


@jit(static_argnames="k")
def subset_tail(size: Num[Array, "*s"], points: Num[Array, ""] | int, k: int) -> Float[jax.Array, "*s"]:
    """Share of the subsets of a given size that hold none of the k nearest points: `C(M - k, n) / C(M, n)`.

    Args:
        size: n, whole, in 1..M.
        points: M.
        k: neighbours, static.

    Returns:
        Share, in JAX's default floating dtype.

    Examples:
        >>> print(subset_tail(2, 4, 1))
        0.5
    """
    dtype = jnp.result_type(float)
    size = jnp.asarray(size, dtype)
    missed, _ = jax.vmap(lambda n: _missed_and_found(n, points, k, dtype))(size.reshape(-1))
    return missed.reshape(size.shape)


def _missed_and_found(
    n: jax.Array, points: Num[Array, ""] | int, k: int, dtype: jnp.dtype
) -> tuple[Float[jax.Array, ""], Float[jax.Array, " k"]]:
    """Probability that a random subset of n misses all of the first k points, and that each is the first it holds.

    A running sum of `log(1 - n / (M - i))`: differences of log-gamma functions would lose log10(M) + 1 digits, and so
    would differences of successive probabilities.
    """
    remaining = jnp.asarray(points, dtype) - jnp.arange(k, dtype=dtype)
    possible = remaining > n
    held = jnp.where(possible, n / jnp.where(possible, remaining, 1), 1)
    steps = jnp.where(possible, jnp.log1p(-jnp.where(possible, held, 0)), -jnp.inf)
    missed = jnp.exp(jnp.concatenate([jnp.zeros(1, dtype), jnp.cumsum(steps)]))
    return missed[-1], missed[:-1] * held
