"""Spacings between neighboring training points on a line, and the correction for their local variance."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

from lcjax.kernels.compilation import jit
from lcjax.kernels.integer_sort import ascending
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["GapStatistics", "expected_gap", "gap_statistics"]


@record
class GapStatistics:
    """Moments of the gaps around each gap of a sorted sample.

    Attributes:
        mean: `E[rho]` over the 2k + 1 gaps around each gap, `(*b, w)`, in the unit of the points.
        variance: `Var[rho]` over the same gaps, divided by their number, `(*b, w)`, in that unit squared.
    """

    mean: Float[Array, "*b w"]
    variance: Float[Array, "*b w"]

    @property
    def corrected(self) -> Float[jax.Array, "*b w"]:
        """Mean length of the gap around a uniformly placed test point, `rho' = Var/E + E`.

        Bisla et al. (2021), section 3.2; twice the mean gap where the points are independent.
        """
        return jnp.asarray(self.variance / self.mean + self.mean)

    @property
    def ratio(self) -> Float[jax.Array, "*b w"]:
        """`(Var/E) / E`, which the paper takes to be 1; for independent points it is k/(k+1) on average.

        Gaps of a locally uniform density are exponential, so that their shares of the window are uniform on a simplex
        and the mean of `(2k + 1) sum rho_i^2 / (sum rho_i)^2` is `2 (2k + 1) / (2k + 2)`.
        """
        return jnp.asarray(self.variance / self.mean**2)


@jit(static_argnames="k")
def gap_statistics(points: Float[Array, " n"], *, k: int) -> GapStatistics:
    """Compute mean and variance of the 2k + 1 gaps around each gap between neighboring points of a line.

    They verify the assumption behind Bisla et al. (2021), Eq. (3): `Var/E` is close to `E`, so that `rho' = 2 / (N f)`.

    Args:
        points: n training points, in any order.
        k: gaps on each side, static, at least 1 and with `2 k + 2 <= n`.

    Returns:
        `GapStatistics` at the `n - 1 - 2k` gaps that have k neighbors on both sides, from left to right.

    Raises:
        ValueError: `k` is outside its range.

    Examples:
        >>> import jax.numpy as jnp
        >>> statistics = gap_statistics(jnp.array([0.0, 1.0, 3.0, 6.0]), k=1)
        >>> print(statistics.mean, statistics.variance.round(4))
        [2.] [0.6667]
    """
    n = points.shape[0]
    if k < 1 or 2 * k + 2 > n:
        raise ValueError(f"k must satisfy 1 <= k and 2 k + 2 <= n, got k={k} with n={n} points.")
    gaps = jnp.diff(ascending(points))
    window = 2 * k + 1
    mean = _window_sums(gaps, window) / window
    # Deviations from the overall mean keep the difference of squares small.
    centre = jnp.mean(gaps)
    squares = _window_sums((gaps - centre) ** 2, window) / window
    return GapStatistics(mean, jnp.maximum(squares - (mean - centre) ** 2, 0))


def expected_gap(size: Num[Array, "*s"], density: Float[Array, "*s"], *, corrected: bool = True) -> Float[Array, "*s"]:
    """Return the expected gap around a test point, `rho' = 2/(N f)` (Bisla et al., 2021, section 3.2 and Eq. (3)).

    Args:
        size: numbers of training examples N.
        density: train density f at the test point, in the inverse of the unit of the points.
        corrected: correct for the local variance of the gaps, static; otherwise return `rho = 1/(N f)`.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(expected_gap(jnp.array([10.0]), jnp.array([0.5])))
        [0.4]
    """
    return (2 if corrected else 1) / (size * density)


def _window_sums(values: Float[jax.Array, " n"], window: int) -> Float[jax.Array, " w"]:
    zero = jnp.zeros((), values.dtype)
    return jnp.asarray(jax.lax.reduce_window(values, zero, jax.lax.add, (window,), (1,), "valid"))
