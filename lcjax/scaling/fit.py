"""Fit of a scaling law in model size and data size."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.kernels.least_squares import LeastSquares, least_squares
from lcjax.records import record
from lcjax.scaling.forms import log_error, natural_parameters
from lcjax.typing import Array, KeyArray, check_key

__all__ = ["ScalingFit", "find_ambiguity", "fit_scaling_law"]

_EXPONENTS = (0.1, 0.2, 0.35, 0.55, 0.9)
_COLLINEAR = 0.9999  # correlation of the logarithms of both sizes


@record
class ScalingFit:
    """Fit of `offset + model_scale * model_size ** model_exponent + data_scale * data_size ** data_exponent`.

    Attributes:
        coordinates: coordinates of the optimum (see `lcjax.scaling.forms`), `(5,)`.
        reference: logarithms of the geometric mean model size, data size and error, `(3,)`.
        residual_sum: sum of squared log residuals, `()`.
        converged: True if the optimization converged to a finite sum, `()`.
        draws: coordinates of bootstrap fits, `(k, 5)`, or None.
    """

    coordinates: Float[Array, "5"]
    reference: Float[Array, "3"]
    residual_sum: Float[Array, ""]
    converged: Bool[Array, ""]
    draws: Float[Array, "k 5"] | None = None

    @property
    def parameters(self) -> dict[str, jax.Array]:
        """Named parameters in the units of the data, each `()`."""
        return natural_parameters(jnp.asarray(self.coordinates), jnp.asarray(self.reference))

    @property
    def parameter_draws(self) -> dict[str, jax.Array]:
        """Named parameters of the bootstrap fits, each `(k,)`.

        Raises:
            ValueError: the fit has no bootstrap draws.
        """
        if self.draws is None:
            raise ValueError("This fit has no bootstrap draws: call fit_scaling_law(..., key=key, draws=1000).")
        return natural_parameters(jnp.asarray(self.draws).T, jnp.asarray(self.reference))

    def predict(self, model_size: Num[Array, "..."], data_size: Num[Array, "..."]) -> Float[jax.Array, "..."]:
        """Evaluate the fitted error; the arguments broadcast."""
        n, m, unit = jnp.asarray(self.reference)
        u = tuple(jnp.asarray(self.coordinates))
        return jnp.exp(log_error(u, jnp.log(model_size) - n, jnp.log(data_size) - m) + unit)


def fit_scaling_law(
    model_size: Num[Array, " n"],
    data_size: Num[Array, " n"],
    error: Float[Array, " n"],
    *,
    key: KeyArray | None = None,
    draws: int = 0,
) -> ScalingFit:
    """Fit `E + A / N^a + B / D^b` by least squares of the logarithm (Hoffmann et al., 2022, Eq. (2)).

    Levenberg-Marquardt steps start from a grid of 25 pairs of exponents; the bootstrap resamples runs.

    Args:
        model_size: number of parameters N of each run, positive, `(n,)`.
        data_size: number of training examples D of each run, positive, `(n,)`.
        error: error or loss of each run, positive and finite, `(n,)`.
        key: a typed key, required for draws.
        draws: number of bootstrap fits, static.

    Returns:
        `ScalingFit` in the dtype of `error`. Its `parameters` are "offset", "model_scale", "model_exponent",
        "data_scale" and "data_exponent"; exponents are negative.

    Raises:
        ValueError: the shapes disagree, there are fewer than five runs, draws are requested without a key, a value is
            not positive and finite, or the sizes do not determine the parameters (see `find_ambiguity`). Traced values
            are not checked; where they are not finite, `converged` is False.

    Examples:
        >>> import jax.numpy as jnp
        >>> n, d = (a.ravel() for a in jnp.meshgrid(10.0 ** jnp.arange(4, 8), 10.0 ** jnp.arange(4, 8)))
        >>> fit = fit_scaling_law(n, d, 0.5 + 20 * n**-0.4 + 30 * d**-0.3)
        >>> round(float(fit.parameters["data_exponent"]), 2)
        -0.3
    """
    if key is not None:
        check_key(key)
    columns = {"model_size": model_size, "data_size": data_size, "error": error}
    shapes = [np.shape(column) for column in columns.values()]
    if not shapes[0] == shapes[1] == shapes[2] or len(shapes[0]) != 1 or shapes[0][0] < 5:
        raise ValueError(
            f"fit_scaling_law needs at least five runs and equal shapes, got {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    if draws < 0 or (draws > 0 and key is None):
        raise ValueError(f"draws must be >= 0 and needs a key, got draws={draws} and key={key}.")
    if not any(isinstance(column, jax.core.Tracer) for column in columns.values()):
        _check_runs(columns)
    inside = jnp.result_type(float)
    dtype = jnp.asarray(error).dtype if jnp.issubdtype(jnp.asarray(error).dtype, jnp.floating) else inside
    logs = [jnp.log(jnp.asarray(a, inside)) for a in (model_size, data_size, error)]
    reference = jnp.stack([jnp.mean(a) for a in logs])
    # Problems (starts, then draws) lie on the last axis.
    n, m, y = ((a - r)[:, None] for a, r in zip(logs, reference, strict=True))
    grid = jnp.log(jnp.asarray([(a, b) for a in _EXPONENTS for b in _EXPONENTS], inside)).T
    level = jnp.log(jnp.full((3, grid.shape[1]), 1 / 3, inside))
    lower = jnp.array([-30.0, -30.0, -30.0, -7.0, -7.0], inside)[:, None]
    upper = jnp.array([5.0, 10.0, 10.0, 2.0, 2.0], inside)[:, None]

    def solve(start: Float[jax.Array, "5 b"], root_weight: Float[jax.Array, "n b"], steps: int) -> LeastSquares:
        low, high = (jnp.broadcast_to(a, start.shape) for a in (lower, upper))
        return least_squares(_residuals, start, (n, m, y, root_weight), low, high, steps=steps)

    starts = jnp.concatenate([level, grid])
    minima = solve(starts, jnp.ones((y.shape[0], starts.shape[1]), inside), 300)
    first = jnp.argmin(jnp.where(jnp.isfinite(minima.value), minima.value, jnp.inf))
    best, value = minima.parameters[:, first], minima.value[first]
    converged = minima.converged[first] & jnp.isfinite(value) & jnp.isfinite(reference).all()
    coordinate_draws = None
    if draws and key is not None:
        count = len(y)
        rows = jax.random.randint(key, (draws, count), 0, count)
        times = jnp.zeros((count, draws), inside).at[rows, jnp.arange(draws)[:, None]].add(1.0)
        refits = solve(jnp.broadcast_to(best[:, None], (5, draws)), jnp.sqrt(times), 40)
        coordinate_draws = refits.parameters.T.astype(dtype)
    return ScalingFit(
        best.astype(dtype), reference.astype(dtype), (2 * value).astype(dtype), converged, coordinate_draws
    )


def find_ambiguity(model_size: Num[Array, " n"], data_size: Num[Array, " n"]) -> str | None:
    """Return the reason why runs of these sizes do not determine the five parameters of the law; None if they do.

    Each term needs three sizes, because two also fit any offset, and the two terms must be told apart, which they
    cannot be where one size is a power of the other.

    Examples:
        >>> find_ambiguity(np.full(6, 100), np.arange(1, 7))
        'model_scale and model_exponent need runs of at least three model sizes, got 100'
    """
    sizes = {"model": np.asarray(model_size, float), "data": np.asarray(data_size, float)}
    for name, values in sizes.items():
        distinct = np.unique(values)
        if distinct.size < 3:
            got = " and ".join(f"{size:,.15g}" for size in distinct)
            return f"{name}_scale and {name}_exponent need runs of at least three {name} sizes, got {got}"
    pairs = len(np.unique(np.stack([*sizes.values()]), axis=1).T)
    if pairs < 5:
        return f"five parameters need at least five pairs of sizes, got {pairs}"
    if abs(np.corrcoef(*np.log([*sizes.values()]))[0, 1]) > _COLLINEAR:
        return "the data sizes are a power of the model sizes: vary one of the two while the other is fixed"
    return None


def _check_runs(columns: Mapping[str, Num[Array, " n"]]) -> None:
    """Check the values of runs that are not traced."""
    for name, column in columns.items():
        values = np.asarray(column, float)
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if bad.size:
            raise ValueError(
                f"{name} must be positive and finite, got {values[bad[0]]:g} in row {bad[0]}: leave that run out."
            )
    reason = find_ambiguity(columns["model_size"], columns["data_size"])
    if reason is not None:
        raise ValueError(f"These {len(columns['error'])} runs do not determine the law: {reason}.")


def _residuals(u: tuple[jax.Array, ...], data: tuple[jax.Array, ...]) -> jax.Array:
    n, m, y, root_weight = data
    return root_weight * (log_error(u, n, m) - y)
