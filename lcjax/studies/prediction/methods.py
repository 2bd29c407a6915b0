"""Methods that extend a learning curve: the theory's laws with a fitted radius, and a power law, bootstrapped."""

import dataclasses
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.fit.curve_fit import CurveFit
from lcjax.curves.fit.fit_curve import fit_curve
from lcjax.curves.forms import power_law
from lcjax.curves.learning_curve import LearningCurve
from lcjax.kernels.compilation import jit_by_size
from lcjax.records import record
from lcjax.studies.prediction.record import Method
from lcjax.theory.estimators.radius_fits import fit_radii
from lcjax.theory.gaussian import Gaussian
from lcjax.typing import Array, Scalar

__all__ = ["LEVEL", "Draws", "Law", "compile_power_law", "fit_law", "fit_methods", "fit_power_law"]

LEVEL = 0.9  # of every interval
LARGEST_SIZE = 1e15  # a size above this counts as never reached

Law = Callable[..., Array]


@record
class Draws:
    """Measured errors at the fitted sizes, and bootstrap draws of them.

    Attributes:
        points: measured errors, `(s,)`, with standard errors and `test_count`.
        error: bootstrap errors, `(k, s)`.
        seed: seed whose densities each draw uses, `(k,)`.
    """

    points: LearningCurve
    error: Float[Array, "k s"]
    seed: Int[Array, " k"]


def fit_methods(
    draws: Draws,
    train_density: Gaussian,
    test_density: Gaussian,
    grid: Float[Array, " t"],
    target_error: float | None,
    laws: Sequence[Law],
) -> dict[str, Method]:
    """Fit a power law, and the radius of each law as in `fit_law`."""
    arguments = draws, train_density, test_density, grid, target_error
    methods = {law.__name__: fit_law(*arguments, law=law) for law in laws}
    return {**methods, "power_law": fit_power_law(draws, grid, target_error)}


def fit_law(
    draws: Draws,
    train_density: Gaussian,
    test_density: Gaussian,
    grid: Float[Array, " t"],
    target_error: float | None,
    *,
    law: Law,
) -> Method:
    """Fit the radius of the error model with the densities of every seed, and of one seed to every bootstrap draw.

    The densities are Gaussians of each seed's training and held-out features, and `grid` has the sizes to predict.
    """
    # The measured errors once for every seed, then the bootstrap draws.
    seeds = len(train_density.mean)
    error = np.concatenate([np.tile(draws.points.error, (seeds, 1)), draws.error])
    seed = np.concatenate([np.arange(seeds), draws.seed])
    curves = dataclasses.replace(draws.points, error=error)
    fits = fit_radii(curves, train_density, test_density, seed, law, sizes=grid, target=target_error)
    return _method(grid, fits.error, fits.size, seeds, {"radius": fits.radius[:seeds]}, fits.converged)


def compile_power_law(points: int, draws: int, grid: Float[Array, " t"], target_error: float | None) -> None:
    """Compile `fit_power_law` by fitting a placeholder of the same shapes, in a thread while networks train."""
    dtype = jnp.result_type(float)
    size, error = np.arange(1.0, points + 1), np.full(points, 0.1, dtype)
    curve = LearningCurve(size, error, error, test_count=np.asarray(1))
    fit_power_law(Draws(curve, np.tile(error, (draws, 1)), np.zeros(draws, np.int32)), grid, target_error)


def fit_power_law(draws: Draws, grid: Float[Array, " t"], target_error: float | None) -> Method:
    """Fit a power law to the measured errors and to every bootstrap draw, weighted by the measured standard errors."""
    points = draws.points
    measured, spread = np.asarray(points.error), np.asarray(points.standard_error)
    # An error of zero counts as half a mistake with a relative standard error of 1; no error is known better than 1 %.
    relative = np.where(measured > 0, np.maximum(spread / np.where(measured > 0, measured, 1), 0.01), 1.0)
    error = np.concatenate([measured[None], draws.error])
    curve = dataclasses.replace(points, error=error, standard_error=None)
    fit = fit_curve(curve, power_law, weight=jnp.asarray(1 / relative**2))
    values, predicted, size = _evaluate(fit, grid, target_error)
    parameters: dict[str, Array] = {name: np.asarray(np.asarray(value)[0]) for name, value in values.items()}
    return _method(grid, predicted, size, 1, parameters, fit.converged)


@jit_by_size()
def _evaluate(
    fit: CurveFit, grid: Float[Array, " t"], target_error: Scalar | None
) -> tuple[dict[str, Float[Array, " b"]], Float[Array, "b t"], Float[Array, " b"] | None]:
    """Return the parameters of fits, their errors on the grid, and the sizes that reach the target, in one program."""
    size = None if target_error is None else fit.size_for_error(jnp.asarray(target_error)).value
    return dict(fit.parameters), fit.predict(grid), size


def _method(
    grid: Float[Array, " t"],
    error: Float[Array, "b t"],
    size: Float[Array, " b"] | None,
    central: int,
    parameters: dict[str, Float[Array, "*r"]],
    converged: Bool[Array, " b"],
) -> Method:
    """Summarize fits: the first `central` rows are estimates, the others bootstrap draws."""
    error = np.asarray(error)
    interval = np.nanquantile(error[central:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Method(
        curve=LearningCurve(grid, np.mean(error[:central], axis=0), np.nanstd(error[central:], axis=0)),
        interval=interval,
        size_for_error=None if size is None else _size_for_error(np.asarray(size, float), central),
        parameters=parameters,
        converged=np.asarray(np.all(np.asarray(converged))),
    )


def _size_for_error(size: Float[np.ndarray, " b"], central: int) -> SizeForError:
    """Return the geometric mean of the first `central` sizes with quantiles of the others."""
    size = np.where(size < LARGEST_SIZE, size, np.inf)
    draws = size[central:]
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="closest_observation")
    value = np.exp(np.mean(np.log(size[:central])))
    return SizeForError(np.asarray(value), low, high, LEVEL, np.asarray(np.mean(np.isinf(draws))))
