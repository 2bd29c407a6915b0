"""A comparison of learning curves in words."""

from collections.abc import Iterator

import numpy as np

from lcjax.curves.answer.size_for_error import SizeForError
from lcjax.curves.comparison.crossing import CrossingAnswers
from lcjax.curves.comparison.differences import DifferenceAnswers, metric_difference
from lcjax.curves.comparison.equivalence import DataAnswers
from lcjax.curves.comparison.joint_curves import AHEAD
from lcjax.curves.comparison.measured import MeasuredDifferences
from lcjax.curves.metrics import Metric
from lcjax.formats import are_counts, format_number, format_probability

__all__ = ["Sentences"]

_POSSIBLE = 0.05  # crossings of smaller probability are not mentioned
_MENTIONED = 0.01  # smallest probability of being the best that is listed
_FAR = 1e4  # sizes beyond this multiple of the data are not written


class Sentences(CrossingAnswers, DataAnswers, DifferenceAnswers):
    """All answers, in words.

    Attributes:
        measured: differences of the measured errors from the baseline.
        metric: metric in which sentences give values.
    """

    measured: MeasuredDifferences
    metric: Metric

    def sentences(
        self, size: float | None = None, *, metric: Metric | None = None, unit: str = "examples"
    ) -> tuple[str, ...]:
        """Describe the comparison with the baseline in words.

        Args:
            size: size for which to compare the curves; by default 16 times the largest measured one.
            metric: metric in which to write values; by default that of the comparison.
            unit: what a size counts, in the plural.

        Raises:
            ValueError: the size is not finite or lies below `start`.
        """
        metric = self.metric if metric is None else metric
        size = AHEAD * self.largest if size is None else float(size)
        others = [i for i in range(len(self.names)) if i != self.baseline]
        lines: list[str] = []
        for i in others:
            lines += [
                _describe_now(self, i, metric, unit),
                _describe_order(self, i, size, unit),
                *_describe_crossings(self, i, size, unit),
                *_describe_data(self, i, metric, unit),
            ]
        if len(others) > 1:
            best = self.probability_best([size])[:, 0]
            shown = [i for i in np.argsort(-best).tolist() if best[i] >= _MENTIONED]
            listed = ", ".join(f"{_quote(self, i)} {format_probability(best[i])}" for i in shown)
            lines.append(f"Probability of being the best at {_size(self, size)} {unit}: {listed}.")
        return tuple(lines)

    def headline(self) -> str:
        """Return the comparison of two curves in words, or the best one of several, for notebooks."""
        lines = self.sentences()
        return lines[-1] if len(self.names) > 2 else " ".join(lines)


def _describe_now(comparison: Sentences, i: int, metric: Metric, unit: str) -> str:
    """Describe the difference at the largest size at which both curves are measured."""
    name, other = _quote(comparison, i), _quote(comparison, comparison.baseline)
    measured = comparison.measured
    both = np.flatnonzero(~np.isnan(measured.value[i]))
    level = f"{100 * comparison.level:g} %"
    if both.size and np.isfinite(measured.low[i, both[-1]]):
        place = both[-1]
        value, low, high = (float(row[i, place]) for row in (measured.value, measured.low, measured.high))
        at = float(measured.size[place])
        count = int(measured.count[i, place])
        source = f"from {count} pairs of repeats" if measured.paired else f"from {count} unpaired repeats"
    else:
        at, source = comparison.now, "from the smoothed curves"
        difference = comparison.difference([at])
        value, low, high = (float(row[i, 0]) for row in (difference.value, difference.low, difference.high))
    base = _error_at(comparison, comparison.baseline, at)
    parts = metric_difference(base, value, low, high, metric)
    value_text, low_text, high_text = (format_number(float(part), "+.3g") for part in parts)
    limits = f"{level} interval {low_text} to {high_text}, {source}"
    size = _size(comparison, at)
    return f"At {size} {unit}, the {metric.name} of {name} minus that of {other} is {value_text} ({limits})."


def _error_at(comparison: Sentences, i: int, size: float) -> float:
    """Return the error of a curve at a size: the median forecast where all curves are known, else the measured one."""
    if size >= comparison.start:
        return float(np.median(comparison.draws([size])[i]))
    place = int(np.argmin(np.abs(comparison.curves.size - size)))
    return float(np.asarray(comparison.curves.error, float)[i, place])


def _describe_order(comparison: Sentences, i: int, size: float, unit: str) -> str:
    name, other = _quote(comparison, i), _quote(comparison, comparison.baseline)
    better = float(comparison.probability_of_order([size])[i, comparison.baseline, 0])
    turned = float(comparison.probability_of_reversal([size])[i, comparison.baseline, 0])
    text = f"At {_size(comparison, size)} {unit}, {name} is better than {other} with a probability of"
    if size <= comparison.now * (1 + 1e-5):
        return f"{text} {format_probability(better)}."
    now = f"{_size(comparison, comparison.now)} {unit}"
    return (
        f"{text} {format_probability(better)}; the order differs from that at {now} with a probability of "
        f"{format_probability(turned)}."
    )


def _describe_crossings(comparison: Sentences, i: int, size: float, unit: str) -> Iterator[str]:
    """Describe every crossing that is possible, or state that none is expected."""
    end = max(AHEAD * comparison.largest, size)
    name, other = _quote(comparison, i), _quote(comparison, comparison.baseline)
    found = comparison.crossings(i, comparison.baseline, end=end)
    if not found.size.size:
        yield f"The data do not show at any size which of {name} and {other} is better, so no crossing is reported."
        return
    level = f"{100 * comparison.level:g} %"
    for k in range(found.size.size):
        probability = float(found.probability[k])
        first, then = (name, other) if found.first_better[k] else (other, name)
        span = f"between {_size(comparison, found.start[k])} and {_size(comparison, found.end[k])} {unit}"
        if probability < _POSSIBLE:
            stays = format_probability(1 - probability)
            yield f"No crossing is expected {span}: {first} stays better with a probability of {stays}."
            continue
        interval = f"{level} interval {_size(comparison, found.low[k])} to {_size(comparison, found.high[k])}"
        yield (
            f"{then} overtakes {first} {span} with a probability of {format_probability(probability)}; if it does, at "
            f"{_size(comparison, found.size[k])} ({interval})."
        )


def _describe_data(comparison: Sentences, i: int, metric: Metric, unit: str) -> Iterator[str]:
    """Describe the amounts of data at which the curves are equivalent, at the largest common measured size."""
    now = comparison.now
    better = float(comparison.probability_of_order([now])[i, comparison.baseline, 0]) >= 0.5
    good, poor = (i, comparison.baseline) if better else (comparison.baseline, i)
    name, other = _quote(comparison, good), _quote(comparison, poor)
    value, limits = _range(comparison, comparison.data_equivalent([now], good, poor), 1 / now)
    yield f"With {value} times the data {limits}, {name} equals {other} at {_size(comparison, now)} {unit}."
    saved = comparison.examples_saved([now], good, poor)
    worth = f"At {_size(comparison, now)} {unit}, using {name} instead of {other} is worth"
    if not np.isfinite(saved.value[0]) or saved.value[0] > _FAR * comparison.largest:
        yield f"{worth} more {unit} than can be forecast: {other} may never reach its {metric.name}."
        return
    value, limits = _range(comparison, saved, whole=are_counts(comparison.curves.size))
    yield f"{worth} {value} further {unit} {limits}."


def _quote(comparison: Sentences, i: int) -> str:
    """Return the name of a curve as it stands in a sentence."""
    return f'"{comparison.names[i]}"'


def _range(comparison: Sentences, answer: SizeForError, factor: float = 1.0, *, whole: bool = False) -> tuple[str, str]:
    """Return the value of an answer, and its interval in parentheses."""
    value, low, high = (float(np.asarray(limit)[0]) for limit in (answer.value, answer.low, answer.high))
    at_smallest = answer.smallest is not None and low <= float(np.asarray(answer.smallest)[0]) * (1 + 1e-5)
    middle, lower, upper = (_number(limit * factor, whole=whole) for limit in (value, low, high))
    limits = ("at most " if at_smallest else "") + lower
    limits += " or more" if not np.isfinite(high) or high > _FAR * comparison.largest else f" to {upper}"
    return middle, f"({100 * comparison.level:g} % interval {limits})"


def _size(comparison: Sentences, size: float) -> str:
    return _number(size, whole=are_counts(comparison.curves.size))


def _number(value: float, *, whole: bool = False) -> str:
    """Write a number with three digits and separated thousands, and counts without fractions."""
    rounded = float(f"{float(value):.3g}")
    rounded = float(round(rounded)) if whole and np.isfinite(rounded) else rounded
    return f"{rounded:,.10g}" if 1e-4 <= abs(rounded) < 1e10 else f"{rounded:.3g}"
