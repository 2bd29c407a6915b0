"""Errors as a function of model size and data size at once."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Key, Num

from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.records import record

__all__ = ["TwoWayFit", "fit_two_way"]

Array = jax.Array | np.ndarray
_EXPONENTS = (0.1, 0.2, 0.35, 0.55, 0.9)


@record
class TwoWayFit:
    """`error = offset + model_scale * model_size ** model_exponent + data_scale * data_size ** data_exponent`.

    Attributes:
        coordinates: logarithms of the offset, of both terms at the geometric mean sizes, and of both negated exponents,
            `(5,)`; errors in units of their geometric mean.
        reference: logarithms of the geometric mean model size, data size and error, `(3,)`.
        residual_sum: sum of squared residuals of the logarithm, `()`.
        converged: `()`.
        draws: coordinates of bootstrap fits, `(k, 5)`, or `None`.
    """

    coordinates: Float[Array, "5"]
    reference: Float[Array, "3"]
    residual_sum: Float[Array, ""]
    converged: Bool[Array, ""]
    draws: Float[Array, "k 5"] | None = None

    @property
    def parameters(self) -> dict[str, jax.Array]:
        """Named parameters in the units of the data."""
        return _named(jnp.asarray(self.coordinates), jnp.asarray(self.reference))

    @property
    def parameter_draws(self) -> dict[str, jax.Array]:
        """Named parameters of the bootstrap fits, each `(k,)`."""
        if self.draws is None:
            raise ValueError("This fit has no bootstrap draws: call fit_two_way(..., key=key, draws=1000).")
        return _named(jnp.moveaxis(jnp.asarray(self.draws), -1, 0), jnp.asarray(self.reference))

    def predict(self, model_size: Num[Array, "..."], data_size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Fitted error; the arguments broadcast."""
        n, m, unit = jnp.asarray(self.reference)
        log_error = _log_error(tuple(self.coordinates), jnp.log(model_size) - n, jnp.log(data_size) - m)
        return jnp.exp(log_error + unit)


def fit_two_way(
    model_size: Num[Array, " n"],
    data_size: Num[Array, " n"],
    error: Float[Array, " n"],
    *,
    key: Key[Array, ""] | None = None,
    draws: int = 0,
) -> TwoWayFit:
    """Least squares of the logarithm of `E + A / N^a + B / D^b` (Hoffmann et al. 2022, Eq. 2).

    A grid of 25 pairs of exponents starts Levenberg-Marquardt steps; the bootstrap draws observations with replacement.

    Args:
        model_size: parameters N of each run, `(n,)`.
        data_size: examples D of each run, `(n,)`.
        error: error or loss of each run, positive, `(n,)`.
        key: a typed key, required for draws.
        draws: number of bootstrap fits, static.

    Returns:
        A `TwoWayFit`.

    Raises:
        ValueError: shapes disagree, fewer than five runs, or draws without a key.

    Examples:
        >>> import jax.numpy as jnp
        >>> n, d = (a.ravel() for a in jnp.meshgrid(10.0 ** jnp.arange(4, 8), 10.0 ** jnp.arange(4, 8)))
        >>> fit = fit_two_way(n, d, 0.5 + 20 * n**-0.4 + 30 * d**-0.3)
        >>> round(float(fit.parameters["data_exponent"]), 2)
        -0.3
    """
    if not model_size.shape == data_size.shape == error.shape or error.shape[0] < 5:
        raise ValueError(
            f"fit_two_way needs five runs or more, shaped alike, got {model_size.shape}, {data_size.shape} and "
            f"{error.shape}."
        )
    if draws < 0 or (draws > 0 and key is None):
        raise ValueError(f"draws must be >= 0 and needs a key, got draws={draws} and key={key}.")
    dtype = error.dtype
    inside = jnp.result_type(float)
    logs = [jnp.log(jnp.asarray(a, inside)) for a in (model_size, data_size, error)]
    reference = jnp.stack([jnp.mean(a) for a in logs])
    n, m, y = (a - r for a, r in zip(logs, reference, strict=True))
    # Problems lie on the last axis: starts, then draws.
    n, m, y = n[:, None], m[:, None], y[:, None]
    grid = jnp.log(jnp.asarray([(a, b) for a in _EXPONENTS for b in _EXPONENTS], inside)).T
    level = jnp.log(jnp.full((3, grid.shape[1]), 1 / 3, inside))
    lower = jnp.array([-30.0, -30.0, -30.0, -7.0, -7.0], inside)[:, None]
    upper = jnp.array([5.0, 10.0, 10.0, 2.0, 2.0], inside)[:, None]

    def solve(start: jax.Array, root_weight: jax.Array, steps: int) -> LeastSquares:
        low, high = (jnp.broadcast_to(a, start.shape) for a in (lower, upper))
        return least_squares(_residuals, start, (n, m, y, root_weight), low, high, steps=steps)

    starts = jnp.concatenate([level, grid])
    found = solve(starts, jnp.ones((y.shape[0], starts.shape[1]), inside), 300)
    first = jnp.argmin(jnp.where(jnp.isfinite(found.value), found.value, jnp.inf))
    best, value, converged = found.parameters[:, first], found.value[first], found.converged[first]
    drawn = None
    if draws and key is not None:
        count = y.shape[0]
        picked = jax.random.randint(key, (draws, count), 0, count)
        times = jnp.zeros((count, draws), inside).at[picked, jnp.arange(draws)[:, None]].add(1.0)
        again = solve(jnp.broadcast_to(best[:, None], (5, draws)), jnp.sqrt(times), 40)
        drawn = again.parameters.T.astype(dtype)
    return TwoWayFit(best.astype(dtype), reference.astype(dtype), (2 * value).astype(dtype), converged, drawn)


def _log_error(u: tuple[jax.Array, ...], n: jax.Array, m: jax.Array) -> jax.Array:
    return jnp.log(jnp.exp(u[0]) + jnp.exp(u[1] - jnp.exp(u[3]) * n) + jnp.exp(u[2] - jnp.exp(u[4]) * m))


def _residuals(u: tuple[jax.Array, ...], data: tuple[jax.Array, ...]) -> jax.Array:
    n, m, y, root_weight = data
    return root_weight * (_log_error(u, n, m) - y)


def _named(coordinates: jax.Array, reference: jax.Array) -> dict[str, jax.Array]:
    offset, model, data, a, b = coordinates
    n, m, unit = reference
    a, b = jnp.exp(a), jnp.exp(b)
    return {
        "offset": jnp.exp(offset + unit),
        "model_scale": jnp.exp(model + unit + a * n),
        "model_exponent": -a,
        "data_scale": jnp.exp(data + unit + b * m),
        "data_exponent": -b,
    }
