"""Fits of the error model's radius to many curves at once on the host, where nothing is compiled."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.curves.learning_curve import LearningCurve
from lcjax.records import record
from lcjax.theory.expected_error import error_of_ratio, log_size_scale, whitened_moments
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import LocalLaw, hypercube
from lcjax.theory.radius_fit import find_size, find_size_scale, usable_points
from lcjax.typing import Array

__all__ = ["RadiusFits", "fit_radii"]


@record
class RadiusFits:
    """Fits of many curves, one row each, in the dtype of the densities.

    Attributes:
        radius: `(b,)`, in the unit of the features.
        converged: True where the minimum was found inside the search interval, `(b,)`.
        error: fitted error at the sizes asked for, `(b, t)`.
        size: size that reaches the target error, `(b,)`, as by `RadiusFit.size_for_error`; `None` without a target.
    """

    radius: Float[np.ndarray, " b"]
    converged: Bool[np.ndarray, " b"]
    error: Float[np.ndarray, "b t"]
    size: Float[np.ndarray, " b"] | None


def fit_radii(
    curves: LearningCurve,
    train_density: Gaussian,
    test_density: Gaussian,
    seed: Int[Array, " b"],
    law: LocalLaw = hypercube,
    *,
    sizes: Num[Array, " t"],
    target: float | None = None,
    power: int = 1,
) -> RadiusFits:
    """Fit the radius to each of many curves measured at the same sizes, with one of several pairs of densities.

    Row by row the result is that of `fit_radius`, its `predict` and its `size_for_error`, up to rounding. NumPy
    computes it for all curves of one pair of densities together: a bootstrap takes less time than compiling it would.

    Args:
        curves: errors `(b, s)` at sizes `(s,)`, with `standard_error` `(s,)` and `test_count` if they are known.
        train_density: densities of the training points, `(r, d)` and `(r, d, d)`.
        test_density: densities of the test points, likewise.
        seed: index of each curve's densities, `(b,)`.
        law: `hypercube` or `poisson`.
        sizes: sizes at which to evaluate the fits.
        target: error for which to invert the fits, or `None`.
        power: 1 for the distance, 2 for its square.

    Raises:
        ValueError: the law is neither of the two, or `power` is neither 1 nor 2.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> density = Gaussian(np.zeros((1, 2)), np.eye(2)[None])
        >>> size, one = np.array([50.0, 100.0, 200.0]), Gaussian(np.zeros(2), np.eye(2))
        >>> error = np.stack([np.asarray(lc.expected_error(size, one, one, radius), float) for radius in (0.3, 0.4)])
        >>> fits = fit_radii(LearningCurve(size, error), density, density, np.array([0, 0]), sizes=size)
        >>> fits.radius.round(4).tolist()
        [0.3, 0.4]
    """
    densities = jax.tree.map(np.asarray, (train_density, test_density))
    error, seed = np.asarray(curves.error), np.asarray(seed)
    dtype = np.result_type(*jax.tree.leaves(densities), error.dtype)
    densities = jax.tree.map(lambda leaf: leaf.astype(dtype), densities)
    d = densities[0].mean.shape[-1]
    count, log_sizes = len(error), np.log(np.asarray(sizes, dtype))
    fits = RadiusFits(
        np.full(count, np.nan, dtype),
        np.zeros(count, bool),
        np.full((count, len(log_sizes)), np.nan, dtype),
        None if target is None else np.full(count, np.nan, dtype),
    )
    # Far from the minimum errors underflow and steps overflow; the search discards these.
    with np.errstate(all="ignore"):
        for index in np.unique(seed):
            rows = np.flatnonzero(seed == index)
            train, test = jax.tree.map(lambda leaf, index=index: leaf[index], densities)
            unit_scale = log_size_scale(train, 1.0, law, power=power)  # ln N0 at radius 1
            moments = whitened_moments(train, test)
            if not all(np.isfinite(moment).all() for moment in moments):
                continue
            points = usable_points(dataclasses.replace(curves, error=error[rows]), dtype)
            scale, _, _, converged = find_size_scale(points, moments, law, power / d)
            scale = np.where((error[rows] > 1).any(axis=1), np.nan, scale).astype(dtype)
            fits.radius[rows] = np.exp((unit_scale - scale) / d)
            fits.converged[rows] = converged & np.isfinite(scale)
            ratio = log_sizes - scale[:, None]
            fits.error[rows] = error_of_ratio(ratio, *moments, law, exponent=power / d)[0]
            if fits.size is not None:
                fits.size[rows] = find_size(scale, np.full_like(scale, target), moments, law, power / d)
    return fits
