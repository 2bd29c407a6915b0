"""Answer for a target in words and tables, common to all commands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lcjax.cli.output import format_number, format_size, print_table
from lcjax.curves.answer.sentences import answer_sentences, is_met

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_answer"]

_SHOWN = 6  # candidates in the table of measurements


def print_answer(
    console: "Console", answer: Mapping[str, Any], subject: str, unit: str, *, test_count: float | None = None
) -> None:
    """Print the answers for a target, and the candidates for the next measurement.

    Args:
        console: console.
        answer: fields of one curve, from `TargetAnswer.fields`.
        subject: the target in words, such as "Error 0.05".
        unit: what a size counts, plural.
        test_count: number of test examples at hand, or None.
    """
    first, *others = answer_sentences(answer, subject, unit, test_count=test_count)
    console.print(first, style="bold", highlight=False)
    for sentence in others:
        console.print(sentence)
    if not is_met(answer):
        _print_candidates(console, answer["next_size"], unit, whole=answer["size_for_error"].is_count)


def _print_candidates(console: "Console", plan: Mapping[str, Any], unit: str, *, whole: bool) -> None:
    def rate(one: Mapping[str, float]) -> float:
        return one["information"] / one["cost"]

    candidates = sorted(plan["candidates"], key=rate, reverse=True)[:_SHOWN]
    highest = max(rate(candidates[0]), 1e-12)
    rows = [
        [
            format_size(one["size"], whole=whole),
            f"{one['repeats']}",
            f"{one['information']:.2f}",
            format_size(one["cost"]),
            format_number(rate(one) / highest, ".2f"),
        ]
        for one in candidates
    ]
    columns = [unit, "trainings", "information, nats", "cost", "relative to best"]
    cost = f"new {unit}, plus those at hand for each training"
    print_table(console, f"Candidate measurements by information about the size per cost ({cost})", columns, rows)
