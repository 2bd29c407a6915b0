"""Capacity of a class of functions: Rademacher complexity, VC bounds, and stability when one example is replaced.

A training algorithm is a function `fit(key, inputs, targets) -> predict`, pure and without Python branches on values,
so that draws and replacements are vectorized.
"""

import functools
from collections.abc import Callable
from typing import Protocol, SupportsIndex, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.kernels.arguments import Nested, as_count, as_floating, as_integers, as_real, concrete, power_of_two_above
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, KeyArray

__all__ = [
    "Fit",
    "Rademacher",
    "Stability",
    "linear_class",
    "linear_class_bound",
    "rademacher_complexity",
    "ridge_regression",
    "uniform_stability",
    "vc_bounds",
    "vc_dimension_of_network",
]

Predict: TypeAlias = Callable[[jax.Array], jax.Array]  # inputs (m, *shape) -> outputs (m,)


@runtime_checkable
class Fit(Protocol):
    """A training algorithm."""

    def __call__(self, key: KeyArray, inputs: jax.Array, targets: jax.Array, /) -> Predict:
        """Return the trained function."""


_HIGHEST = jax.lax.Precision.HIGHEST
_MOST_ENUMERATED = 16


@record
class Rademacher:
    """Empirical Rademacher complexity.

    Attributes:
        value: mean of `correlation`, `()`.
        standard_error: over draws, `()`; 0 where every sign vector is enumerated.
        correlation: of the fitted function with each sign vector, `(draws,)`.
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    correlation: Float[Array, " draws"]


def rademacher_complexity(
    key: KeyArray,
    fit: Fit,
    inputs: Num[Array, "n *shape"] | Nested,
    *,
    draws: SupportsIndex = 32,
    every_sign: bool = False,
) -> Rademacher:
    """Measure how well a class of functions fits random signs.

        E_sigma sup_h 1/n sum_i sigma_i h(x_i)

    Zhang et al. (2017), section 2.2: near 1 for a network that fits random labels, which makes the bound on the
    generalization error vacuous. Where `fit` does not reach the supremum, the value is too small.

    Args:
        key: typed key of the signs and the training.
        fit: training algorithm, which takes the signs as targets; `predict(inputs)` returns one number per input,
            within [-1, 1] if the value is to enter a bound on the 0-1 error.
        inputs: n inputs.
        draws: number of random sign vectors, at least 2, trained in parallel.
        every_sign: enumerate all 2^n sign vectors instead, n at most 16.

    Raises:
        ValueError: there are no inputs, fewer than two draws, or more than 16 inputs to enumerate over.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> print(rademacher_complexity(jax.random.key(0), linear_class(1.0), jnp.eye(4), every_sign=True).value)
        0.5
    """
    x, count = as_real(inputs, "inputs"), as_count(draws, "draws")
    n = len(x) if x.ndim else 0
    if n == 0:
        raise ValueError(f"Rademacher complexity needs at least one input, got shape {x.shape}.")
    if every_sign and n > _MOST_ENUMERATED:
        raise ValueError(f"every_sign takes at most {_MOST_ENUMERATED} inputs, got {n}: draw sign vectors instead.")
    if not every_sign and count < 2:
        raise ValueError(f"A standard error needs at least 2 draws, got {count}.")
    return _rademacher(key, jnp.asarray(x), fit, count, every_sign)


@jit(static_argnames=("fit", "draws", "every_sign"))
def _rademacher(
    key: KeyArray, inputs: Num[jax.Array, "n *shape"], fit: Fit, draws: int, every_sign: bool
) -> Rademacher:
    n = inputs.shape[0]
    dtype = inputs.dtype if jnp.issubdtype(inputs.dtype, jnp.floating) else jnp.float32
    sign_key, training_key = jax.random.split(key)
    if every_sign:
        signs = 2 * ((jnp.arange(2**n)[:, None] >> jnp.arange(n)) & 1).astype(dtype) - 1
    else:
        signs = jax.random.rademacher(sign_key, (draws, n), dtype)

    def correlation_with(key: KeyArray, signs: Float[jax.Array, " n"]) -> Float[jax.Array, ""]:
        return jnp.mean(signs * fit(key, inputs, signs)(inputs))

    correlation = jax.vmap(correlation_with)(jax.random.split(training_key, len(signs)), signs)
    error = jnp.zeros((), dtype) if every_sign else jnp.std(correlation, ddof=1) / len(signs) ** 0.5
    return Rademacher(jnp.mean(correlation), error, correlation)


@functools.cache
def linear_class(bound: float) -> Fit:
    """Return the fit of linear functions of norm at most `bound`: `w = bound v / |v|, v = sum_i y_i x_i`.

    The Rademacher complexity of the class is `bound / n E|sum_i sigma_i x_i|`.

    Raises:
        ValueError: the bound is not a positive number.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> predict = linear_class(5.0)(jax.random.key(0), jnp.array([[3.0, 4.0]]), jnp.array([2.0]))
        >>> print(predict(jnp.array([[1.0, 0.0]])))
        [3.]
    """
    if not 0 < bound < np.inf:
        raise ValueError(f"The norm of a linear class needs a positive bound, got {bound}.")

    def fit(key: KeyArray, inputs: Num[jax.Array, "n d"], targets: Num[jax.Array, " n"]) -> Predict:
        direction = jnp.matmul(targets, inputs, precision=_HIGHEST)
        length = jnp.linalg.norm(direction)
        weights = bound * direction / jnp.where(length > 0, length, 1)
        return lambda queries: jnp.matmul(queries, weights, precision=_HIGHEST)

    return fit


def linear_class_bound(inputs: Num[Array, "n d"] | Nested, bound: float) -> Float[jax.Array, ""]:
    """Return Jensen's bound on the Rademacher complexity of linear functions, `bound / n sqrt(sum_i |x_i|^2)`.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(linear_class_bound(jnp.eye(4), 1.0))
        0.5
    """
    x = as_floating(inputs, "inputs")
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"inputs must be (n, d) with n >= 1, got shape {x.shape}.")
    unit = power_of_two_above(x)  # no square vanishes or overflows
    return bound * jnp.asarray(jnp.linalg.norm(x / unit)) * unit / len(x)


def vc_bounds(
    dimension: Num[Array, "*b"] | Nested | float | int,
    size: Num[Array, "*b"] | Nested | float | int,
    *,
    train_error: Num[Array, "*b"] | Nested | float | int = 0.0,
    confidence: float = 0.95,
) -> dict[str, jax.Array]:
    """Return bounds on the test error from the VC dimension, up to logarithms and constants.

        root: train error + sqrt((VC - ln eta) / N)        without root, at zero training error: (VC - ln eta) / N

    From the slides on Zhang et al. (2017), appendix A2. Meaningful only for a dimension far below N; a bound of 1 or
    more is vacuous.

    Args:
        dimension: VC dimension.
        size: number of examples N.
        train_error: share of misclassified training examples.
        confidence: 1 - eta, in (0, 1).

    Returns:
        "root" and "without root"; the latter is nan where the training error is not zero.

    Raises:
        ValueError: the confidence lies outside (0, 1).

    Examples:
        >>> {name: round(float(value), 3) for name, value in vc_bounds(97.0, 10_000).items()}
        {'root': 0.1, 'without root': 0.01}
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}.")
    ratio = (as_floating(dimension, "dimension") - jnp.log(1 - confidence)) / as_floating(size, "size")
    train = as_floating(train_error, "train_error")
    return {"root": train + jnp.sqrt(ratio), "without root": jnp.where(train == 0, ratio, jnp.nan)}


def vc_dimension_of_network(parameters: SupportsIndex, layers: SupportsIndex) -> float:
    """Return the order of a ReLU network's VC dimension, `W L log2 W` (Bartlett et al., 2019, Theorem 6).

    Raises:
        ValueError: there are fewer than two parameters or no layers.

    Examples:
        >>> vc_dimension_of_network(1024, 2)
        20480.0
    """
    count, depth = as_count(parameters, "parameters", 2), as_count(layers, "layers")
    return float(count * depth * np.log2(count))


@record
class Stability:
    """Change of the loss when one training example is replaced.

    Attributes:
        largest: largest change over test points and replacements, `()`: a lower bound of the uniform stability.
        mean: mean change over test points and replacements, `()`.
        by_replacement: largest change over test points for each replacement, `(r,)`.
    """

    largest: Float[Array, ""]
    mean: Float[Array, ""]
    by_replacement: Float[Array, " r"]


def uniform_stability(
    key: KeyArray,
    fit: Fit,
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    inputs: Num[Array, "n *shape"] | Nested,
    targets: Num[Array, " _"] | Nested,
    test_inputs: Num[Array, "m *shape"] | Nested,
    test_targets: Num[Array, " _"] | Nested,
    *,
    index: Int[Array, " r"] | Nested,
    new_inputs: Num[Array, "r *shape"] | Nested,
    new_targets: Num[Array, " _"] | Nested,
) -> Stability:
    """Retrain with one example replaced, for r replacements in parallel, and compare losses.

        beta >= max_i max_z |loss(A(S), z) - loss(A(S^(i)), z)|

    Bousquet and Elisseeff (2002); Zhang et al. (2017), section 2.2. It is a property of the algorithm in the worst case
    over data sets, and therefore cannot distinguish true from random labels. All training runs share one key.

    Args:
        key: typed key of the training.
        fit: the training algorithm.
        loss: `(outputs, targets) -> losses`, one per example.
        inputs: n training inputs.
        targets: n training targets.
        test_inputs: m points at which losses are compared.
        test_targets: targets at these points.
        index: number of the training example that each replacement removes, from 0.
        new_inputs: inputs of the new examples.
        new_targets: targets of the new examples.

    Raises:
        ValueError: an index lies outside the training set, there is nothing to replace or to compare, or shapes
            disagree.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> x, y, one = jnp.array([[1.0], [1.0]]), jnp.array([0.0, 0.0]), jnp.array([[1.0]])
        >>> squared = lambda outputs, targets: (outputs - targets) ** 2
        >>> stability = uniform_stability(
        ...     jax.random.key(0), ridge_regression(0.0), squared, x, y, one, jnp.zeros(1),
        ...     index=jnp.array([0]), new_inputs=one, new_targets=jnp.array([1.0]),
        ... )
        >>> print(stability.largest.round(3))
        0.25
    """
    number = as_integers(index, "index")
    pairs = {
        "targets": (as_real(inputs, "inputs"), as_real(targets, "targets")),
        "test_targets": (as_real(test_inputs, "test_inputs"), as_real(test_targets, "test_targets")),
        "new_targets": (as_real(new_inputs, "new_inputs"), as_real(new_targets, "new_targets")),
    }
    for name, (x, y) in pairs.items():
        if x.ndim == 0 or y.shape != x.shape[:1] or len(x) == 0:
            raise ValueError(f"{name} must be one number for each of n >= 1 inputs, got {y.shape} for {x.shape}.")
    n, count = len(pairs["targets"][0]), len(pairs["new_targets"][0])
    if number.shape != (count,):
        raise ValueError(f"index must name one example for each of {count} new ones, got shape {number.shape}.")
    if concrete(number) and (np.min(number) < 0 or np.max(number) >= n):
        raise ValueError(f"index must lie in [0, {n - 1}], the training set, got {np.min(number)} to {np.max(number)}.")
    trained, tested, new = ((jnp.asarray(x), jnp.asarray(y)) for x, y in pairs.values())
    return _stability(key, fit, loss, *trained, *tested, jnp.asarray(number), *new)


@jit(static_argnames=("fit", "loss"))
def _stability(
    key: KeyArray, fit: Fit, loss: Callable[[jax.Array, jax.Array], jax.Array], *arrays: jax.Array
) -> Stability:
    inputs, targets, test_inputs, test_targets, index, new_inputs, new_targets = arrays

    def losses(inputs: jax.Array, targets: jax.Array) -> Float[jax.Array, " m"]:
        return loss(fit(key, inputs, targets)(test_inputs), test_targets)

    def losses_with(i: jax.Array, x: jax.Array, y: jax.Array) -> Float[jax.Array, " m"]:
        return losses(inputs.at[i].set(x), targets.at[i].set(y))

    before = losses(inputs, targets)
    change = jnp.abs(jax.vmap(losses_with)(index, new_inputs, new_targets) - before)
    return Stability(jnp.max(change), jnp.mean(change), jnp.max(change, axis=1))


@functools.cache
def ridge_regression(strength: float) -> Fit:
    """Return the fit of penalized least squares, `w = (X^T X + strength I)^(-1) X^T y`.

    Raises:
        ValueError: the strength is negative.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> predict = ridge_regression(1.0)(jax.random.key(0), jnp.array([[1.0]]), jnp.array([4.0]))
        >>> print(predict(jnp.array([[1.0]])).round(3))
        [2.]
    """
    if not 0 <= strength < np.inf:
        raise ValueError(f"The strength of a ridge must not be negative, got {strength}.")

    def fit(key: KeyArray, inputs: Num[jax.Array, "n d"], targets: Num[jax.Array, " n"]) -> Predict:
        ridge = strength * jnp.eye(inputs.shape[1], dtype=inputs.dtype)
        matrix = jnp.matmul(inputs.T, inputs, precision=_HIGHEST) + ridge
        weights = jax.scipy.linalg.solve(matrix, jnp.matmul(targets, inputs, precision=_HIGHEST), assume_a="pos")
        return lambda queries: jnp.matmul(queries, weights, precision=_HIGHEST)

    return fit
