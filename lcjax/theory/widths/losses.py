"""Accuracy lost at every bottleneck width, with simultaneous intervals."""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.forecast.batching import is_traced
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["WidthLosses", "width_losses"]


@record
class WidthLosses:
    """Accuracy lost by bottlenecks, with intervals that hold simultaneously for all widths.

    Attributes:
        width: bottleneck widths, `(w,)`.
        loss: accuracy without a bottleneck minus the accuracy with it, `(*b, w)`; negative for a gain.
        low: lower limit, `(*b, w)`.
        high: upper limit, `(*b, w)`.
        level: lower bound on the probability that all intervals contain the true losses.
    """

    width: Num[Array, " w"]
    loss: Float[Array, "*b w"]
    low: Float[Array, "*b w"]
    high: Float[Array, "*b w"]
    level: float = jax.tree.static()


def width_losses(
    width: Num[Array, " _"],
    accuracy: Float[Array, "*b w"],
    difference_error: Num[Array, "..."] | float,
    reference: Num[Array, "*b"] | float,
    *,
    level: float = 0.9,
) -> WidthLosses:
    """Return the accuracy lost at every width, with intervals that jointly contain all losses with probability `level`.

    The intervals are normal, with Bonferroni's correction for the v widths that are present,

        loss(w) -+ z(1 - (1 - level) / (2 v)) * difference_error(w),

    which is valid for any correlation of the accuracies. Accuracies are correlated, because the bottlenecks are
    fine-tuned from one network and evaluated on the same examples, so the intervals are too wide: by a factor of at
    most 1.5 for eight widths at level 0.9, if the errors are perfectly correlated.

    Args:
        width: bottleneck widths, `(w,)`.
        accuracy: accuracy at each width, fractions, `(*b, w)`; nan marks a missing one.
        difference_error: standard error of `accuracy - reference`, paired, `()`, `(w,)` or `(*b, w)`.
        reference: accuracy without a bottleneck, `(*b,)`.
        level: simultaneous coverage, in (0, 1).

    Raises:
        ValueError: the level is outside (0, 1), or widths and accuracies differ in number.

    Examples:
        >>> losses = width_losses(np.array([1, 2]), np.array([0.62, 0.97]), np.array([0.02, 0.01]), 0.98)
        >>> losses.loss.round(3).tolist(), losses.low.round(3).tolist(), losses.high.round(3).tolist()
        ([0.36, 0.01], [0.321, -0.01], [0.399, 0.03])
    """
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, got {level}.")
    xp = jnp if is_traced(accuracy, difference_error, reference) else np
    accuracy = xp.asarray(accuracy)
    if np.shape(width) != accuracy.shape[-1:]:
        raise ValueError(f"Widths of shape {np.shape(width)} do not match accuracies of shape {accuracy.shape}.")
    count = xp.sum(~xp.isnan(accuracy), axis=-1, keepdims=True)
    table = [np.inf, *(_quantile(level, v) for v in range(1, accuracy.shape[-1] + 1))]
    half = xp.asarray(table, accuracy.dtype)[count] * xp.asarray(difference_error, accuracy.dtype)
    loss = xp.asarray(reference, accuracy.dtype)[..., None] - accuracy
    return WidthLosses(xp.asarray(width), loss, loss - half, loss + half, level)


def _quantile(level: float, count: int) -> float:
    return statistics.NormalDist().inv_cdf(1 - (1 - level) / (2 * count))
