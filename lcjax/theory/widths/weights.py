"""Weights of effective dimensions in place of one integer, and the implied prior of the exponent."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from lcjax.curves.forecast.batching import is_traced
from lcjax.records import record
from lcjax.theory.widths.saturation import SHARE, remaining_gains
from lcjax.typing import Array

__all__ = ["DimensionWeights", "dimension_weights"]

DRAWS = 512
FACTOR = 3.0  # shares from SHARE / FACTOR to SHARE * FACTOR


@record
class DimensionWeights:
    """Probability that each width is the one at which the accuracy saturates.

    Attributes:
        width: bottleneck widths, `(w,)`.
        weight: probabilities, `(*b, w)`, that sum to 1.
        log_exponent: mean of log(1 / dimension), `(*b,)`: the logarithm of the negated exponent of the error.
        log_exponent_deviation: standard deviation of log(1 / dimension), `(*b,)`.
    """

    width: Num[Array, " w"]
    weight: Float[Array, "*b w"]
    log_exponent: Float[Array, "*b"]
    log_exponent_deviation: Float[Array, "*b"]


def dimension_weights(
    width: Num[Array, " _"],
    accuracy: Float[Array, "*b w"],
    difference_error: Num[Array, "..."] | float,
    *,
    share: tuple[float, float] = (SHARE / FACTOR, SHARE * FACTOR),
    chance: float = 0.0,
) -> DimensionWeights:
    """Weight effective dimensions by the accuracies of bottlenecks.

    A rule that returns one width may jump from one integer to another as seeds are added. Its two inputs are uncertain:
    the accuracies, by their standard errors, and the share of the accuracy that is too small to count as a gain, which
    the paper does not specify. The weight of a width is the probability that `saturation_dimension` selects it if
    accuracies are independent normal variables about the measured ones and the logarithm of the share is uniform,

        weight(d) = P(d is the smallest width with gain(d) <= share * (max_w accuracy(w) - chance)),

    from 512 quasi-random draws (a Kronecker sequence, the same in every call, so no key is needed). More seeds
    concentrate the weights, until only the uncertainty of the share remains. As in the rule, noise favors larger
    widths, because each width is compared with the best of several wider ones.

    Mean and standard deviation of log(1 / dimension) are meant for a normal prior of the log exponent of a learning
    curve, -1 / dimension in the theory (Bisla et al., 2021, Eq. (7)), such as
    `lcjax.curves.forecast.families.nearest_neighbor`. The deviation does not include errors of the theory, for which
    0.3, the default of that family, may be added in quadrature.

    Args:
        width: bottleneck widths, positive, `(w,)`, in any order.
        accuracy: accuracy at each width, fractions, `(*b, w)`; nan marks a missing one, whose weight is 0.
        difference_error: standard error of the accuracy or of its paired difference from the reference, `()`, `(w,)`
            or `(*b, w)`.
        share: smallest and largest share; by default a factor of three about that of `saturation_dimension`.
        chance: accuracy without learning, a fraction.

    Raises:
        ValueError: the shares are not ascending in (0, 1), or widths, accuracies and errors differ in number.

    Examples:
        >>> accuracy = np.array([0.62, 0.955, 0.979, 0.982])
        >>> weights = dimension_weights(np.arange(1, 5), accuracy, 0.002)
        >>> weights.weight.round(1).tolist(), round(float(np.exp(-weights.log_exponent)), 1)
        ([0.0, 0.2, 0.8, 0.0], 2.8)
    """
    least, most = share
    if not 0 < least <= most < 1:
        raise ValueError(f"Shares must be ascending in (0, 1), got {share}.")
    xp = jnp if is_traced(width, accuracy, difference_error) else np
    width, accuracy = xp.asarray(width), xp.asarray(accuracy)
    uniform, normal = _draws(accuracy.shape[-1])
    error = xp.asarray(difference_error, accuracy.dtype)
    error = xp.broadcast_to(error, accuracy.shape)
    drawn = (accuracy[..., None, :] + error[..., None, :] * normal).astype(accuracy.dtype)
    gain, _ = remaining_gains(width, drawn)
    shares = xp.asarray(least * (most / least) ** uniform, accuracy.dtype)
    tolerance = shares * (xp.nanmax(drawn, axis=-1) - chance)
    order = xp.argsort(width)
    saturated = (gain <= tolerance[..., None] * (1 + 1e-6) + 1e-12)[..., order]
    first = xp.argmax(saturated, axis=-1)
    chosen = first[..., None] == xp.arange(len(width))
    weight = xp.mean(chosen, axis=-2, dtype=accuracy.dtype)[..., xp.argsort(order)]
    logs = -xp.log(xp.asarray(width, accuracy.dtype))
    mean = xp.sum(weight * logs, axis=-1)
    variance = xp.sum(weight * (logs - mean[..., None]) ** 2, axis=-1)
    return DimensionWeights(width, weight, xp.asarray(mean), xp.asarray(xp.sqrt(variance)))


@functools.lru_cache(maxsize=8)
def _draws(count: int) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k w"]]:
    """Return uniform shares and normal deviates of every width, from a Kronecker sequence."""
    import scipy.special

    ratio = 2.0
    for _ in range(64):  # the root of x^(d+1) = x + 1 for d coordinates, a generalized golden ratio
        ratio = (1 + ratio) ** (1 / (count + 2))
    step = ratio ** -np.arange(1.0, count + 2)
    points = (0.5 + np.arange(1, DRAWS + 1)[:, None] * step) % 1
    return points[:, 0], scipy.special.ndtri(points[:, 1:])
