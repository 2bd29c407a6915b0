"""Simulation of the error model against its laws (Bisla et al., 2021, Figure 1)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.records import record
from lcjax.studies.sweeps import ignore_progress
from lcjax.theory.binomial_law import mean_binomial_error
from lcjax.theory.expected_error import expected_error
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import hypercube, poisson
from lcjax.theory.radius_fit import fit_radius
from lcjax.theory.simulation import simulate_error
from lcjax.typing import KeyArray, OnProgress, Progress, check_key

__all__ = ["DIMENSIONS", "SIZES", "Simulation", "simulate_learning_curve"]

DIMENSIONS = (1, 2, 3, 4, 8)
SIZES = (100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)
_PAPER, _PRECISE = 0, 1  # random streams


@record
class Simulation:
    """Simulated learning curves for standard normal features, compared with three laws.

    Attributes:
        dimension: dimensions of the features, `(d,)`.
        radius: delta, in standard deviations, `()`.
        paper: curves by the paper's protocol, which draws failures; `(d, s)` and replicates `(d, r, s)`.
        precise: curves by averages of Phi over more repeats: the same expectation with less noise, same shapes.
        law: errors by "hypercube" (the paper's), "poisson" (local) and "binomial" (exact), each `(d, s)`.
        zscore: `(precise.error - binomial) / precise.standard_error`, `(d, s)`.
        deviation: relative deviation of "hypercube", "poisson" and the precise "simulation" from the exact law, each
            `(d, s)`.
        largest_deviation: largest magnitude over sizes, each `(d,)`.
        mean_deviation: mean magnitude over sizes, each `(d,)`.
        fitted_radius: radius of "hypercube" and "poisson", over the true one, where it is fitted to the exact law at
            the smaller half of the sizes, each `(d,)`.
        fitted_deviation: relative deviation of the laws with these radii from the exact law, each `(d, s)`.
    """

    dimension: Int[np.ndarray, " d"]
    radius: Float[np.ndarray, ""]
    paper: LearningCurve
    precise: LearningCurve
    law: dict[str, Float[np.ndarray, "d s"]]
    zscore: Float[np.ndarray, "d s"]
    deviation: dict[str, Float[np.ndarray, "d s"]]
    largest_deviation: dict[str, Float[np.ndarray, " d"]]
    mean_deviation: dict[str, Float[np.ndarray, " d"]]
    fitted_radius: dict[str, Float[np.ndarray, " d"]]
    fitted_deviation: dict[str, Float[np.ndarray, "d s"]]


def simulate_learning_curve(
    key: KeyArray,
    *,
    dimensions: Sequence[int] = DIMENSIONS,
    sizes: Sequence[int] = SIZES,
    radius: float = 1.0,
    test_size: int = 1000,
    repeats: int = 20,
    precise_repeats: int = 30,
    on_progress: OnProgress | None = None,
) -> Simulation:
    """Simulate learning curves of the error model and compare them with its laws.

    Training and test points are standard normal, as in Bisla et al. (2021), section 4.1 and Figure 1, which show
    d = 1, 2 and 4 with delta = 1, 1,000 test points and 20 repeats. Ours: d = 3 and 8, and a second, more precise
    simulation that averages Phi over more repeats. In one dimension it has 100 times as many test points, because at
    large sizes most of the error there comes from the few test points outside the range of the training points.

    Args:
        key: typed key.
        dimensions: dimensions of the features.
        sizes: numbers of training examples.
        radius: delta, in standard deviations, in (0, 20].
        test_size: test points per repeat.
        repeats: repeats of the paper's protocol, at least 2.
        precise_repeats: repeats of the precise simulation, at least 2.
        on_progress: progress callback; a unit of work is not a unit of time.

    Returns:
        `Simulation`: simulated curves, laws and deviations, `(d, s)` for d dimensions and s sizes, on the host.

    Raises:
        ValueError: a dimension or size is below 1, the radius is outside its range, or there are too few repeats.

    Examples:
        >>> import jax
        >>> result = simulate_learning_curve(jax.random.key(0), dimensions=(2,), sizes=(100, 1000), precise_repeats=10)
        >>> result.precise.error.shape, bool(abs(result.zscore).max() < 5)
        ((1, 2), True)
    """
    check_key(key)
    if not dimensions or min(dimensions) < 1 or not sizes or min(sizes) < 1:
        raise ValueError(
            f"Dimensions and sizes must be at least 1, got dimensions {tuple(dimensions)} and sizes {tuple(sizes)}."
        )
    if not 0 < radius <= 20:
        raise ValueError(f"The radius must lie in (0, 20] standard deviations, got {radius}.")
    if repeats < 2 or precise_repeats < 2:
        raise ValueError(f"Standard errors need at least two repeats, got {repeats} and {precise_repeats}.")
    size, report = np.asarray(sizes, float), on_progress or ignore_progress
    work, done = _work(dimensions, sizes, repeats + precise_repeats), 0.0
    paper: list[list[np.ndarray]] = []
    precise: list[list[np.ndarray]] = []
    for d in dimensions:
        density = Gaussian(jnp.zeros(d), jnp.eye(d))
        points = 100 * test_size if d == 1 else test_size
        paper.append([])
        precise.append([])
        for i, n in enumerate(sizes):
            stream = jax.random.fold_in(jax.random.fold_in(key, d), i)
            model = (jnp.asarray([n]), density, density, radius)
            curve = simulate_error(jax.random.fold_in(stream, _PAPER), *model, test_size, repeats)
            paper[-1].append(np.asarray(curve.replicates)[:, 0])
            curve = simulate_error(jax.random.fold_in(stream, _PRECISE), *model, points, precise_repeats, average=True)
            precise[-1].append(np.asarray(curve.replicates)[:, 0])
            done += _work([d], [n], repeats + precise_repeats)
            report(Progress("simulate", done, work))
    return _compare(np.asarray(dimensions), size, radius, _curves(size, paper), _curves(size, precise))


def _work(dimensions: Sequence[int], sizes: Sequence[int], repeats: int) -> float:
    """Return a relative cost: pairs of points times features; one dimension costs about as much as two."""
    return repeats * float(sum(max(d, 2) for d in dimensions)) * float(sum(n + 2000 for n in sizes))


def _curves(size: np.ndarray, replicates: list[list[np.ndarray]]) -> LearningCurve:
    values = np.swapaxes(np.asarray(replicates), 1, 2)
    curve = curve_from_replicates(np.broadcast_to(size, (len(replicates), size.size)), values)
    on_host: LearningCurve = jax.tree.map(np.asarray, curve)
    return on_host


def _compare(
    dimension: np.ndarray, size: np.ndarray, radius: float, paper: LearningCurve, precise: LearningCurve
) -> Simulation:
    densities = [Gaussian(jnp.zeros(d), jnp.eye(d)) for d in dimension.tolist()]
    at = jnp.asarray(size)
    functions = {"hypercube": hypercube, "poisson": poisson}
    law = {
        name: np.stack([np.asarray(expected_error(at, one, one, radius, function)) for one in densities])
        for name, function in functions.items()
    }
    exact = np.stack([np.asarray(mean_binomial_error(at, 1.0, 0.0, radius, d=d)) for d in dimension.tolist()])
    inexact = {**law, "simulation": np.asarray(precise.error)}
    deviation = {name: value / exact - 1 for name, value in inexact.items()}
    # A fitted radius absorbs the constant of a law: only the rest of its deviation remains.
    small = jnp.asarray(np.where(np.argsort(np.argsort(size)) < (size.size + 1) // 2, exact, np.nan))
    fits = {
        name: [
            fit_radius(LearningCurve(at, row), one, one, function) for row, one in zip(small, densities, strict=True)
        ]
        for name, function in functions.items()
    }
    return Simulation(
        dimension=dimension,
        radius=np.asarray(radius),
        paper=paper,
        precise=precise,
        law={**law, "binomial": exact},
        zscore=(np.asarray(precise.error) - exact) / np.asarray(precise.standard_error),
        deviation=deviation,
        largest_deviation={name: np.abs(value).max(axis=1) for name, value in deviation.items()},
        mean_deviation={name: np.abs(value).mean(axis=1) for name, value in deviation.items()},
        fitted_radius={name: np.stack([fit.radius for fit in rows]) / radius for name, rows in fits.items()},
        fitted_deviation={name: np.stack([fit.predict(at) for fit in rows]) / exact - 1 for name, rows in fits.items()},
    )
