"""Error floors: limits that no number of training examples can pass, and those due to label noise."""

import math
import statistics

import numpy as np
from jaxtyping import Float, Integer, Num

from lcjax.kernels.compilation import namespace
from lcjax.records import record
from lcjax.typing import Array

__all__ = [
    "ErrorFloor",
    "as_floor",
    "bayes_error_bounds",
    "exact_floor",
    "floor_from_disagreement",
    "floor_from_repeats",
]


@record
class ErrorFloor:
    """An interval for an error floor, a fraction (or a loss in nats).

    The limits include the uncertainty of a measurement. With `low = 0` the floor is only known to be at most `high`.

    Attributes:
        low: lower limit, `(*b,)`.
        high: upper limit, `(*b,)`.

    Examples:
        >>> ErrorFloor(0.01, 0.02).low
        0.01
    """

    low: Float[Array, "*b"] | float
    high: Float[Array, "*b"] | float


def exact_floor(value: Float[Array, "*b"] | float) -> ErrorFloor:
    """Return a floor whose value is known exactly, such as the share of labels that were flipped on purpose.

    Args:
        value: the floor, `(*b,)`.

    Examples:
        >>> exact_floor(0.05).high
        0.05
    """
    return ErrorFloor(value, value)


def bayes_error_bounds(
    disagreement: Num[Array, "*b"] | float, *, classes: int
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Bound the smallest possible error by the probability that two labels of one input differ.

    With p_c(x) the probability of class c at x, two independent labels differ with probability
    `D = E[1 - sum_c p_c(x)^2]`, the error of the 1-nearest-neighbor rule with infinitely many examples. The smallest
    possible error `R = E[1 - max_c p_c(x)]` satisfies `R <= D <= R (2 - c / (c - 1) R)` (Cover and Hart, 1967,
    abstract), so that

        (c - 1) / c * (1 - sqrt(1 - c / (c - 1) * D)) <= R <= D.

    The lower limit is attained if every input has the same `max_c p_c` and the other classes are equally likely, as for
    labels that are flipped uniformly; the upper limit is attained if some inputs are noiseless and the others are ties.

    Args:
        disagreement: D, a fraction, `(*b,)`; values are clipped to the largest possible one, `(c - 1) / c`.
        classes: number of classes c, at least 2.

    Returns:
        Lower and upper limit of the smallest possible error, `(*b,)`.

    Raises:
        ValueError: there are fewer than two classes.

    Examples:
        >>> flipped = 0.1  # of two classes: two labels differ with probability 2 * 0.1 * 0.9
        >>> low, high = bayes_error_bounds(0.18, classes=2)
        >>> round(float(low), 6), float(high)
        (0.1, 0.18)
    """
    if classes < 2:
        raise ValueError(f"Label noise needs at least 2 classes, got {classes}.")
    xp = namespace(disagreement)
    most = (classes - 1) / classes
    high = xp.asarray(xp.clip(xp.asarray(disagreement), 0.0, most))
    return xp.asarray(most * (1 - xp.sqrt(1 - high / most))), high


def floor_from_disagreement(
    disagreement: Float[Array, "*b"] | float,
    standard_error: Float[Array, "*b"] | float,
    *,
    classes: int,
    count: float = math.inf,
    level: float = 0.9,
) -> ErrorFloor:
    """Return the floor due to label noise, from the measured probability that two labels of one input differ.

    Each limit of `bayes_error_bounds` is evaluated at its end of the interval `D -+ z sqrt(standard_error^2 +
    (z / count)^2)`, with z the normal quantile. The second term makes the upper limit of a disagreement of 0 equal to
    `z^2 / count`, that of Wilson's score interval for large counts.

    Args:
        disagreement: measured probability D that two labels of one input differ, `(*b,)`.
        standard_error: its standard error, `(*b,)`.
        classes: number of classes.
        count: number of independent inputs on which it was measured, positive.
        level: nominal coverage of the interval, in (0, 1).

    Raises:
        ValueError: the level is outside (0, 1), or there are fewer than two classes.

    Examples:
        >>> floor = floor_from_disagreement(0.18, 0.0, classes=2)
        >>> round(float(floor.low), 3), round(float(floor.high), 3)
        (0.1, 0.18)
    """
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, got {level}.")
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    width = z * (standard_error**2 + (z / count) ** 2) ** 0.5
    low, _ = bayes_error_bounds(disagreement - width, classes=classes)
    _, high = bayes_error_bounds(disagreement + width, classes=classes)
    return ErrorFloor(low, high)


def floor_from_repeats(labels: Integer[Array, "n r"], *, classes: int, level: float = 0.9) -> ErrorFloor:
    """Return the floor due to label noise, from inputs that were labeled independently more than once.

    The disagreement of an input is the share of its pairs of labels that differ; inputs are assumed independent.

    Args:
        labels: r labels of each of n inputs, `(n, r)`, integers in [0, classes); negative where missing. Inputs with
            fewer than two labels are ignored.
        classes: number of classes.
        level: nominal coverage of the interval, in (0, 1).

    Raises:
        ValueError: fewer than two inputs have two labels, or as in `floor_from_disagreement`.

    Examples:
        >>> labels = np.random.default_rng(0).random((20_000, 2)) < 0.1
        >>> floor = floor_from_repeats(labels.astype(int), classes=2)
        >>> bool(floor.low < 0.1 < floor.high)
        True
    """
    labels = np.asarray(labels)
    counts = np.stack([np.sum(labels == c, axis=1) for c in range(classes)], axis=1)
    total = counts.sum(axis=1)
    several = total > 1
    if several.sum() < 2:
        raise ValueError(f"At least two inputs need two labels or more, got {int(several.sum())} of {len(labels)}.")
    counts, total = counts[several], total[several]
    differ = 1 - np.sum(counts * (counts - 1), axis=1) / (total * (total - 1))
    error = np.std(differ, ddof=1) / np.sqrt(differ.size)
    mean = np.asarray(np.mean(differ))
    return floor_from_disagreement(mean, np.asarray(error), classes=classes, count=differ.size, level=level)


def as_floor(value: "ErrorFloor | Float[Array, '*b'] | float | None") -> ErrorFloor | None:
    """Return a floor from a record or an exact value; None stays None.

    Examples:
        >>> as_floor(0.1), as_floor(None)
        (ErrorFloor(low=0.1, high=0.1), None)
    """
    return value if value is None or isinstance(value, ErrorFloor) else exact_floor(value)
