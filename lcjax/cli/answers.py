"""Answer for a target in words and tables, common to all commands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lcjax.cli.output import format_number, format_size, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from lcjax.curves.answer.size_for_error import SizeForError

__all__ = ["describe_size", "print_answer"]

_SHOWN = 6  # candidates in the table of measurements
_CERTAIN = 0.995  # probabilities above this one, or below its complement, are not printed
_MET = 0.95  # from this probability that the smallest size is enough, no measurement is recommended


def describe_size(answer: "SizeForError", unit: str) -> str:
    """Return the size for a target with its interval in words.

    Examples:
        >>> import numpy as np, lcjax as lc
        >>> draws, measured = np.array([850.0, 900.0, 950.0]), {"smallest": np.array(100.0), "largest": np.array(800.0)}
        >>> size = lc.SizeForError.from_draws(np.array(900.0), draws, 0.9, **measured)
        >>> describe_size(size, "examples")
        '900 examples (90 % interval 850 to 950), beyond the largest size measured, 800'
    """
    status, percent = str(answer.status), f"{100 * answer.level:g} % interval"
    smallest, largest = (None if x is None else format_size(x) for x in (answer.smallest, answer.largest))
    low, high = format_size(answer.low), format_size(answer.high)
    if smallest is not None and float(answer.low) <= float(_known(answer.smallest)) * (1 + 1e-5):
        low = f"at or below {smallest}"
    if status == "at_or_below_smallest":
        text = f"at or below {smallest} {unit}, the smallest size measured"
        return text if high == smallest else f"{text} ({percent} up to {high})"
    if status == "unreachable":
        if low == "never":
            return "out of reach at any size, according to the model"
        return f"out of reach according to the model; if at all, at {low} {unit} or more ({percent})"
    if status == "unknown":
        return "unknown"
    interval = f"{low} or more" if high == "never" else f"{low} to {high}"
    beyond = f", beyond the largest size measured, {largest}" if status == "beyond" and largest else ""
    return f"{format_size(answer.value)} {unit} ({percent} {interval}){beyond}"


def print_answer(
    console: "Console", answer: Mapping[str, Any], subject: str, unit: str, *, test_count: float | None = None
) -> None:
    """Print the answers for a target: mean error, one training, test examples, and the measurement to make next.

    Args:
        console: console.
        answer: fields of one curve, from `TargetAnswer.fields`.
        subject: the target in words, such as "Error 0.05".
        unit: what a size counts, plural.
        test_count: number of test examples at hand, or None.
    """
    size: SizeForError = answer["size_for_error"]
    console.print(f"{subject}: {describe_size(size, unit)}.", style="bold", highlight=False)
    never = float(size.never)
    if 1 - _CERTAIN < never < _CERTAIN and str(size.status) != "unreachable":
        console.print(f"The model gives probability {never:.2f} that no size reaches it.")
    elif str(size.status) == "unreachable":
        console.print(f"Probability that no size reaches it, according to the model: {never:.2f}.")
    at_smallest = 0.0 if size.at_smallest is None else float(size.at_smallest)
    if 1 - _CERTAIN < at_smallest < _CERTAIN:
        smallest = format_size(_known(size.smallest))
        console.print(f"Probability that {smallest} {unit}, the smallest size measured, are enough: {at_smallest:.2f}.")
    if (lasting := answer["lasting_size_for_error"]) is not None:
        console.print(f"The error rises in between; size from which it stays there: {describe_size(lasting, unit)}.")
    _print_assurance(console, answer["assurance"], unit)
    if (needed := answer["test_examples"]) is not None:
        enough = ""
        if test_count is not None and test_count == test_count:
            verdict = "are enough" if test_count >= needed else "are too few"
            enough = f"; the {format_size(test_count)} at hand {verdict}"
        console.print(
            f"Test examples needed to show it, if the error is 10 % below the target: {format_size(needed)}{enough}."
        )
    if at_smallest < _MET:
        _print_next(console, answer["next_size"], unit)


def _print_assurance(console: "Console", assurance: Mapping[str, Any], unit: str) -> None:
    subject = f"One training meets it with probability {100 * assurance['share']:g} %"
    value, low, high = (float(assurance[name]) for name in ("size", "low", "high"))
    if assurance["status"] == "unreachable":
        console.print(f"{subject}: at no size, according to the model.")
    elif assurance["status"] == "at_or_below_smallest":
        console.print(f"{subject} at or below {format_size(value)} {unit}.")
    else:
        interval = f"{format_size(low)} or more" if high != high else f"{format_size(low)} to {format_size(high)}"
        console.print(f"{subject} from {format_size(value)} {unit} on ({interval}).")


def _print_next(console: "Console", plan: Mapping[str, Any], unit: str) -> None:
    count = f"{plan['repeats']} training{'s' if plan['repeats'] != 1 else ''}"
    console.print(f"Measure next: {count} with {format_size(plan['size'])} {unit}.")

    def rate(one: Mapping[str, float]) -> float:
        return one["information"] / one["cost"]

    candidates = sorted(plan["candidates"], key=rate, reverse=True)[:_SHOWN]
    highest = max(rate(candidates[0]), 1e-12)
    rows = [
        [
            format_size(one["size"]),
            f"{one['repeats']}",
            f"{one['information']:.2f}",
            format_size(one["cost"]),
            format_number(rate(one) / highest, ".2f"),
        ]
        for one in candidates
    ]
    columns = [unit, "trainings", "information, nats", "cost", "relative to best"]
    print_table(console, "Candidate measurements by information about the size per unit of cost", columns, rows)


def _known(value: Any) -> Any:
    assert value is not None
    return value
