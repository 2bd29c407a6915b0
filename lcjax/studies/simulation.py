"""Figure 1 of Bisla et al. (2021) redrawn: the simulated error model against the paper's law and the exact one."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.records import record
from lcjax.theory.binomial_law import mean_binomial_error
from lcjax.theory.expected_error import expected_error
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import hypercube, poisson
from lcjax.theory.simulation import simulate_error

__all__ = ["DIMENSIONS", "SIZES", "Simulation", "simulate_learning_curve"]

DIMENSIONS = (1, 2, 3, 4, 8)
SIZES = (100, 316, 1_000, 3_162, 10_000, 31_623, 100_000)
_PAPER, _PRECISE = 0, 1  # streams of random numbers


@record
class Simulation:
    """Simulated learning curves for standard normal features, and what three laws say about them.

    Attributes:
        dimension: of the features, `(d,)`.
        radius: delta, in standard deviations, `()`.
        paper: curves by the paper's protocol, failures drawn; `(d, s)` and replicates `(d, r, s)`.
        precise: curves by mean Phi of more repeats, the same expectation with less noise; alike.
        law: errors by "hypercube" (the paper's), "poisson" (local) and "binomial" (exact), each `(d, s)`.
        zscore: `(precise.error - binomial) / precise.standard_error`, `(d, s)`.
        deviation: of "hypercube", "poisson" and the "simulation" (precise) from the exact law, relative, `(d, s)`.
        largest_deviation: largest magnitude over sizes, `(d,)` each.
        mean_deviation: mean magnitude over sizes, `(d,)` each.
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


def simulate_learning_curve(
    key: Key[jax.Array, ""],
    *,
    dimensions: Sequence[int] = DIMENSIONS,
    sizes: Sequence[int] = SIZES,
    radius: float = 1.0,
    test_size: int = 1000,
    repeats: int = 20,
    precise_repeats: int = 30,
    on_progress: Callable[[str, float, float], None] | None = None,
) -> Simulation:
    """Simulate learning curves of the error model and compare them with its laws.

    Train and test points are standard normal, as in Bisla et al. (2021), section 4.1 and Figure 1, who show d = 1, 2
    and 4 with delta = 1, 1,000 test points and 20 repeats. Ours: d = 3 and 8 beside these, and for the comparison in
    numbers a second simulation with more repeats that averages Phi. In one dimension it has 100 times as many test
    points: at large sizes most of the error there comes from the few test points beyond all training points.

    Args:
        key: typed JAX key.
        dimensions: of the features.
        sizes: numbers of training examples.
        radius: delta, in standard deviations, in (0, 20].
        test_size: test points a repeat.
        repeats: of the paper's protocol.
        precise_repeats: of the second simulation, at least 2.
        on_progress: called with a stage's name, work done and work in all.

    Returns:
        The curves, the laws, and their deviations.

    Raises:
        ValueError: a dimension or size is below 1, the radius is outside its range, or there are too few repeats.

    Examples:
        >>> import jax
        >>> found = simulate_learning_curve(jax.random.key(0), dimensions=(2,), sizes=(100, 1000), precise_repeats=10)
        >>> found.precise.error.shape, bool(abs(found.zscore).max() < 5)
        ((1, 2), True)
    """
    if not dimensions or min(dimensions) < 1 or not sizes or min(sizes) < 1:
        raise ValueError(
            f"Dimensions and sizes must be at least 1, got dimensions {tuple(dimensions)} and sizes {tuple(sizes)}."
        )
    if not 0 < radius <= 20:
        raise ValueError(f"The radius must lie in (0, 20] standard deviations, got {radius}.")
    if repeats < 2 or precise_repeats < 2:
        raise ValueError(f"Standard errors need at least two repeats, got {repeats} and {precise_repeats}.")
    size = np.asarray(sizes, float)
    work, done = _work(dimensions, sizes, repeats + precise_repeats), 0.0
    paper: list[list[np.ndarray]] = []
    precise: list[list[np.ndarray]] = []
    for d in dimensions:
        density = Gaussian(jnp.zeros(d), jnp.eye(d))
        paper.append([])
        precise.append([])
        for i, n in enumerate(sizes):
            own = jax.random.fold_in(jax.random.fold_in(key, d), i)
            arguments = (jnp.asarray([n]), density, density, radius)
            drawn = simulate_error(jax.random.fold_in(own, _PAPER), *arguments, test_size, repeats)
            paper[-1].append(np.asarray(drawn.replicates)[:, 0])
            points = 100 * test_size if d == 1 else test_size
            averaged = simulate_error(
                jax.random.fold_in(own, _PRECISE), *arguments, points, precise_repeats, average=True
            )
            precise[-1].append(np.asarray(averaged.replicates)[:, 0])
            done += _work([d], [n], repeats + precise_repeats)
            if on_progress:
                on_progress("simulate", done, work)
    return _compared(np.asarray(dimensions), size, radius, _curves(size, paper), _curves(size, precise))


def _work(dimensions: Sequence[int], sizes: Sequence[int], repeats: int) -> float:
    """Relative cost: pairs times features, and in one dimension about as much as in two."""
    return repeats * float(sum(max(d, 2) for d in dimensions)) * float(sum(n + 2000 for n in sizes))


def _curves(size: np.ndarray, replicates: list[list[np.ndarray]]) -> LearningCurve:
    values = np.swapaxes(np.asarray(replicates), 1, 2)
    curve = curve_from_replicates(np.broadcast_to(size, (len(replicates), size.size)), values)
    return jax.tree.map(np.asarray, curve)


def _compared(
    dimension: np.ndarray, size: np.ndarray, radius: float, paper: LearningCurve, precise: LearningCurve
) -> Simulation:
    law: dict[str, np.ndarray] = {}
    for name, function in (("hypercube", hypercube), ("poisson", poisson)):
        rows = []
        for d in dimension.tolist():
            density = Gaussian(jnp.zeros(d), jnp.eye(d))
            rows.append(np.asarray(expected_error(jnp.asarray(size), density, density, radius, function)))
        law[name] = np.stack(rows)
    law["binomial"] = np.stack(
        [np.asarray(mean_binomial_error(jnp.asarray(size), 1.0, 0.0, radius, d=d)) for d in dimension.tolist()]
    )
    exact = law["binomial"]
    zscore = (np.asarray(precise.error) - exact) / np.asarray(precise.standard_error)
    others = {"hypercube": law["hypercube"], "poisson": law["poisson"], "simulation": np.asarray(precise.error)}
    deviation = {name: value / exact - 1 for name, value in others.items()}
    return Simulation(
        dimension=dimension,
        radius=np.asarray(radius),
        paper=paper,
        precise=precise,
        law=law,
        zscore=zscore,
        deviation=deviation,
        largest_deviation={name: np.abs(value).max(axis=1) for name, value in deviation.items()},
        mean_deviation={name: np.abs(value).mean(axis=1) for name, value in deviation.items()},
    )
