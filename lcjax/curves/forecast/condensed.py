"""Learning curves condensed to a fixed number of points, so that one program serves all lengths."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Num

from lcjax.kernels.compilation import namespace
from lcjax.kernels.integer_sort import argsort, order_words
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["POINTS", "TYPICAL_NOISE", "CondensedCurve", "CurveData", "condense", "log_range", "summarize_repeats"]

POINTS = 32
"""Number of points to which longer curves are averaged."""
TYPICAL_NOISE = 0.03
"""Typical standard deviation of the log error of one training, to weight points of unequal known variance."""


@record
class CurveData:
    """One curve as it enters the compiled program, padded with nan to one of a few lengths.

    Attributes:
        size: numbers of training examples, `(s,)`.
        error: mean errors, `(s,)`.
        count: number of repeats averaged in each error, `(s,)`.
        within: sum of squared deviations of the log errors of these repeats from their mean, `(s,)`.
        chance: chance error, `()`; nan if it is not known.
        known: known variance of each log error, `(s,)`; None without one.
    """

    size: Float[Array, " s"]
    error: Float[Array, " s"]
    count: Float[Array, " s"]
    within: Float[Array, " s"]
    chance: Float[Array, ""]
    known: Float[Array, " s"] | None = None


@record
class CondensedCurve:
    """A curve relative to its largest size, with a mask of the points that are present.

    Attributes:
        time: `log(size / largest)`, at most 0, `(*b, n)`; 0 where absent.
        log_error: `log(error / last error)`, `(*b, n)`; 0 where absent.
        count: number of repeats averaged in each point, `(*b, n)`; 1 where absent.
        within: sum of squared deviations of the log errors of these repeats from their mean, `(*b, n)`.
        freedom: degrees of freedom of that sum, `(*b, n)`; 0 without repeats.
        present: True where there is a point, `(*b, n)`.
        largest: largest size, `(*b,)`.
        smallest: smallest size, `(*b,)`.
        last: logarithm of the error at the largest size, `(*b,)`.
        known: known variance of the log error of each point, `(*b, n)`, beside that of the trainings; None without one.
    """

    time: Float[jax.Array, "*b n"]
    log_error: Float[jax.Array, "*b n"]
    count: Float[jax.Array, "*b n"]
    within: Float[jax.Array, "*b n"]
    freedom: Float[jax.Array, "*b n"]
    present: Bool[jax.Array, "*b n"]
    largest: Float[jax.Array, "*b"]
    smallest: Float[jax.Array, "*b"]
    last: Float[jax.Array, "*b"]
    known: Float[jax.Array, "*b n"] | None = None

    @property
    def span(self) -> Float[jax.Array, "*b"]:
        """Return the log range of the sizes."""
        return jnp.asarray(log_range(self.time, self.present))


def log_range(time: Float[Array, "*b n"], present: Bool[Array, "*b n"]) -> Float[Array, "*b"]:
    """Return the log range of the sizes of a condensed curve, at least 0.001, without compilation for NumPy arrays.

    Examples:
        >>> import numpy as np
        >>> print(log_range(np.array([-2.0, 0.0, 0.0]), np.array([True, True, False])))
        2.0
    """
    xp = namespace(time)
    span: Array = xp.asarray(xp.maximum(xp.max(xp.where(present, -time, 0.0), axis=-1), 1e-3))
    return span


def condense(
    size: Num[Array, " s"],
    error: Float[Array, " s"],
    count: Num[Array, " s"] | None = None,
    within: Float[Array, " s"] | None = None,
    known: Float[Array, " s"] | None = None,
    *,
    points: int = POINTS,
) -> CondensedCurve:
    """Sort a curve by size, and average neighboring points if there are more than `points`.

    The bins of the average have equal widths in the mean of relative rank and relative log size. An error of 0 counts
    as half of the smallest positive one. In an average, the weight of a point falls with its known variance. Points
    with a size that is not positive, or an error that is negative or nan, are absent.

    Args:
        size: numbers of training examples.
        error: errors, or losses.
        count: number of repeats averaged in each error; 1 by default.
        within: sum of squared deviations of their log errors from their mean; 0 by default.
        known: known variance of each log error beside that of the trainings; None without one.
        points: number of points to keep, static.

    Examples:
        >>> import jax.numpy as jnp
        >>> curve = condense(jnp.array([400.0, 100.0, 200.0]), jnp.array([0.1, 0.4, jnp.nan]), points=4)
        >>> curve.present.tolist(), [round(float(t), 2) for t in curve.time]
        ([True, True, False, False], [-1.39, 0.0, 0.0, 0.0])
    """
    error = jnp.asarray(error)
    size = jnp.asarray(size, error.dtype)
    freedom = jnp.zeros_like(error) if within is None or count is None else jnp.asarray(count, error.dtype) - 1
    within = jnp.zeros_like(error) if within is None else jnp.asarray(within, error.dtype)
    count = jnp.ones_like(error) if count is None else jnp.asarray(count, error.dtype)
    present = jnp.isfinite(error) & jnp.isfinite(size) & (size > 0) & (error >= 0) & (count > 0)
    order = argsort([word[None] for word in order_words(jnp.where(present, size, jnp.inf))])[0]
    size, error, count, within, freedom, present = (a[order] for a in (size, error, count, within, freedom, present))
    within, freedom = jnp.where(present, within, 0.0), jnp.where(present, jnp.maximum(freedom, 0.0), 0.0)
    if known is not None:
        known = jnp.where(present, jnp.asarray(known, error.dtype)[order], 0.0)

    total = jnp.sum(present)
    last = jnp.maximum(total - 1, 0)
    smallest_error = jnp.min(jnp.where(present & (error > 0), error, jnp.inf))
    smallest_error = jnp.where(jnp.isfinite(smallest_error), smallest_error, 1e-6)
    log_error = jnp.log(jnp.where(present, jnp.maximum(error, 0.5 * smallest_error), 1.0))
    nothing = total == 0
    largest = jnp.where(nothing, jnp.nan, size[last])
    smallest = jnp.where(nothing, jnp.nan, size[0])
    at_last = jnp.where(nothing, jnp.nan, log_error[last])
    time = jnp.where(present, jnp.log(jnp.where(present, size, 1.0) / largest), 0.0)
    relative = jnp.where(present, log_error - at_last, 0.0)
    if size.shape[0] <= points:
        pad = (0, points - size.shape[0])
        count = jnp.pad(jnp.where(present, count, 1.0), pad, constant_values=1)
        time, relative, within, freedom, present = (jnp.pad(a, pad) for a in (time, relative, within, freedom, present))
        known = None if known is None else jnp.pad(known, pad)
        return CondensedCurve(time, relative, count, within, freedom, present, largest, smallest, at_last, known)

    rank = jnp.arange(size.shape[0], dtype=error.dtype) / jnp.maximum(last, 1).astype(error.dtype)
    place = 0.5 * rank + 0.5 * (1.0 - time / jnp.minimum(time[0], -1e-6))
    place = jnp.clip((place * points).astype(jnp.int32), 0, points - 1)
    # Curves that are short enough keep their points.
    place = jnp.minimum(jnp.where(total <= points, jnp.arange(size.shape[0]), place), points - 1)
    weight = jnp.where(present, count, 0.0)
    if known is not None:
        weight = weight / (1 + count * known / TYPICAL_NOISE**2)
    columns = jnp.stack([weight, weight * time, weight * relative, within, freedom], axis=1)
    sums = jax.ops.segment_sum(columns, place, points)
    filled = sums[:, 0] > 0
    share = jnp.where(filled, sums[:, 0], 1.0)
    averaged = share
    if known is not None:
        squares = jax.ops.segment_sum(jnp.stack([weight**2 / count, weight**2 * known], axis=1), place, points)
        averaged = jnp.where(filled, share**2 / jnp.where(filled, squares[:, 0], 1.0), 1.0)
        known = jnp.where(filled, squares[:, 1] / share**2, 0.0)
    return CondensedCurve(
        sums[:, 1] / share, sums[:, 2] / share, averaged, sums[:, 3], sums[:, 4], filled, largest, smallest, at_last,
        known,
    )  # fmt: skip


def summarize_repeats(
    replicates: Float[Array, "*b r s"] | None, error: Float[Array, "*b s"]
) -> tuple[Float[Array, "*b s"], Float[Array, "*b s"]]:
    """Return the number of repeats averaged in each error, and the sum of squared deviations of their log errors.

    Args:
        replicates: error of each of r repeats, nan where absent; None if every error is a single measurement.
        error: means over the repeats.

    Returns:
        Number of repeats, at least 1, and sum of the squared deviations from the mean log error, each `(*b, s)`.

    Examples:
        >>> import numpy as np
        >>> count, within = summarize_repeats(np.array([[0.1, 0.2], [0.1, np.nan]]), np.array([0.1, 0.2]))
        >>> count.tolist(), within.tolist()
        ([2.0, 1.0], [0.0, 0.0])
    """
    xp = namespace(error)
    if replicates is None:
        return xp.ones_like(error), xp.zeros_like(error)
    runs = xp.asarray(replicates, error.dtype)
    there = xp.isfinite(runs) & (runs > 0)
    count = xp.maximum(xp.sum(there, axis=-2), 1).astype(error.dtype)
    logs = xp.where(there, xp.log(xp.where(there, runs, 1.0)), 0.0)
    mean = xp.sum(logs, axis=-2, keepdims=True) / count[..., None, :]
    within = xp.sum(xp.where(there, logs - mean, 0.0) ** 2, axis=-2)
    return xp.broadcast_to(count, error.shape), xp.broadcast_to(within, error.shape)
