"""The Monte Carlo simulation of the error model, with which its laws are compared (Bisla et al. 2021, Figure 1)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int, Key, Num

from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.kernels.compilation import jit
from lcjax.kernels.integer_sort import ascending
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import check_power

__all__ = ["simulate_error"]

Array = jax.Array | np.ndarray
Scalar = Num[Array, ""] | float

_TEST, _TRAIN, _FAILURES = 0, 1, 2  # streams of random numbers


@jit(static_argnames=("test_size", "repeats", "power", "average"))
def simulate_error(
    key: Key[Array, ""],
    size: Num[Array, " s"],
    train: Gaussian,
    test: Gaussian,
    radius: Scalar,
    test_size: int = 1000,
    repeats: int = 20,
    *,
    power: int = 1,
    average: bool = False,
) -> LearningCurve:
    """Learning curve of the error model by simulation, as Bisla et al. (2021), section 4.1.

    For every repeat and size a training set and a test set are drawn anew: no two entries of `replicates` share a
    random number. A test point at distance R from its nearest training point counts as a failure with probability
    `Phi = min(1, (R / delta)^power)` (Eq. (1)); the error of a repeat is the share of failures.

    Training sets are drawn in pieces that are forgotten, so memory does not grow with their size. Time grows as
    `repeats * test_size * sum(size) * d`, in one dimension more slowly, because the pieces are sorted. In float32 a
    coordinate takes some 2^24 values, which in one dimension begins to show at a size of 1e6.

    Args:
        key: typed JAX key.
        size: numbers of training examples, `(s,)`, rounded to whole ones, at least 1 and below 2^31.
        train: density of the training points.
        test: density of the test points, in as many dimensions.
        radius: delta, in the unit of the features; the paper's simulations have 1.
        test_size: test points, static; the paper's 1,000.
        repeats: static; the paper's 20.
        power: 1 for the distance, 2 for its square, static.
        average: static; take the mean of Phi instead of drawing failures: the same expectation with less noise.

    Returns:
        `LearningCurve` with `replicates` `(repeats, s)`; `error` is their mean, `standard_error` that of the mean.

    Raises:
        ValueError: the densities differ in dimension, `test_size` or `repeats` is below 1, or `power` is neither 1
            nor 2.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> density = Gaussian(jnp.zeros(2), jnp.eye(2))
        >>> curve = simulate_error(jax.random.key(0), jnp.array([10, 1000]), density, density, 1.0)
        >>> print(curve.error.shape, curve.replicates.shape, bool(curve.error[1] < curve.error[0]))
        (2,) (20, 2) True
    """
    check_power(power)
    if test_size < 1 or repeats < 1:
        raise ValueError(f"Test points and repeats must be at least 1, got {test_size} and {repeats}.")
    if jnp.shape(train.mean) != jnp.shape(test.mean):
        raise ValueError(
            f"Train and test densities differ in dimension: means of shape {train.mean.shape} and {test.mean.shape}."
        )
    count = jnp.round(jnp.asarray(size)).astype(jnp.int32)

    def simulate(number: Int[Array, ""]) -> Float[Array, ""]:
        own = jax.random.fold_in(key, number)
        points = test.sample(jax.random.fold_in(own, _TEST), test_size)
        distance = _nearest_distance(jax.random.fold_in(own, _TRAIN), points, train, count[number % count.size])
        probability = jnp.minimum(1, (distance / radius) ** power)
        if average:
            return jnp.mean(probability)
        chance = jax.random.uniform(jax.random.fold_in(own, _FAILURES), probability.shape, probability.dtype)
        return jnp.mean((chance < probability).astype(probability.dtype))

    replicates = lax.map(simulate, jnp.arange(repeats * count.size)).reshape(repeats, count.size)
    return curve_from_replicates(size, replicates, test_count=jnp.asarray(test_size))


def _nearest_distance(
    key: Key[Array, ""], points: Float[Array, "m d"], train: Gaussian, size: Int[Array, ""]
) -> Float[Array, " m"]:
    """Distance from each point to the nearest of `size` fresh draws from the training density."""
    m, d = points.shape
    piece, nearest = (2**14, _nearest_sorted) if d == 1 else (2**11, _nearest_squared)

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        i, best = state
        drawn = train.sample(jax.random.fold_in(key, i), piece)
        present = i * piece + jnp.arange(piece) < size
        return i + 1, jnp.minimum(best, nearest(points, jnp.where(present[:, None], drawn, jnp.inf)))

    start = jnp.zeros((), jnp.int32), jnp.full(m, jnp.inf, points.dtype)
    best = lax.while_loop(lambda state: state[0] * piece < size, step, start)[1]
    return best if d == 1 else jnp.sqrt(best)


def _nearest_squared(points: Float[Array, "m d"], drawn: Float[Array, "n d"]) -> Float[Array, " m"]:
    """Smallest squared distance; the sum over d is written out, so that no (n, m, d) array is ever made."""
    squares = [(drawn[:, None, j] - points[None, :, j]) ** 2 for j in range(points.shape[1])]
    return jnp.min(functools.reduce(jnp.add, squares), axis=0)


def _nearest_sorted(points: Float[Array, "m 1"], drawn: Float[Array, "n 1"]) -> Float[Array, " m"]:
    """Smallest distance on the line, from the two neighbours in sorted order."""
    line, x = ascending(drawn[:, 0]), points[:, 0]
    right = jnp.searchsorted(line, x)
    above = jnp.where(right < line.size, line[jnp.minimum(right, line.size - 1)], jnp.inf)
    below = jnp.where(right > 0, line[jnp.maximum(right, 1) - 1], -jnp.inf)
    return jnp.minimum(above - x, x - below)
