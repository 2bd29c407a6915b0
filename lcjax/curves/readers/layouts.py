"""Other layouts of tables of curves, rearranged to a row for each measurement."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from lcjax.curves.metrics import METRICS, Metric, find_metric
from lcjax.curves.readers.columns import Choice, Columns, find_heading, naming_columns
from lcjax.curves.readers.headings import parse_heading
from lcjax.curves.readers.search import find_columns
from lcjax.curves.readers.separation import check_separation
from lcjax.tables.table import Table

__all__ = ["arrange"]

_ALL = ("", "all", "overall", "total")  # class or group of a measurement on everything
_KINDS = ("class", "group")
_STATES = ("state", "status")
_RUN_STATES = {"finished", "crashed", "failed", "killed", "running", "scheduled", "preempted", "preempting"}
_CORNERS = ("", "size", "n", "model", "curve", "metric", "seed", "repeat", "name", "run")


def arrange(table: Table, metric: Metric | None = None, choice: Choice | None = None) -> tuple[Table, Columns, Metric]:
    """Return a table with one row for each measurement, its columns and its metric.

    Columns for each repeat or curve become rows; a table with sizes across is transposed; of a long table with several
    metrics the rows of one are taken.

    Args:
        table: as read.
        metric: metric of the values, if it is known.
        choice: columns and rows that the user names.

    Raises:
        ValueError: columns are missing, or rows may mean several curves; the message gives the options that decide.

    Examples:
        >>> wide = Table("a.csv", ["size", "seed0", "seed1"], [["10", "20"], ["0.5", "0.4"], ["0.6", "0.3"]], [2, 3])
        >>> table, columns, metric = arrange(wide)
        >>> table.heading, table.cells(1), table.cells(2), metric.name
        (['size', 'repeat', 'error'], ['seed0', 'seed0', 'seed1', 'seed1'], ['0.5', '0.4', '0.6', '0.3'], 'error')
    """
    choice = Choice() if choice is None else choice
    table = _transpose(table)
    for name, value in choice.select.items():
        table = _select(table, find_heading(table, name, "--select"), value)
    table, unfinished = _take_finished(table, choice)
    columns = find_columns(table, metric, choice)
    notes = (*table.notes, *unfinished, *columns.notes)
    place, metric = dict(columns.place), columns.metric
    for role, several in (("repeat", columns.repeats), ("curve", columns.curves)):
        if len(several) > 1:
            cells = [" ".join(row) for row in zip(*(table.cells(i) for i in several), strict=True)]
            table = dataclasses.replace(table, columns=[*table.columns, cells], heading=[*table.heading, role])
            place[role] = len(table.heading) - 1
    if "metric" in place:
        table, metric, note = _take_metric(table, place, metric)
        table, kinds = _take_all(table, choice)
        notes = (*notes, *note, *kinds)
        place |= _take_count(table, place, metric)
    assert metric is not None
    if len(columns.values) > 1:
        table, place = _melt(table, dataclasses.replace(columns, place=place))
    columns = dataclasses.replace(columns, place=place, metric=metric, values=(place["error"],), notes=notes)
    check_separation(table, columns)
    naming = [] if "training" in place or "curve" in place else naming_columns(table, place)
    if any(len(set(table.cells(i))) > 1 for i in naming):
        named = ", ".join(repr(table.heading[i]) for i in naming)
        columns = dataclasses.replace(columns, notes=(*notes, f"A curve is read for each {named}."))
    return table, columns, metric


def _transpose(table: Table) -> Table:
    """Return a table whose sizes are in the heading with a row for each of them, others as they are."""
    heading = table.heading
    if len(heading) < 3 or heading[0].lower() not in _CORNERS or not len(table):
        return table
    numbers = [cell.replace(",", "").replace(".", "", 1).strip().removesuffix("k") for cell in heading[1:]]
    if not all(cell.isdecimal() and cell.isascii() for cell in numbers):
        return table
    names = table.cells(0)
    known = [parse_heading(name) for name in names]
    if heading[0].lower() == "size" and any(one.is_size for one in known):
        return table
    if len(names) == 1 and not known[0].metric and not names[0].strip():
        names = ["error"]
    rows = [table.cells(i) for i in range(1, len(heading))]
    columns = [heading[1:], *(list(cells) for cells in zip(*rows, strict=True))]
    note = "The sizes are read from the first line, and the values from a row for each curve or repeat."
    return dataclasses.replace(
        table,
        heading=["size", *names],
        columns=columns,
        lines=range(2, len(heading) + 1),
        unit="column",
        notes=(*table.notes, note),
    )


def _select(table: Table, column: int, value: str) -> Table:
    """Return the rows that have a value in a column, as text or as a number."""
    cells = [cell.strip() for cell in table.cells(column)]
    mask = np.array([cell == value for cell in cells], bool)
    if not mask.any():
        mask = np.array([_as_number(cell) == _as_number(value) for cell in cells], bool)
    if not mask.any():
        known = ", ".join(list(dict.fromkeys(cells))[:10])
        raise ValueError(f"no row has {table.heading[column]}={value}; its values are {known}")
    return table.take(mask)


def _as_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text.lower()


def _take_finished(table: Table, choice: Choice) -> tuple[Table, tuple[str, ...]]:
    """Return the rows of a tracker's table whose run has finished, and a note on the others."""
    names = [cell.lower() for cell in table.heading]
    column = next((names.index(name) for name in _STATES if name in names), None)
    if column is None or table.heading[column] in choice.select:
        return table, ()
    states = [cell.strip().lower() for cell in table.cells(column)]
    finished = np.array([state == "finished" for state in states], bool)
    if not set(states) <= _RUN_STATES or finished.all() or not finished.any():
        return table, ()
    others = ", ".join(sorted({state for state in states if state != "finished"}))
    note = f"Left out: {np.sum(~finished):,} runs that have not finished ({table.heading[column]} {others})."
    return table.take(finished), (note,)


def _take_metric(
    table: Table, place: Mapping[str, int], metric: Metric | None
) -> tuple[Table, Metric, tuple[str, ...]]:
    """Return the rows of one metric of a long table: the one that is asked for, or the first one that is known."""
    cells = [cell.strip().removeprefix("'") for cell in table.cells(place["metric"])]
    names, is_chosen = list(dict.fromkeys(cells)), metric is not None
    if metric is None:
        known = [name for name in METRICS if name in names] or [name for name in names if parse_heading(name).metric]
        if not known:
            raise ValueError(f"its metrics are {', '.join(names)}; pass --metric NAME with --best for one of them")
        metric = find_metric(known[0])
    if metric.name not in names:
        raise ValueError(f"it has no metric {metric.name}; its metrics are {', '.join(names)}")
    others = [] if is_chosen else [name for name in names if name != metric.name]
    note = (f"The metric {metric.name} is read; pass --metric for one of {', '.join(others)}.",) if others else ()
    return table.take(np.array([cell == metric.name for cell in cells], bool)), metric, note


def _take_all(table: Table, choice: Choice) -> tuple[Table, tuple[str, ...]]:
    """Return the rows of a long table that concern everything, unless classes or groups are asked for."""
    notes, names = [], [cell.lower() for cell in table.heading]
    for kind in _KINDS:
        asked = {name.lower() for name in (*choice.curve, *choice.select)}
        if kind not in names:
            continue
        place = names.index(kind)
        cells = [cell.strip().lower() for cell in table.cells(place)]
        overall = np.array([cell in _ALL for cell in cells], bool)
        if kind in asked:
            columns = [*table.columns]
            columns[place] = ["all" if not cell.strip() else cell for cell in table.cells(place)]
            table = dataclasses.replace(table, columns=columns)
            continue
        if not overall.all():
            if not overall.any():
                raise ValueError(
                    f"each of its rows concerns one {kind}; pass --curve-column {kind}, or --select {kind}={cells[0]}"
                )
            notes.append(f"Rows of one {kind} are left out; --curve-column {kind} reads a curve for each.")
            table = table.take(overall)
    return table, tuple(notes)


def _take_count(table: Table, place: Mapping[str, int], metric: Metric) -> dict[str, int]:
    """Return the column of test examples of a long table, if it has one number for each curve."""
    names = [cell.lower() for cell in table.heading]
    if "count" not in names or metric.name not in ("error", "accuracy"):
        return {}
    column = names.index("count")
    counts = table.cells(column)
    curves = table.cells(place["curve"]) if "curve" in place else [""] * len(table)
    of_curve = dict(zip(curves, counts, strict=True))
    is_one = all(of_curve[curve] == count.strip() != "" for curve, count in zip(curves, counts, strict=True))
    return {"test_count": column} if is_one else {}


def _melt(table: Table, columns: Columns) -> tuple[Table, dict[str, int]]:
    """Return a table in which columns of values are one below the other, with columns of their labels."""
    kept = {role: i for role, i in columns.place.items() if role != "error"}
    cells = {i: table.cells(i) for i in (*kept.values(), *columns.values)}
    present = [[bool(cell.strip()) for cell in cells[i]] for i in columns.values]
    labels = {"curve": columns.curve_labels, "repeat": columns.repeat_labels}
    are_runs = len(table) > 1 and all(sum(marks) <= 1 for marks in present)  # each of one size
    if are_runs and labels["curve"] and not labels["repeat"] and "repeat" not in kept:
        labels = {"curve": (), "repeat": columns.curve_labels}
    added = {role: names for role, names in labels.items() if names}
    heading = [*(table.heading[i] for i in kept.values()), *added, "error"]
    times = len(columns.values)
    body: list[list[str]] = [cells[i] * times for i in kept.values()]
    body += [[name for name in names for _ in range(len(table))] for names in added.values()]
    body.append([cell for i in columns.values for cell in cells[i]])
    place = {role: j for j, role in enumerate([*kept, *added, "error"])}
    melted = dataclasses.replace(table, heading=heading, columns=body, lines=list(table.lines) * times)
    if are_runs:
        melted = melted.take(np.array([ok for marks in present for ok in marks], bool))
    return melted, place
