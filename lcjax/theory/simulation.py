"""Monte Carlo simulation of the error model, the reference for its laws (Bisla et al., 2021, Figure 1)."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int, Num

from lcjax.curves.learning_curve import LearningCurve, curve_from_replicates
from lcjax.kernels.compilation import jit
from lcjax.kernels.integer_sort import ascending
from lcjax.theory.gaussian import Gaussian
from lcjax.theory.laws import check_power
from lcjax.typing import Array, KeyArray, Scalar, check_key

__all__ = ["simulate_error"]

_TEST, _TRAIN, _FAILURES = 0, 1, 2  # streams of random numbers


@jit(static_argnames=("test_size", "repeats", "power", "average"))
def simulate_error(
    key: KeyArray,
    size: Num[Array, " s"],
    train_density: Gaussian,
    test_density: Gaussian,
    radius: Scalar,
    test_size: int = 1000,
    repeats: int = 20,
    *,
    power: int = 1,
    average: bool = False,
) -> LearningCurve:
    """Simulate the learning curve of the error model, as in Bisla et al. (2021), section 4.1.

    Every repeat and size has a training set and a test set of its own: no two entries of `replicates` share a random
    number. A test point at distance R from its nearest training point counts as a failure with probability
    `Phi = min(1, (R / delta)^power)` (Eq. (1)); the error of a repeat is the share of failures.

    Training sets are drawn in pieces and discarded, so that memory does not grow with their size. Time grows as
    `repeats * test_size * sum(size) * d`, in one dimension more slowly, because the pieces are sorted. In float32 a
    coordinate has about 2^24 distinct values, which in one dimension begins to show at a size of 1e6.

    Args:
        key: typed JAX key.
        size: numbers of training examples, `(s,)`, rounded to integers, at least 1 and below 2^31.
        train_density: density of the training points.
        test_density: density of the test points, of the same dimension.
        radius: delta, in the unit of the features; the paper's simulations use 1.
        test_size: number of test points, static; 1,000 in the paper.
        repeats: number of repeats, static; 20 in the paper.
        power: 1 for the distance, 2 for its square, static.
        average: average Phi instead of drawing failures, static: the same expectation with less noise.

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
    check_key(key)
    check_power(power)
    if test_size < 1 or repeats < 1:
        raise ValueError(f"Test points and repeats must be at least 1, got {test_size} and {repeats}.")
    shapes = jnp.shape(train_density.mean), jnp.shape(test_density.mean)
    if shapes[0] != shapes[1]:
        raise ValueError(f"Train and test densities differ in dimension: means of shape {shapes[0]} and {shapes[1]}.")
    count = jnp.round(jnp.asarray(size)).astype(jnp.int32)

    def simulate(number: Int[Array, ""]) -> Float[Array, ""]:
        entry_key = jax.random.fold_in(key, number)
        points = test_density.sample(jax.random.fold_in(entry_key, _TEST), test_size)
        train_key, train_size = jax.random.fold_in(entry_key, _TRAIN), count[number % count.size]
        distance = _nearest_distance(train_key, points, train_density, train_size)
        probability = jnp.minimum(1, (distance / jnp.asarray(radius)) ** power)
        if average:
            return jnp.mean(probability)
        chance = jax.random.uniform(jax.random.fold_in(entry_key, _FAILURES), probability.shape, probability.dtype)
        return jnp.mean((chance < probability).astype(probability.dtype))

    replicates = lax.map(simulate, jnp.arange(repeats * count.size)).reshape(repeats, count.size)
    return curve_from_replicates(size, replicates, test_count=jnp.asarray(test_size))


def _nearest_distance(
    key: KeyArray, points: Float[Array, "m d"], train_density: Gaussian, size: Int[Array, ""]
) -> Float[Array, " m"]:
    """Return the distance from each point to the nearest of `size` independent draws from the training density."""
    m, d = points.shape
    piece, nearest = (2**14, _nearest_sorted) if d == 1 else (2**11, _nearest_squared)

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        i, best = state
        sample = train_density.sample(jax.random.fold_in(key, i), piece)
        present = i * piece + jnp.arange(piece) < size
        return i + 1, jnp.minimum(best, nearest(points, jnp.where(present[:, None], sample, jnp.inf)))

    start = jnp.zeros((), jnp.int32), jnp.full(m, jnp.inf, points.dtype)
    best = lax.while_loop(lambda state: state[0] * piece < size, step, start)[1]
    return best if d == 1 else jnp.sqrt(best)


def _nearest_squared(points: Float[Array, "m d"], sample: Float[Array, "n d"]) -> Float[Array, " m"]:
    """Return the smallest squared distance; the sum over d is unrolled, so that no (n, m, d) array is formed."""
    squares = [(sample[:, None, j] - points[None, :, j]) ** 2 for j in range(points.shape[1])]
    return jnp.min(functools.reduce(jnp.add, squares), axis=0)


def _nearest_sorted(points: Float[Array, "m 1"], sample: Float[Array, "n 1"]) -> Float[Array, " m"]:
    """Return the smallest distance on the line, from the two neighbors in sorted order."""
    line, x = ascending(sample[:, 0]), points[:, 0]
    right = jnp.searchsorted(line, x)
    above = jnp.where(right < line.size, line[jnp.minimum(right, line.size - 1)], jnp.inf)
    below = jnp.where(right > 0, line[jnp.maximum(right, 1) - 1], -jnp.inf)
    return jnp.minimum(above - x, x - below)
