"""Check that rows of one size are repeats, not measurements of several curves."""

import collections
from collections.abc import Sequence

from lcjax.curves.readers.columns import Columns, naming_columns
from lcjax.curves.readers.headings import parse_heading
from lcjax.tables.table import Table

__all__ = ["check_separation"]

_CURVES = {  # headings of what usually has a curve each
    *("model", "method", "algorithm", "arch", "architecture", "dataset", "task", "learner", "classifier", "estimator"),
    *("variant", "experiment", "network", "net", "backbone", "optimizer", "pretrained", "augmentation", "domain"),
}
_ADMINISTRATION = {  # columns of trackers that do not distinguish curves
    *("state", "status", "created", "runtime", "start time", "end time", "duration", "user", "source", "version"),
    *("notes", "note", "tags", "sweep", "hostname", "host", "id", "run id", "name", "run", "run name", "date", "time"),
    *("comment", "comments", "timestamp", "machine", "gpu", "device", "commit", "job", "experiment id", "url"),
}
_SHOWN, _MOST = 4, 200  # values in a message, and distinct values of a column that may name curves


def check_separation(table: Table, columns: Columns) -> None:
    """Refuse a table in which another column may name curves.

    Such a column has values with several sizes each, and either a usual heading, such as "model", or tells rows of the
    same size apart.

    Args:
        table: rows of measurements.
        columns: its columns by role; rows are compared within their curve and repeat.

    Raises:
        ValueError: a column may name curves; the message gives the options that decide.

    Examples:
        >>> table = Table("a.csv", ["size", "error", "net"], [["1", "2"] * 2, ["0.5"] * 4, ["a"] * 2 + ["b"] * 2], [])
        >>> check_separation(table, Columns({"size": 0, "error": 1}, None))
        Traceback (most recent call last):
        ValueError: its column 'net' (a, b) may name several curves. Pass --curve-column net for a curve each, ...
    """
    place, naming = columns.place, naming_columns(table, columns.place)
    size = [cell.strip() for cell in table.cells(place["size"])]
    repeat = [""] * len(size) if "repeat" not in place else [cell.strip() for cell in table.cells(place["repeat"])]
    for column in naming:
        repeat = [f"{one}\n{cell}" for one, cell in zip(repeat, table.cells(column), strict=True)]
    most = max(collections.Counter(zip(size, repeat, strict=True)).values(), default=0)
    if most == 1 and naming:
        return
    for column, name in enumerate(table.heading):
        if column in place.values() or column in naming or column in (*columns.repeats, *columns.curves):
            continue
        heading = parse_heading(name)
        if heading.text in _ADMINISTRATION or heading.metric or heading.is_spread:
            continue
        cells = [cell.strip() for cell in table.cells(column)]
        values = list(dict.fromkeys(cells))
        if not 1 < len(values) <= min(_MOST, len(cells) - 1):
            continue
        if not _has_sizes(cells, size) or not _tells_apart(cells, size, repeat):
            continue
        usual = heading.text in _CURVES
        if (most > 1 or usual) and (usual or not table.is_numeric(column) or len(values) == most):
            _refuse(name, values, "repeat" in place)


def _has_sizes(cells: Sequence[str], size: Sequence[str]) -> bool:
    """Return True if every value has at least two sizes."""
    sizes = collections.defaultdict(set)
    for value, one in zip(cells, size, strict=True):
        sizes[value].add(one)
    return min(map(len, sizes.values())) > 1


def _tells_apart(cells: Sequence[str], size: Sequence[str], repeat: Sequence[str]) -> bool:
    """Return True if rows with one value repeat a size less often than all rows do, or nothing is repeated."""
    within = collections.Counter(zip(cells, size, repeat, strict=True))
    overall = collections.Counter(zip(size, repeat, strict=True))
    return max(within.values()) < max(overall.values()) or max(overall.values()) == 1


def _refuse(name: str, values: Sequence[str], has_repeats: bool) -> None:
    shown = ", ".join(values[:_SHOWN]) + (", ..." if len(values) > _SHOWN else "")
    quoted = name if " " not in name else repr(name)
    repeats = "" if has_repeats else f", or --repeat-column {quoted} if they are repeats of one curve"
    raise ValueError(
        f"its column {name!r} ({shown}) may name several curves. Pass --curve-column {quoted} for a curve each, "
        f"--select {quoted}={values[0]} for one of them{repeats}"
    )
