"""Selection of the measurement with the most information about the size for a target error per unit of cost."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Float, Int, Num

from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["REPEATS", "Cost", "NextSize", "default_candidates", "expected_information", "label_cost", "select"]

REPEATS = (1, 2, 4)
"""Numbers of trainings that are compared at every candidate size."""

Cost: TypeAlias = Callable[[Array, Array, Array], Array]  # size, repeats, largest size -> cost

# Candidates beyond the data: number per octave, and largest factor.
_OCTAVE, _FACTOR = 4, 16
# Number of equally likely classes of sizes for the target, besides "at the smallest size" and "never"; every fourth
# draw serves as an outcome of a measurement.
_CLASSES, _EVERY = 12, 4
# Power of the likelihood, chosen on ten curves by `benchmarks.target_size.next_size`.
_POWER = 0.7


@record
class NextSize:
    """The measurement to make next.

    Attributes:
        size: best candidate, in training examples, `(*b,)`.
        repeats: number of trainings to run at this size, `(*b,)`.
        candidates: candidate sizes, in training examples, `(*b, c)`; nan where there is none.
        candidate_repeats: number of trainings of each candidate, `(*b, c)`.
        information: expected reduction of the entropy of `log(size for the target)` by each candidate, in nats,
            `(*b, c)`.
        cost: cost of each candidate, `(*b, c)`.
    """

    size: Float[Array, "*b"]
    repeats: Int[Array, "*b"]
    candidates: Float[Array, "*b c"]
    candidate_repeats: Int[Array, "*b c"]
    information: Float[Array, "*b c"]
    cost: Float[Array, "*b c"]


def label_cost(size: Float[Array, "..."], repeats: Num[Array, "..."], largest: Float[Array, "..."]) -> Array:
    """Return the cost of a measurement in labels: the new ones, and for each training as many as there are already.

        cost = max(0, size - largest) + largest repeats

    Args:
        size: numbers of training examples.
        repeats: numbers of trainings.
        largest: largest measured size, taken as the number of examples already labeled.

    Examples:
        >>> import numpy as np
        >>> print(label_cost(np.array([500.0, 4000.0]), np.array([1, 2]), np.array(1000.0)))
        [1000. 5000.]
    """
    xp = namespace(size)
    cost: Array = xp.maximum(size - largest, 0.0) + largest * repeats
    return cost


def default_candidates(measured: Float[Array, "*b n"], largest: Float[Array, "*b"]) -> Float[Array, "*b c"]:
    """Return the measured sizes and a geometric grid beyond them, up to 16 times the largest one.

    Args:
        measured: measured sizes; nan where absent.
        largest: largest measured size.

    Examples:
        >>> import numpy as np
        >>> print(default_candidates(np.array([100.0, 200.0]), np.array(200.0))[[0, 1, 2, -1]].round(1))
        [ 100.   200.   237.8 3200. ]
    """
    xp = namespace(measured)
    steps = np.arange(1, _OCTAVE * int(np.log2(_FACTOR)) + 1) / _OCTAVE
    beyond = xp.asarray(largest)[..., None] * xp.asarray(2.0**steps, measured.dtype)
    sizes: Array = xp.concatenate([measured, beyond], axis=-1)
    return sizes


def select(
    sizes: Float[Array, "*b c"],
    information: Float[Array, "*b c r"],
    largest: Float[Array, "*b"],
    *,
    repeats: tuple[int, ...] = REPEATS,
    cost: Cost = label_cost,
) -> NextSize:
    """Return the candidate with the most information per unit of cost.

    Args:
        sizes: candidate sizes; nan where there is none.
        information: expected information of each size and number of repeats, in nats.
        largest: largest measured size.
        repeats: numbers of trainings, static.
        cost: function that returns the cost of a measurement.

    Examples:
        >>> import numpy as np
        >>> sizes, nats = np.array([500.0, 1000.0, 2000.0]), np.array([[0.0], [0.1], [1.0]])
        >>> plan = select(sizes, nats, np.array(1000.0), repeats=(1,))
        >>> print(plan.size, plan.repeats, plan.cost)
        2000.0 1 [1000. 1000. 2000.]
    """
    xp = namespace(information)
    shape = information.shape
    number = xp.broadcast_to(xp.asarray(np.array(repeats, np.int32)), shape)
    size = xp.broadcast_to(sizes[..., None], shape)
    price = xp.broadcast_to(cost(size, number, xp.asarray(largest)[..., None, None]), shape)
    flat = (*shape[:-2], shape[-2] * shape[-1])
    size, number, nats, price = (a.reshape(flat) for a in (size, number, information, price))
    rate = xp.where(xp.isfinite(size), nats / price, -xp.inf)
    best = xp.argmax(rate, axis=-1)[..., None]
    take = xp.take_along_axis
    return NextSize(take(size, best, -1)[..., 0], take(number, best, -1)[..., 0], size, number, nats, price)


def expected_information(
    log_error: Float[Array, "k c"],
    curve_scale: Float[Array, "k c"],
    noise: Float[Array, "k c"],
    deviate: Float[Array, " k"],
    degrees: Float[Array, ""],
    target_size: Float[Array, " k"],
    smallest: Float[Array, ""],
    *,
    repeats: tuple[int, ...] = REPEATS,
) -> Float[Array, "c r"]:
    """Return the expected reduction of the entropy of L = log(size for the target) by measurements, in nats.

    A measurement with outcome y reweights the draws by their likelihood, Student's density of y, to the power 0.7. The
    reduction is the mutual information of L and y. L is divided into "at the smallest size", "never" and 12 equally
    likely classes, so that the widths of the classes cancel. Outcomes are simulated from the draws themselves, and the
    entropy after a measurement is corrected for the effective number of draws (Miller, 1955).

    The power 0.7, and counting a draw's departure from its family as noise, bring the result close to that of forecasts
    refitted to simulated outcomes. A refit weights families by the square root of their evidence, and attributes part
    of an outcome to departures that do not persist.

    Args:
        log_error: center of the log error of each draw at the candidates.
        curve_scale: scale of the departure of the curve from this center.
        noise: scale of the log error of one training about the curve.
        deviate: standardized noise of the outcomes, from Student's distribution, independent of the curves.
        degrees: degrees of freedom of the noise.
        target_size: size at which each draw reaches the target; inf for never.
        smallest: smallest measured size.
        repeats: numbers of trainings whose mean is measured, static.

    Examples:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> exponent = rng.uniform(0.2, 0.5, 400)  # equal at size 100; the target is a tenth of the error there
        >>> log_error, noise = -exponent[:, None] * np.log([1.0, 4.0]), np.full((400, 2), 0.05)
        >>> deviate, size = rng.normal(size=400), 100 * 10 ** (1 / exponent)
        >>> settings = 0 * noise, noise, deviate, np.array(1e6), size, np.array(50.0)
        >>> nats = expected_information(log_error, *settings, repeats=(1,))
        >>> bool(abs(nats[0, 0]) < 0.05), bool(0.5 < nats[1, 0] < 1.5)
        (True, True)
    """
    xp = namespace(log_error)
    classes = _classes(target_size, smallest)
    indicator = xp.asarray(classes[:, None] == np.arange(_CLASSES + 2), log_error.dtype)
    before = _entropy(xp.mean(indicator, axis=0))
    outcomes = slice(None, None, _EVERY)

    def reduction(column: tuple[Array, Array, Array]) -> Array:
        stacked: Array = xp.stack([reduction_of_mean(*column, repeats=r) for r in repeats])
        return stacked

    def reduction_of_mean(center: Array, departure: Array, noise: Array, *, repeats: int) -> Array:
        scale = xp.sqrt(departure**2 + noise**2 / repeats)
        y = (center + scale * deviate)[outcomes]
        square = ((y[:, None] - center) / scale) ** 2
        log_weight = _POWER * (-0.5 * (degrees + 1) * xp.log1p(square / degrees) - xp.log(scale))
        weight = xp.exp(log_weight - xp.max(log_weight, axis=1, keepdims=True))
        weight = weight / xp.sum(weight, axis=1, keepdims=True)
        after = weight @ indicator
        effective = 1 / xp.sum(weight**2, axis=1)
        occupied = xp.sum(after > 0.5 / effective[:, None], axis=1)
        corrected = _entropy(after) + xp.maximum(occupied - 1, 0) / (2 * effective)
        gain: Array = xp.asarray(before - xp.mean(xp.minimum(corrected, before)))
        return gain

    columns = log_error.T, curve_scale.T, noise.T
    if isinstance(log_error, jax.Array):
        mapped: jax.Array = jax.lax.map(reduction, columns)
        return mapped
    return np.stack([reduction(column) for column in zip(*columns, strict=True)])


def _classes(target_size: Float[Array, " k"], smallest: Float[Array, ""]) -> Int[Array, " k"]:
    """Return the class of each size: 0 at the smallest size, then equally likely classes in order, the last: never."""
    xp = namespace(target_size)
    at_smallest, never = target_size <= smallest * (1 + 1e-5), xp.isinf(target_size)
    between = ~at_smallest & ~never
    place = xp.arange(target_size.shape[0])
    earlier = (target_size[None, :] < target_size[:, None]) | (
        (target_size[None, :] == target_size[:, None]) & (place[None, :] < place[:, None])
    )
    rank = xp.sum(earlier & between[None, :], axis=1)
    share = rank * _CLASSES // xp.maximum(xp.sum(between), 1)
    classes: Array = xp.where(at_smallest, 0, xp.where(never, _CLASSES + 1, 1 + share))
    return classes


def _entropy(probability: Float[Array, "*b n"]) -> Float[Array, "*b"]:
    xp = namespace(probability)
    positive = xp.where(probability > 0, probability, 1.0)
    entropy: Array = xp.asarray(-xp.sum(probability * xp.log(positive), axis=-1))
    return entropy
