"""Checks that errors, targets and chance errors are in one unit, and that errors fall with size."""

import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from lcjax.curves.learning_curve import LearningCurve
from lcjax.curves.metrics import Metric
from lcjax.formats import format_number

__all__ = [
    "RisingCurveWarning",
    "check_rise",
    "check_target",
    "check_units",
    "is_rising",
    "is_share",
    "is_unbounded",
    "warn_of_rise",
]

# A curve rises if its last error exceeds its first one by `_RISE` and is correlated with size, or by `_SMALL_RISE` and
# is nearly monotone.
_RISE, _CORRELATION = 1.1, 0.5
_SMALL_RISE, _MONOTONE, _SIZES = 1.005, 0.95, 4
# Neighboring errors on both sides of 1 that differ by this factor are in two units.
_JUMP = 20.0
# A target below the smallest error by this factor, where all errors are above 1, may be a fraction among percentages.
_FAR = 20.0
_PERCENT = 100.0


class RisingCurveWarning(UserWarning):
    """Warning of a curve that is given as one of errors and rises with size, as accuracies do."""


def check_units(label: str, size: Float[np.ndarray, " s"], error: Float[np.ndarray, " s"], metric: Metric) -> None:
    """Raise ValueError if a curve mixes fractions and percentages.

    Args:
        label: subject of the message, such as "The curve".
        size: sizes in ascending order, without nan.
        error: errors.
        metric: metric of the curve.

    Examples:
        >>> from lcjax.curves.metrics import ERROR
        >>> check_units("The curve", np.array([100.0, 200.0]), np.array([0.3, 24.1]), ERROR)
        Traceback (most recent call last):
        ...
        ValueError: The curve mixes units: error 0.3 at 100, but 24.1 at 200. If one of them is a percentage, ...
    """
    for i in range(len(error) - 1):
        low, high = sorted(error[i : i + 2])
        if 0 < low <= 1 < high and high > _JUMP * low:
            here, there = (f"{format_number(metric.from_error(error[j]))} at {_number(size[j])}" for j in (i, i + 1))
            raise ValueError(
                f"{label} mixes units: {metric.name} {here}, but {there}. If one of them is a percentage, divide it "
                "by 100."
            )


def check_rise(
    label: str, size: Float[np.ndarray, " s"], error: Float[np.ndarray, " s"], metric: Metric, *, is_named: bool = False
) -> None:
    """Raise ValueError if a curve rises with size, by more than 10 % or nearly monotonically.

    Args:
        label: subject of the message, such as "The curve".
        size: sizes in ascending order, without nan.
        error: errors.
        metric: metric of the curve.
        is_named: True if the user names the metric, so that the values are not those of another one.

    Raises:
        ValueError: the curve rises.

    Examples:
        >>> from lcjax.curves.metrics import ERROR
        >>> size = 100.0 * 2.0 ** np.arange(4)
        >>> check_rise("The curve", size, np.array([0.91, 0.92, 0.93, 0.94]), ERROR)
        Traceback (most recent call last):
        ...
        ValueError: The curve rises with size, from 0.91 at 100 to 0.94 at 800, ...
    """
    if is_rising(size, error):
        first, last = (f"{format_number(metric.from_error(error[i]))} at {_number(size[i])}" for i in (0, -1))
        direction = "falls" if metric.rises else "rises"
        raise ValueError(f"{label} {direction} with size, from {first} to {last}, {_remedy(metric, is_named)}")


def is_rising(size: Float[np.ndarray, " s"], error: Float[np.ndarray, " s"]) -> bool:
    """Return True if errors rise with size, by more than 10 % or nearly monotonically.

    Args:
        size: sizes in ascending order, without nan.
        error: errors.

    Examples:
        >>> size = 100.0 * 2.0 ** np.arange(4)
        >>> is_rising(size, np.array([0.91, 0.92, 0.93, 0.94])), is_rising(size, np.array([0.4, 0.3, 0.31, 0.2]))
        (True, False)
    """
    if len(error) < 2:
        return False
    rise = error[-1] / error[0] if error[0] > 0 else np.inf if error[-1] > 0 else 1.0
    steep = rise > _RISE and (len(error) == 2 or _rank_correlation(size, error) > _CORRELATION)
    slow = rise > _SMALL_RISE and len(error) >= _SIZES and _rank_correlation(size, error) > _MONOTONE
    return bool(steep or slow)


def warn_of_rise(size: Float[np.ndarray, "..."], error: Float[np.ndarray, "..."], *, stacklevel: int) -> None:
    """Warn once if some curves rise with size, so that they may be of another metric than an error.

    Args:
        size: sizes, `(s,)` or `(*b, s)`, in any order.
        error: errors, `(*b, s)`; nan where absent.
        stacklevel: number of callers between the warning and the user's code, as in `warnings.warn`.

    Examples:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_of_rise(np.array([100.0, 200.0]), np.array([0.6, 0.8]), stacklevel=1)
        >>> print(caught[0].message)
        The curve rises with size, from 0.6 at 100 to 0.8 at 200, but errors should fall. Convert an accuracy or ...
    """
    sizes = np.broadcast_to(np.asarray(size, float), np.shape(error)).reshape(-1, np.shape(error)[-1])
    rising = []
    for x, y in zip(sizes, np.asarray(error, float).reshape(sizes.shape), strict=True):
        there = ~np.isnan(y)
        order = np.argsort(x[there], kind="stable")
        x, y = x[there][order], y[there][order]
        if is_rising(x, y):
            rising.append((x, y))
    if not rising:
        return
    x, y = rising[0]
    first, last = (f"{format_number(y[i])} at {_number(x[i])}" for i in (0, -1))
    several = f"{len(rising)} of {len(sizes)} curves rise" if len(sizes) > 1 else "The curve rises"
    warnings.warn(
        f"{several} with size, {'the first ' if len(sizes) > 1 else ''}from {first} to {last}, but errors should fall. "
        'Convert an accuracy or another metric that rises with lcjax.curves.METRICS["accuracy"].to_error(values); if '
        "the errors do rise, pass allow_rising=True.",
        RisingCurveWarning,
        stacklevel=stacklevel + 1,
    )


def check_target(
    error: Float[np.ndarray, "..."], target: float, metric: Metric, *, chance: float | None = None
) -> Iterator[str]:
    """Check that a target, and the chance error, are in the unit of the measured errors; yield notes.

    Args:
        error: all fitted errors; nan where absent.
        target: target, as an error.
        metric: metric of the curves.
        chance: chance error, or None.

    Raises:
        ValueError: the target is a fraction and the values are percentages or vice versa, or it is above the chance
            error.

    Examples:
        >>> from lcjax.curves.metrics import ERROR
        >>> list(check_target(np.array([0.3, 0.2]), 0.95, ERROR))
        ['The target 0.95 is above every measured error; if it is an accuracy, ask for the error 0.05.']
        >>> list(check_target(np.array([0.3, 0.2]), 5.0, ERROR))
        Traceback (most recent call last):
        ...
        ValueError: The target 5 is above 1, but all errors are fractions (at most 0.3): did you mean 0.05?
    """
    low, high = float(np.nanmin(error)), float(np.nanmax(error))
    asked = f"{metric.from_error(target):.6g}"
    if high <= 1 < target and metric.best in (0, 1):
        meant = target / _PERCENT
        accuracy = f" An accuracy of {asked} % is an error of {1 - meant:.3g}." if 0.5 < meant < 1 else ""
        raise ValueError(
            f"The target {asked} is above 1, but all errors are fractions (at most {high:.3g}): did you mean "
            f"{meant:.3g}?{accuracy}"
        )
    if metric.name == "error" and low > 1 and high <= _PERCENT and target <= 1 and target < low / _FAR:
        raise ValueError(
            f"The errors look like percentages ({low:.3g} to {high:.3g}), the target {asked} like a fraction: did you "
            f"mean {_PERCENT * target:.3g}? If they are losses, pass --metric loss."
        )
    if metric.rises and metric.best > 1 and 0 < metric.from_error(target) <= 1 < metric.from_error(high):
        raise ValueError(
            f"The target {asked} is a fraction, but the values of {metric.name} are {metric.from_error(high):.3g} to "
            f"{metric.from_error(low):.3g}, and the best one is {metric.best:g}: did you mean "
            f"{metric.best * metric.from_error(target):.6g}?"
        )
    if chance is not None and target > chance:
        side = "below" if metric.rises else "above"
        raise ValueError(f"The target {asked} is {side} the chance {metric.name}, {metric.from_error(chance):g}.")
    if target > high:
        hint = f"; if it is an accuracy, ask for the error {1 - target:.3g}" if metric.name == "error" else ""
        if metric.rises:
            yield f"The target {asked} is below every measured {metric.name}."
        elif high <= 1 and 0.5 < target < 1:
            yield f"The target {asked} is above every measured {metric.name}{hint}."
        else:
            yield f"The target {asked} is above every measured {metric.name}."


def is_share(metric: Metric, error: Float[np.ndarray, "..."]) -> bool:
    """Return True if errors are shares of examples, as far as their values tell.

    Args:
        metric: metric of the curves.
        error: their errors; nan where absent.

    Examples:
        >>> from lcjax.curves.metrics import METRICS
        >>> is_share(METRICS["accuracy"], np.array([0.3, 0.2])), is_share(METRICS["loss"], np.array([0.3, 0.2]))
        (True, False)
    """
    return metric.name in ("error", "accuracy") and metric.best in (0, 1) and bool(np.nanmax(error) <= 1)


def is_unbounded(curve: LearningCurve, error: Float[np.ndarray, "..."]) -> bool:
    """Return True if nothing tells how small the errors of a curve are, because all are 0.

    Args:
        curve: the curve, or a batch that holds it.
        error: errors of this curve.

    Examples:
        >>> size, error = np.array([10.0, 20.0]), np.zeros(2)
        >>> is_unbounded(LearningCurve(size, error), error)
        True
        >>> is_unbounded(LearningCurve(size, error, test_count=np.array(100)), error)
        False
    """
    return curve.test_count is None and not np.any(error > 0)


def _number(size: float) -> str:
    return f"{size:,.10g}"


def _rank_correlation(x: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> float:
    rank = np.argsort(np.argsort(x)), np.argsort(np.argsort(y))
    return float(np.corrcoef(*rank)[0, 1])


def _remedy(metric: Metric, is_named: bool) -> str:
    """Return the advice for a curve that worsens with size."""
    if metric.rises or is_named:
        direction = "rise" if metric.rises else "fall"
        return f"but {metric.name} should {direction}. To forecast it nevertheless, pass --allow-rising."
    advice = "If this is an accuracy, pass --metric accuracy, which forecasts 1 - accuracy; else pass --allow-rising."
    return f"but this {metric.name} should fall. {advice}"
