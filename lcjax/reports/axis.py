"""Axes of charts: limits, ticks and positions, linear and logarithmic."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Axis", "Tick", "linear_axis", "log_axis"]

_TICKS = 5  # wanted number of ticks


class Tick(NamedTuple):
    """A tick: its place on the axis, a fraction from 0 to 1, and its label."""

    place: float
    label: str


class Axis(NamedTuple):
    """One axis in one mode.

    Attributes:
        start: coordinate at the left or the bottom: a value, or its logarithm to base 10.
        end: coordinate at the right or the top; below `start` for an axis that is turned around.
        is_log: True if coordinates are logarithms.
        ticks: ticks with labels.
    """

    start: float
    end: float
    is_log: bool
    ticks: Sequence[Tick]

    def places(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return the places of values as fractions of the axis; nan where there is none.

        Examples:
            >>> log_axis(10.0, 1000.0, str).places(np.array([10.0, 100.0, 0.0])).tolist()
            [0.0, 0.5, nan]
        """
        coordinates = np.asarray(values, float)
        if self.is_log:
            coordinates = np.log10(np.where(coordinates > 0, coordinates, np.nan))
        return (coordinates - self.start) / (self.end - self.start)


def linear_axis(low: float, high: float, label: Callable[[float], str]) -> Axis:
    """Return a linear axis with ticks at round values.

    Args:
        low: value at the start.
        high: value at the end.
        label: function that formats a value.

    Examples:
        >>> [tick.label for tick in linear_axis(0.0, 0.43, "{:g}".format).ticks]
        ['0', '0.1', '0.2', '0.3', '0.4']
    """
    if not high > low:
        low, high = low - abs(low) / 2 - 1e-9, high + abs(high) / 2 + 1e-9
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]
    return Axis(low, high, False, [Tick((value - low) / (high - low), label(value)) for value in values])


def log_axis(low: float, high: float, label: Callable[[float], str], *, is_turned: bool = False) -> Axis:
    """Return a logarithmic axis with ticks at powers of ten, and at 2 and 5 times them on a short axis.

    Args:
        low: smallest value, positive.
        high: largest value.
        label: function that formats a value.
        is_turned: True if the axis starts with the largest value.

    Examples:
        >>> [tick.label for tick in log_axis(100.0, 3000.0, "{:,.0f}".format).ticks]
        ['100', '200', '500', '1,000', '2,000']
        >>> [tick.label for tick in log_axis(12.0, 6336.0, "{:,.0f}".format).ticks]
        ['20', '50', '100', '200', '500', '1,000', '2,000', '5,000']
        >>> [tick.label for tick in log_axis(0.9, 1e6, "{:,.0f}".format).ticks][:3]
        ['1', '10', '100']
        >>> [tick.label for tick in log_axis(0.112, 0.141, "{:g}".format).ticks]
        ['0.12', '0.13', '0.14']
    """
    if not high > low * (1 + 1e-6):
        low, high = low / 1.5, high * 1.5
    start, end = math.log10(low), math.log10(high)
    factors = (1,) if end - start > 2.3 else (1, 2, 5)
    step = max(1, round((end - start) / 6)) if factors == (1,) else 1
    powers = range(math.floor(start), math.ceil(end) + 1)
    values = [factor * 10.0**power for power in powers if power % step == 0 for factor in factors]
    values = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    if len(values) < 3 and factors == (1,):  # such as 12 to 6,000
        values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        values = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    if len(values) < 3:  # less than a factor of 10
        ticks = linear_axis(low, high, label).ticks
        values = [low + tick.place * (high - low) for tick in ticks]
        labels = [tick.label for tick in ticks]
    else:
        labels = [label(value) for value in values]
    if is_turned:
        start, end = end, start
    places = [(math.log10(value) - start) / (end - start) for value in values]
    return Axis(start, end, True, [Tick(*tick) for tick in zip(places, labels, strict=True)])
