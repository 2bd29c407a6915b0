"""The error model's laws between the Gaussian densities of every seed, tabulated over radii and sizes."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from lcjax.studies.prediction.methods.tabulated import Table
from lcjax.theory.expected_error import error_of_ratio
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import hypercube, log_ball_volume, poisson, saturation_log_intensity
from lcjax.typing import Array

__all__ = ["Law", "tabulate_law"]

Law = Callable[..., Array]

# The error falls like exp(-y) with y = (power / d) ln(N / N0). The table spans these y, and the fitted curves begin
# between an error of almost 1 and one of exp(-12) at the smallest size.
_LOWEST, _HIGHEST, _STEPS = -4.0, 48.0, 769
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

    Raises:
        ValueError: the law is neither of the two.

    Examples:
        >>> import lcjax as lc
        >>> density = lc.Gaussian(np.zeros((1, 2)), np.eye(2)[None])
        >>> table = tabulate_law(density, density, np.array([100.0, 1000.0]), lc.laws.hypercube)
        >>> table.log_error.shape
        (1, 801, 2)
    """
    d = np.shape(train_density.mean)[-1]
    if law not in (hypercube, poisson):
        raise ValueError(f"law must be hypercube or poisson, got {law!r}.")
    slope = power / d
    covariance, shift, log_volume = _whiten(train_density, test_density)
    intensity = saturation_log_intensity(d, power=power) if law is hypercube else -log_ball_volume(d)
    unit_scale = intensity + log_volume  # ln N0 at a radius of 1, as in `log_size_scale`
    y = np.linspace(_LOWEST, _HIGHEST, _STEPS)
    rows = zip(covariance, shift, strict=True)
    error = np.stack([error_of_ratio(y / slope, c, s, law, exponent=slope)[0] for c, s in rows])
    log_error = np.log(np.maximum(error, 1e-30))
    first = np.linspace(_FIRST, _LAST, _RADII)
    at = first[:, None] + slope * np.log(grid / grid[0])
    log_scale = np.log(grid[0]) - first / slope  # ln N0
    radius = (unit_scale[:, None] - log_scale) / d
    return Table(radius, np.stack([np.interp(at, y, row) - np.maximum(at - _HIGHEST, 0) for row in log_error]))


def _whiten(train_density: Gaussian, test_density: Gaussian) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return covariances and means of the test points where train densities are standard normal, and `-ln max f`."""
    means = [np.asarray(density.mean, float) for density in (train_density, test_density)]
    factor = np.linalg.cholesky(np.asarray(train_density.covariance, float))
    half = np.linalg.solve(factor, np.asarray(test_density.covariance, float))
    covariance = np.linalg.solve(factor, np.swapaxes(half, 1, 2))
    shift = np.linalg.solve(factor, (means[1] - means[0])[..., None])[..., 0]
    d = shift.shape[1]
    log_volume = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1) + 0.5 * d * np.log(2 * np.pi)
    return (covariance + np.swapaxes(covariance, 1, 2)) / 2, shift, log_volume
