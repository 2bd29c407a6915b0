"""The answer for a target in sentences, the same on terminals, in pages and in notebooks."""

import math
from collections.abc import Mapping
from typing import Any

from lcjax.curves.answer.size_for_error import SizeForError, describe_size
from lcjax.formats import format_probability, format_size

__all__ = ["answer_sentences", "is_met"]

_CERTAIN = 0.995  # probabilities above this one, or below its complement, are not mentioned
_MET = 0.95  # from this probability that the smallest size is enough, no measurement is recommended


def is_met(answer: Mapping[str, Any]) -> bool:
    """Return True if the smallest measured size is enough almost surely, so that nothing is left to measure."""
    at_smallest = answer["size_for_error"].at_smallest
    return at_smallest is not None and float(at_smallest) >= _MET


def answer_sentences(
    answer: Mapping[str, Any], subject: str, unit: str, *, test_count: float | None = None
) -> list[str]:
    """Return the answers for a target: mean error, one training, test examples, and the measurement to make next.

    Args:
        answer: fields of one curve, from `TargetAnswer.fields`.
        subject: the target in words, such as "Error 0.05".
        unit: what a size counts, plural.
        test_count: number of test examples at hand, or None.

    Returns:
        Sentences, the size for the target first.

    Examples:
        >>> import jax, jax.numpy as jnp, lcjax as lc
        >>> from lcjax.curves.answer.target import answer_target
        >>> size = 100.0 * 2.0 ** jnp.arange(6)
        >>> ahead = lc.forecast(jax.random.key(0), lc.LearningCurve(size, 2.0 * size**-0.5))
        >>> answer_sentences(answer_target(ahead, 0.05).fields(), "Error 0.05", "examples")[0].split(" (")[0]
        'Error 0.05: 1,600 examples'
    """
    size: SizeForError = answer["size_for_error"]
    sentences = [f"{subject}: {describe_size(size, unit)}."]
    never = float(size.never)
    if str(size.status) == "unreachable" or 1 - _CERTAIN < never < _CERTAIN:
        sentences.append(f"Probability that no size reaches it, according to the model: {format_probability(never)}.")
    at_smallest = 0.0 if size.at_smallest is None else float(size.at_smallest)
    if 1 - _CERTAIN < at_smallest < _CERTAIN:
        smallest = format_size(_known(size.smallest))
        enough = format_probability(at_smallest)
        sentences.append(f"Probability that {smallest} {unit}, the smallest size measured, are enough: {enough}.")
    if (lasting := answer["lasting_size_for_error"]) is not None:
        stays = "size from which it stays at or below the target"
        sentences.append(f"The error rises in between; {stays}: {describe_size(lasting, unit)}.")
    sentences.append(_assurance(answer["assurance"], unit, whole=size.is_count))
    if (needed := answer["test_examples"]) is not None:
        enough = ""
        if test_count is not None and test_count == test_count:
            verdict = "are enough" if test_count >= needed else "are too few"
            enough = f"; the {format_size(test_count)} at hand {verdict}"
        sentences.append(
            f"Test examples needed to show it, if the error is 10 % below the target: {format_size(needed)}{enough}."
        )
    if not is_met(answer):
        plan = answer["next_size"]
        count = f"{plan['repeats']} training{'s' if plan['repeats'] != 1 else ''}"
        sentences.append(f"Measure next: {count} with {format_size(plan['size'], whole=size.is_count)} {unit}.")
    return sentences


def _assurance(assurance: Mapping[str, Any], unit: str, *, whole: bool) -> str:
    subject = f"One training meets it with probability {100 * assurance['share']:g} %"
    value, lower, upper = (format_size(assurance[name], whole=whole) for name in ("size", "low", "high"))
    if assurance["status"] == "unreachable":
        return f"{subject}: at no size, according to the model."
    if assurance["status"] == "at_or_below_smallest":
        return f"{subject} at or below {value} {unit}."
    interval = f"{lower} or more" if math.isnan(float(assurance["high"])) else f"{lower} to {upper}"
    return f"{subject} from {value} {unit} on ({interval})."


def _known(value: Any) -> Any:
    assert value is not None
    return value
