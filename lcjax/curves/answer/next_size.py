"""Selection of the measurement that is expected to narrow the size for a target error most, relative to its cost."""

from collections.abc import Callable

from jaxtyping import Float, Num

from lcjax.curves.answer.crossing import HORIZON
from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["NextSize", "rank_measurements", "select_measurement"]


@record
class NextSize:
    """The measurement to make next.

    Attributes:
        size: candidate with the largest gain, in training examples, `(*b,)`.
        candidates: candidate sizes, in training examples, `(*b, c)`.
        gain: expected reduction of the variance of `log(size for the target)` per unit of cost, `(*b, c)`.
    """

    size: Float[Array, "*b"]
    candidates: Float[Array, "*b c"]
    gain: Float[Array, "*b c"]


def select_measurement(
    predict_draws: Callable[[Array], Array],
    crossing: Float[Array, "*b k"],
    largest: Float[Array, "*b"],
    noise: Float[Array, "*b"],
    *,
    candidates: Num[Array, "..."] | None = None,
    cost: Num[Array, "..."] | None = None,
) -> NextSize:
    """Rank candidate sizes by the draws of a forecast; see `rank_measurements`.

    Args:
        predict_draws: function of sizes `(*b, c)` that returns draws of the error `(*b, k, c)`.
        crossing: size at which each draw reaches the target; values above a million times the largest size, including
            inf, are reduced to that.
        largest: largest size measured.
        noise: relative standard deviation of one measurement.
        candidates: sizes to choose from, `(c,)` or `(*b, c)`; by default 1/4 to 16 times the largest size.
        cost: cost of each candidate, in any unit; its size by default.

    Examples:
        >>> import jax.numpy as jnp
        >>> exponent = jnp.array([0.3, 0.4, 0.5])  # three draws, equal at size 100
        >>> crossing, noise = 100 * 10 ** (1 / exponent), jnp.array(0.1)
        >>> plan = select_measurement(
        ...     lambda size: (size / 100) ** -exponent[:, None], crossing, jnp.array(100.0), noise
        ... )
        >>> plan.candidates.tolist(), float(plan.size)
        ([25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0], 25.0)
    """
    xp = namespace(crossing)
    largest = xp.asarray(largest)
    if candidates is None:
        candidates = largest[..., None] * 2.0 ** xp.arange(-2, 5).astype(largest.dtype)
    candidates = xp.asarray(candidates, largest.dtype)
    target_size = xp.minimum(crossing, HORIZON * largest[..., None])
    return rank_measurements(candidates, predict_draws(candidates), target_size, noise, cost)


def rank_measurements(
    candidates: Float[Array, "*#b c"],
    error: Float[Array, "*b k c"],
    target_size: Float[Array, "*b k"],
    noise: Float[Array, "*b"],
    cost: Num[Array, "..."] | None = None,
) -> NextSize:
    """Compare measurements by the variance of `L = log(size for the target)` that they explain.

    A measurement at size x with noise variance v explains

        cov(L, log e(x))^2 / (var(log e(x)) + v)

    of the variance of L over the draws, in the linear-Gaussian approximation.

    Args:
        candidates: sizes to choose from.
        error: draws of the error at the candidates.
        target_size: size at which the same draws reach the target, finite.
        noise: relative standard deviation of one measurement.
        cost: cost of each candidate, in any unit; its size by default.

    Examples:
        >>> import jax.numpy as jnp
        >>> error = jnp.array([[0.25, 0.10], [0.25, 0.12], [0.25, 0.14]])  # draws differ at the second candidate only
        >>> target_size = jnp.array([1000.0, 1200.0, 1400.0])
        >>> float(rank_measurements(jnp.array([100.0, 400.0]), error, target_size, jnp.array(0.03)).size)
        400.0
    """
    xp = namespace(error)
    log_size, log_error = xp.log(target_size)[..., None], xp.log(error)
    log_size, log_error = (a - xp.mean(a, axis=-2, keepdims=True) for a in (log_size, log_error))
    covariance = xp.mean(log_size * log_error, axis=-2)
    explained = covariance**2 / (xp.mean(log_error**2, axis=-2) + xp.asarray(noise)[..., None] ** 2)
    gain = explained / xp.broadcast_to(candidates if cost is None else xp.asarray(cost), explained.shape)
    candidates = xp.broadcast_to(candidates, gain.shape)
    best = xp.take_along_axis(candidates, xp.argmax(gain, axis=-1)[..., None], axis=-1)[..., 0]
    return NextSize(best, candidates, gain)
