"""Saturation of the accuracy with bottleneck width: the rule of Bisla et al. (2021) for the effective dimension."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from lcjax.curves.forecast.batching import is_traced
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["SHARE", "SaturationDimension", "remaining_gains", "saturation_dimension"]

SHARE = 0.015
"""Share of the best accuracy that is too small to count as a gain; see `saturation_dimension`."""


@record
class SaturationDimension:
    """Bottleneck width at which the accuracy saturates.

    Attributes:
        value: smallest saturated width, `(*b,)`, in the dtype of the widths.
        established: True where a wider bottleneck was measured and the upper limit of its gain is within the tolerance,
            `(*b,)`.
        gain: accuracy gained by the best wider bottleneck, at least 0, `(*b, w)`; nan where the width is missing.
        gain_error: standard error of the gain, `(*b, w)`; 0 where no wider bottleneck is better.
        tolerance: largest gain that is ignored, `(*b,)`.
    """

    value: Num[Array, "*b"]
    established: Bool[Array, "*b"]
    gain: Float[Array, "*b w"]
    gain_error: Float[Array, "*b w"]
    tolerance: Float[Array, "*b"]


def saturation_dimension(
    width: Num[Array, "..."],
    accuracy: Float[Array, "..."],
    difference_error: Num[Array, "..."] | float = 0.0,
    *,
    share: float = SHARE,
    chance: float = 0.0,
) -> SaturationDimension:
    """Find the smallest bottleneck width from which the accuracy no longer increases.

    Bisla et al. (2021), section 4.2.1, choose "the size of the bottleneck for which we start observing saturation",
    by eye from accuracies on a linear scale (Figure 2), "even when the accuracies of bottleneck models do not reach the
    accuracies of the original models". As a formula: the gain that remains at width d is

        gain(d) = max_{w > d} accuracy(w) - accuracy(d),

    at least 0, and the answer is the smallest d with `gain(d) <= share * (max_w accuracy(w) - chance)`. Unlike
    `effective_dimension`, the rule uses neither the network without a bottleneck nor a margin. No width is compared
    with the narrowest one, which may itself be saturated.

    The paper specifies no share. With 1.5 % of the best accuracy the rule selects the printed dimension for eight of
    the nine LeNets of Table 1, from our own accuracies on MNIST (`docs/results/dimension-mnist-lenet`), as with any
    share from 1.43 to 1.64 %; the share was chosen on these networks. For the perceptrons of Table 2 no share selects
    the printed dimensions: with 50 units or more the paper prints 2, but in our measurements a width of two costs 3 to
    5 % of accuracy.

    The accuracies are compared as measured. Noise inflates the best of the wider ones and thereby the answer;
    `dimension_weights` takes the noise into account.

    Args:
        width: bottleneck widths, `(w,)` or `(*b, w)`, in any order.
        accuracy: accuracy at each width, fractions, `(*b, w)`; nan marks a missing one.
        difference_error: standard error of the accuracy, or of its paired difference from one reference, `()`, `(w,)`
            or `(*b, w)`. Errors of two widths are added in quadrature, which is conservative for paired ones.
        share: share of the best accuracy above chance that is too small to count as a gain, in [0, 1).
        chance: accuracy without learning, a fraction; with 0 the share is that of the accuracy itself.

    Returns:
        `SaturationDimension`, whose `established` is a one-sided test at level 5 %.

    Raises:
        ValueError: `share` is outside [0, 1), there are no widths, or their numbers differ.

    Examples:
        >>> accuracy = np.array([0.62, 0.955, 0.981, 0.982])
        >>> saturation = saturation_dimension(np.arange(1, 5), accuracy, 0.002)
        >>> int(saturation.value), bool(saturation.established)
        (3, True)
        >>> int(saturation_dimension(np.arange(1, 5), accuracy, share=0.03).value)
        2
    """
    if not 0 <= share < 1:
        raise ValueError(f"The share of the accuracy must lie in [0, 1), got {share}.")
    gain, gain_error = remaining_gains(width, accuracy, difference_error)
    xp = jnp if is_traced(width, accuracy, difference_error) else np
    width, accuracy = xp.asarray(width), xp.asarray(accuracy)
    tolerance = share * (xp.nanmax(accuracy, axis=-1) - chance)
    within = tolerance[..., None] * (1 + 1e-6) + 1e-12
    saturated = gain <= within
    largest = xp.max(xp.where(xp.isnan(accuracy), -xp.inf, width), axis=-1, keepdims=True)
    value = xp.min(xp.where(saturated, width, largest.astype(width.dtype)), axis=-1)
    at_value = (width == value[..., None]) & (width < largest)
    established = xp.any(at_value & (gain + _ONE_SIDED * gain_error <= within), axis=-1)
    return SaturationDimension(
        xp.asarray(value), xp.asarray(established), gain, gain_error, xp.asarray(tolerance, gain.dtype)
    )


_ONE_SIDED = 1.6448536269514722  # normal quantile of 95 %


def remaining_gains(
    width: Num[Array, "..."], accuracy: Float[Array, "..."], difference_error: Num[Array, "..."] | float = 0.0
) -> tuple[Float[Array, "*b w"], Float[Array, "*b w"]]:
    """Return the accuracy gained by the best wider bottleneck, at least 0, and its standard error, each `(*b, w)`.

    The arguments are those of `saturation_dimension`.

    Raises:
        ValueError: there are no widths, or the numbers of widths, accuracies and errors differ.

    Examples:
        >>> gain, _ = remaining_gains(np.arange(1, 4), np.array([0.5, 0.9, 0.8]))
        >>> gain.tolist()
        [0.4, 0.0, 0.0]
    """
    xp = jnp if is_traced(width, accuracy, difference_error) else np
    width, accuracy = xp.asarray(width), xp.asarray(accuracy)
    error = xp.asarray(difference_error, accuracy.dtype)
    counts = {array.shape[-1] for array in (width, accuracy, error) if array.ndim}
    if len(counts) != 1 or counts == {0} or not width.ndim or not accuracy.ndim:
        raise ValueError(
            f"Widths, accuracies and their errors must have one entry per width, got shapes {width.shape}, "
            f"{accuracy.shape} and {error.shape}."
        )
    error = xp.broadcast_to(error, accuracy.shape)
    wider = (width[..., None, :] > width[..., :, None]) & ~xp.isnan(accuracy)[..., None, :]
    candidates = xp.where(wider, xp.nan_to_num(accuracy)[..., None, :], -xp.inf)
    best = xp.argmax(candidates, axis=-1)
    gain = xp.max(candidates, axis=-1) - accuracy
    better = gain > 0
    spread = xp.hypot(error, xp.take_along_axis(error, best, axis=-1))
    missing = xp.isnan(accuracy)
    return (
        xp.where(missing, xp.nan, xp.where(better, gain, 0.0)).astype(accuracy.dtype),
        xp.where(missing, xp.nan, xp.where(better, spread, 0.0)).astype(accuracy.dtype),
    )
