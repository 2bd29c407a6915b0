"""Columns of tables of learning curves by their role, and the user's choice of them."""

import dataclasses
from collections.abc import Mapping, Sequence

from lcjax.curves.metrics import Metric
from lcjax.curves.readers.headings import Heading
from lcjax.tables.table import Table

__all__ = ["BENCHMARK", "Choice", "Columns", "find_heading", "naming_columns", "spread_kind"]

BENCHMARK = ("domain", "task", "model")  # which name a curve of the public benchmark


@dataclasses.dataclass(frozen=True)
class Choice:
    """Columns that the user names; None where they are recognized.

    Attributes:
        size: column of the numbers of training examples.
        metric: column of the values.
        repeat: column that identifies repeats.
        curve: columns that name the curves.
        select: values that the rows to read have, by column.
    """

    size: str | None = None
    metric: str | None = None
    repeat: str | None = None
    curve: Sequence[str] = ()
    select: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns by their role.

    Attributes:
        place: position of the column of each role: "size", "error", "repeat", "curve", "test_count", "training",
            "metric" (of a long table), "spread" and "count" (a standard deviation or error, and its repeats).
        metric: metric of the values; None in a long table without a choice.
        values: columns of values, several in a table with a column for each repeat or curve.
        curve_labels: name of the curve of each of several columns; () if they are of one curve.
        repeat_labels: name of the repeat of each of several columns; () if each is another curve.
        repeats: columns that together number the repeats, if there are several.
        curves: columns that together name the curves, if the user names them.
        notes: what was inferred, one sentence each.
    """

    place: Mapping[str, int]
    metric: Metric | None
    values: tuple[int, ...] = ()
    curve_labels: tuple[str, ...] = ()
    repeat_labels: tuple[str, ...] = ()
    repeats: tuple[int, ...] = ()
    curves: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def naming_columns(table: Table, place: Mapping[str, int]) -> list[int]:
    """Return the columns that together name the curve of each row.

    They are the column of curves, or those of the public benchmark: domain, task and model.

    Examples:
        >>> naming_columns(Table("a.csv", ["size", "error", "Model"], [[], [], []], []), {"size": 0, "error": 1})
        [2]
    """
    names = [cell.lower() for cell in table.heading]
    others = [i for role, i in place.items() if role != "curve"]
    found = [names.index(name) for name in BENCHMARK if name in names and names.index(name) not in others]
    if "curve" in place and ("training" not in place or len(found) < len(BENCHMARK)):
        return [place["curve"]]
    return found


def spread_kind(heading: Heading) -> str:
    """Return "deviation" for a standard deviation, "error" for a standard error, and "" for other spreads.

    Examples:
        >>> from lcjax.curves.readers.headings import parse_heading
        >>> spread_kind(parse_heading("error_std")), spread_kind(parse_heading("sem")), spread_kind(parse_heading("ci"))
        ('deviation', 'error', '')
    """
    words = set(heading.words)
    if words & {"se", "sem", "stderr", "sterr"} or "standard error" in heading.text:
        return "error"
    return "deviation" if words & {"std", "stdev", "stddev", "sd", "deviation"} else ""


def find_heading(table: Table, name: str, option: str) -> int:
    """Return the position of a column that the user names, exactly or else in lower case.

    Raises:
        ValueError: there is no such column, or there are several.

    Examples:
        >>> find_heading(Table("a.csv", ["Size", "error"], [[], []], []), "size", "--size-column")
        0
    """
    exact = [i for i, cell in enumerate(table.heading) if cell == name]
    found = exact or [i for i, cell in enumerate(table.heading) if cell.lower() == name.lower()]
    if len(found) != 1:
        many = f"{len(found)} columns" if found else "no column"
        raise ValueError(f"{option}: it has {many} {name!r}; its columns are {', '.join(table.heading)}")
    return found[0]
