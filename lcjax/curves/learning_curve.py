"""The learning curve: the record that all measurements, predictions and simulations produce."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "LARGEST",
    "SMALLEST",
    "LearningCurve",
    "check_curve",
    "check_test_count",
    "curve_from_replicates",
    "mean_of_present",
]


@record
class LearningCurve:
    """Test error against training-set size, whether measured, predicted or simulated.

    Attributes:
        size: numbers of training examples, `(*b, s)`.
        error: mean error at each size, a fraction (or a loss in nats), `(*b, s)`; nan marks an absent size.
        standard_error: standard error of `error`, `(*b, s)`; None if unknown.
        replicates: error of each repeat, `(*b, r, s)`, or None.
        train_error: mean training error at each size, `(*b, s)`, or None.
        test_count: number of examples on which `error` was measured, `(*b,)`, or None.
        sampling_error: known standard deviation of `error` that is not the spread of repeated trainings, such as that
            due to a finite test set of its own, `(*b, s)`; nan where it is not known, None if it is known nowhere.

    Examples:
        >>> import lcjax as lc
        >>> lc.LearningCurve([100, 200], [0.2, 0.1]).error
        [0.2, 0.1]
    """

    size: Num[Array, "*b s"]
    error: Float[Array, "*b s"]
    standard_error: Float[Array, "*b s"] | None = None
    replicates: Float[Array, "*b r s"] | None = None
    train_error: Float[Array, "*b s"] | None = None
    test_count: Num[Array, "*b"] | None = None
    sampling_error: Float[Array, "*b s"] | None = None


SMALLEST, LARGEST = 1e-30, 1e30
"""Limits of sizes and of errors other than 0, within which float32 suffices."""


def check_curve(
    size: Num[Array, "..."], error: Num[Array, "..."], chance: Float[Array, "..."] | float | None = None
) -> None:
    """Check the values of a learning curve, of shapes that broadcast; entries where the error is nan are absent.

    Raises:
        ValueError: a size is not a number from 1e-30 to 1e30, an error is neither 0 nor such a number, or `chance` is
            not above zero.

    Examples:
        >>> check_curve(np.array([10.0, 0.0]), np.array([0.5, 0.4]))
        Traceback (most recent call last):
        ValueError: Sizes must be finite and above 0, got 0. Pass nan as the error of a size that was not measured.
    """
    size, error = np.broadcast_arrays(*(np.asarray(values, float) for values in (size, error)))
    present = ~np.isnan(error)
    remedy = "Pass nan as the error of a size that was not measured"
    if (wrong := size[present & ~((size > 0) & (size < np.inf))]).size:
        raise ValueError(f"Sizes must be finite and above 0, got {wrong[0]:g}. {remedy}.")
    if (wrong := error[(error < 0) | np.isinf(error)]).size:
        raise ValueError(
            f"Errors must be finite and at least 0, got {wrong[0]:g}. {remedy}; for a metric that rises, pass its "
            "distance from the best possible value (`lcjax.curves.metrics.METRICS`)."
        )
    for name, values in (("Sizes", size[present]), ("Errors other than 0", error[error > 0])):
        if (wrong := values[(values < SMALLEST) | (values > LARGEST)]).size:
            raise ValueError(f"{name} must lie between 1e-30 and 1e30, got {wrong[0]:g}; use another unit.")
    limit = np.asarray(np.nan if chance is None else chance, float)
    if np.any(limit <= 0):
        raise ValueError(f"chance must be an error above 0, such as 0.9 for ten classes, got {limit.min():g}.")


def check_test_count(curve: LearningCurve, batch: tuple[int, ...]) -> None:
    """Check that there is one number of test examples for each curve, or one for all.

    Args:
        curve: learning curve.
        batch: shape of the curves.

    Raises:
        ValueError: `test_count` has another shape than `()` or `batch`, or, outside of `jax.jit`, a number is below 1.

    Examples:
        >>> check_test_count(LearningCurve(np.array([10.0, 20.0]), np.array([0.5, 0.4]), test_count=[100, 100]), ())
        Traceback (most recent call last):
        ValueError: test_count must have shape (), one number for each curve, got shape (2,).
    """
    if curve.test_count is None:
        return
    shape = np.shape(curve.test_count)
    if shape not in ((), batch):
        raise ValueError(f"test_count must have shape {batch}, one number for each curve, got shape {shape}.")
    if not isinstance(curve.test_count, jax.core.Tracer) and np.any(~(np.asarray(curve.test_count) >= 1)):
        raise ValueError(f"test_count must be at least 1, got {np.asarray(curve.test_count).min():g}.")


def curve_from_replicates(
    size: Num[Array, "*b s"],
    replicates: Float[Array, "*b r s"],
    *,
    train_error: Float[Array, "*b s"] | None = None,
    test_count: Num[Array, "*b"] | None = None,
) -> LearningCurve:
    """Average repeats into a learning curve, ignoring repeats that are nan.

    The standard error, `(*b, s)`, is that of the mean over repeats; nan where fewer than two repeats are present.

    Args:
        size: numbers of training examples, `(*b, s)`.
        replicates: error of each repeat, `(*b, r, s)`; nan marks an absent one.
        train_error: mean training error, `(*b, s)`, passed through.
        test_count: number of examples on which errors were measured, `(*b,)`, passed through.

    Examples:
        >>> import jax.numpy as jnp
        >>> curve = curve_from_replicates(jnp.array([10.0]), jnp.array([[0.1], [0.3]]))
        >>> round(float(curve.error[0]), 6), round(float(curve.standard_error[0]), 6)
        (0.2, 0.1)
    """
    present = ~jnp.isnan(replicates)
    count = present.sum(axis=-2)
    mean = mean_of_present(replicates, axis=-2)
    squares = jnp.where(present, (replicates - mean[..., None, :]) ** 2, 0).sum(axis=-2)
    variance = squares / jnp.where(count > 1, count - 1, jnp.nan)
    standard_error = jnp.sqrt(variance / jnp.where(count > 0, count, 1))
    return LearningCurve(size, mean, standard_error, replicates, train_error, test_count)


def mean_of_present(values: Float[Array, "..."], *, axis: int) -> Float[jax.Array, "..."]:
    """Average along an axis, ignoring nan; nan where nothing is present.

    Examples:
        >>> import jax.numpy as jnp
        >>> mean_of_present(jnp.array([[0.25, jnp.nan], [0.75, jnp.nan]]), axis=0).tolist()
        [0.5, nan]
    """
    present = ~jnp.isnan(values)
    count = present.sum(axis=axis)
    return jnp.where(present, values, 0).sum(axis=axis) / jnp.where(count > 0, count, jnp.nan)
