"""The error model's laws between the Gaussian densities of every seed, tabulated over radii and sizes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lcjax.kernels.compilation import jit_lean
from lcjax.studies.prediction.methods.tabulated import Table
from lcjax.theory.expected_error import error_of_ratio, log_size_scale, whitened_moments
from lcjax.theory.gaussian import Gaussian
from lcjax.typing import Array

__all__ = ["Law", "tabulate_law"]

Law = Callable[..., Array]

# The error falls like exp(-y) with y = (power / d) ln(N / N0). The table spans these y, and the fitted curves begin
# between an error of almost 1 and one of exp(-12) at the smallest size.
_LOWEST, _HIGHEST, _STEPS = -4.0, 48.0, 1537
_FIRST, _LAST, _RADII = -4.0, 12.0, 801


def tabulate_law(
    train_density: Gaussian, test_density: Gaussian, grid: Float[np.ndarray, " t"], law: Law, *, power: int = 1
) -> Table:
    """Tabulate the expected error of every seed's densities at all radii of interest.

    By a local law the error depends on `N / N0` only, where N0 is the scale of `lcjax.theory.log_size_scale`, so that
    one curve for each seed, computed once, gives all radii.

    Args:
        train_density: Gaussians of the training features, means `(r, d)`.
        test_density: Gaussians of the held-out features.
        grid: sizes, ascending, `(t,)`.
        law: `hypercube` or `poisson`.
        power: 1 for the distance, 2 for its square.

    Examples:
        >>> import lcjax as lc
        >>> density = lc.Gaussian(np.zeros((1, 2)), np.eye(2)[None])
        >>> table = tabulate_law(density, density, np.array([100.0, 1000.0]), lc.laws.hypercube)
        >>> table.log_error.shape
        (1, 801, 2)
    """
    d = np.shape(train_density.mean)[-1]
    slope = power / d
    y = np.linspace(_LOWEST, _HIGHEST, _STEPS)
    dtype = jnp.result_type(float)
    error, unit_scale = _curves((y / slope).astype(dtype), train_density, test_density, law=law, power=power)
    with np.errstate(divide="ignore"):
        log_error = np.log(np.maximum(np.asarray(error, float), 1e-30))
    first = np.linspace(_FIRST, _LAST, _RADII)
    at = first[:, None] + slope * np.log(grid / grid[0])
    log_scale = np.log(grid[0]) - first / slope  # ln N0
    radius = (np.asarray(unit_scale, float)[:, None] - log_scale) / d
    return Table(radius, np.stack([np.interp(at, y, row) - np.maximum(at - _HIGHEST, 0) for row in log_error]))


@jit_lean(static_argnames=("law", "power"))
def _curves(
    log_ratio: Float[Array, " y"], train_density: Gaussian, test_density: Gaussian, *, law: Law, power: int
) -> tuple[Float[jax.Array, "r y"], Float[jax.Array, " r"]]:
    """Return the errors of every seed at `ln(N / N0)`, and `ln N0` at a radius of 1."""

    def one(train: Gaussian, test: Gaussian) -> tuple[jax.Array, jax.Array]:
        d = train.mean.shape[-1]
        error = error_of_ratio(log_ratio, *whitened_moments(train, test), law, exponent=power / d)[0]
        return error, log_size_scale(train, 1.0, law, power=power)

    return jax.vmap(one)(*jax.tree.map(jnp.asarray, (train_density, test_density)))
