"""A comparison of learning curves in words."""

from collections.abc import Iterator

import numpy as np

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.comparison.crossing import CrossingAnswers
from lcjax.curves.comparison.differences import DifferenceAnswers
from lcjax.curves.comparison.equivalence import DataAnswers
from lcjax.curves.comparison.joint_curves import AHEAD
from lcjax.curves.comparison.measured import MeasuredDifferences
from lcjax.curves.metrics import ERROR, Metric

__all__ = ["Sentences"]

_POSSIBLE = 0.05  # crossings of smaller probability are not mentioned
_FAR = 1e4  # sizes beyond this multiple of the data are not written


class Sentences(CrossingAnswers, DataAnswers, DifferenceAnswers):
    """All answers, in words.

    Attributes:
        measured: differences of the measured errors from the baseline.
    """

    measured: MeasuredDifferences

    def sentences(
        self, size: float | None = None, *, metric: Metric = ERROR, unit: str = "examples"
    ) -> tuple[str, ...]:
        """Describe the comparison with the baseline in words.

        Args:
            size: size for which to compare the curves; by default 16 times the largest measured one.
            metric: metric in which to write values.
            unit: what a size counts, in the plural.

        Raises:
            ValueError: the size is not finite or lies below `start`.
        """
        size = AHEAD * self.largest if size is None else float(size)
        others = [i for i in range(len(self.names)) if i != self.baseline]
        lines: list[str] = []
        for i in others:
            lines += [
                _describe_now(self, i, metric, unit),
                _describe_order(self, i, size, unit),
                *_describe_crossings(self, i, size, unit),
                *_describe_data(self, i, unit),
            ]
        if len(others) > 1:
            best = self.probability_best([size])[:, 0]
            listed = ", ".join(f"{self.names[i]} {best[i]:.2f}" for i in np.argsort(-best) if best[i] >= 0.01)
            lines.append(f"Probability of being the best at {_number(size)} {unit}: {listed}.")
        return tuple(lines)

    def headline(self) -> str:
        """Return the comparison of two curves in words, or the best one of several, for notebooks."""
        lines = self.sentences()
        return lines[-1] if len(self.names) > 2 else " ".join(lines)


def _describe_now(comparison: Sentences, i: int, metric: Metric, unit: str) -> str:
    """Describe the difference at the largest size at which both curves are measured."""
    name, other = comparison.names[i], comparison.names[comparison.baseline]
    measured = comparison.measured
    both = np.flatnonzero(~np.isnan(measured.value[i]))
    level = f"{100 * comparison.level:g} %"
    if both.size and np.isfinite(measured.low[i, both[-1]]):
        place = both[-1]
        value, low, high = (float(row[i, place]) for row in (measured.value, measured.low, measured.high))
        at = float(measured.size[place])
        count = int(measured.count[i, place])
        source = f"{count} pairs of repeats" if measured.paired else f"{count} unpaired repeats"
    else:
        at, source = comparison.now, "smoothed curves"
        difference = comparison.difference([at])
        value, low, high = (float(row[i, 0]) for row in (difference.value, difference.low, difference.high))
    if metric.rises:
        value, low, high = -value, -high, -low
    limits = f"{level} {low:+.3g} to {high:+.3g}, {source}"
    return f"At {_number(at)} {unit}, {name} minus {other}: {metric.name} {value:+.3g} ({limits})."


def _describe_order(comparison: Sentences, i: int, size: float, unit: str) -> str:
    name, other = comparison.names[i], comparison.names[comparison.baseline]
    better = float(comparison.probability_of_order([size])[i, comparison.baseline, 0])
    turned = float(comparison.probability_of_reversal([size])[i, comparison.baseline, 0])
    return (
        f"At {_number(size)} {unit}, {name} is better than {other} with probability {better:.2f}; the order differs "
        f"from the present one with probability {turned:.2f}."
    )


def _describe_crossings(comparison: Sentences, i: int, size: float, unit: str) -> Iterator[str]:
    """Describe every crossing that is possible, or state that none is expected."""
    end = max(AHEAD * comparison.largest, size)
    name, other = comparison.names[i], comparison.names[comparison.baseline]
    found = comparison.crossings(i, comparison.baseline, end=end)
    if not found.size.size:
        yield f"The data do not show at which sizes {name} or {other} is better, so no crossing is reported."
        return
    level = f"{100 * comparison.level:g} %"
    for k in range(found.size.size):
        probability = float(found.probability[k])
        first, then = (name, other) if found.first_better[k] else (other, name)
        span = f"between {_number(found.start[k])} and {_number(found.end[k])} {unit}"
        if probability < _POSSIBLE:
            yield f"No crossing is expected {span}: {first} stays better with probability {1 - probability:.2f}."
            continue
        interval = f"{level} {_number(found.low[k])} to {_number(found.high[k])}"
        yield (
            f"{then} overtakes {first} {span} with probability {probability:.2f}; if so, at {_number(found.size[k])} "
            f"({interval}). Probability of no crossing: {1 - probability:.2f}."
        )


def _describe_data(comparison: Sentences, i: int, unit: str) -> Iterator[str]:
    """Describe the amounts of data at which the curves are equivalent, at the largest common measured size."""
    now = comparison.now
    better = float(comparison.probability_of_order([now])[i, comparison.baseline, 0]) >= 0.5
    good, poor = (i, comparison.baseline) if better else (comparison.baseline, i)
    names = comparison.names
    share = comparison.data_equivalent([now], good, poor)
    yield (
        f"{names[good]} with {_range(share, 1 / now, comparison.level, comparison.largest)} times the data equals "
        f"{names[poor]} at {_number(now)} {unit}."
    )
    saved = comparison.examples_saved([now], good, poor)
    worth = f"At {_number(now)} {unit}, {names[good]} instead of {names[poor]} is worth"
    if not np.isfinite(saved.value[0]) or saved.value[0] > _FAR * comparison.largest:
        yield f"{worth} more {unit} than can be forecast: {names[poor]} may never reach its error."
        return
    value, _, limits = _range(saved, 1.0, comparison.level, comparison.largest).partition(" ")
    yield f"{worth} {value} further {unit} {limits}."


def _range(answer: SizeForError, factor: float, level: float, largest: float) -> str:
    value, low, high = (float(np.asarray(limit)[0]) for limit in (answer.value, answer.low, answer.high))
    at_smallest = answer.smallest is not None and low <= float(np.asarray(answer.smallest)[0]) * (1 + 1e-5)
    limits = ("at most " if at_smallest else "") + _number(low * factor)
    limits += " or more" if not np.isfinite(high) or high > _FAR * largest else f" to {_number(high * factor)}"
    return f"{_number(value * factor)} ({100 * level:g} % {limits})"


def _number(value: float) -> str:
    """Write a number with three digits and separated thousands."""
    rounded = float(f"{float(value):.3g}")
    return f"{rounded:,.10g}" if 1e-4 <= abs(rounded) < 1e10 else f"{rounded:.3g}"
