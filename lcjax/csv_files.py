"""CSV files that contain no cell that a spreadsheet would execute as a formula."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lcjax.files import atomic_path
from lcjax.typing import PathLike

__all__ = ["csv_text", "harmless_cell", "write_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet executes cells that begin with one of these


def harmless_cell(text: str) -> str:
    """Return the text of a cell, preceded by an apostrophe if a spreadsheet would take it for a formula.

    Args:
        text: text of a cell that is not a number.

    Examples:
        >>> harmless_cell("=1+1"), harmless_cell("auc")
        ("'=1+1", 'auc')
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def csv_text(columns: Mapping[str, Sequence[Any]]) -> str:
    r"""Return a table as CSV; nan and None are empty cells, and a text is a harmless one.

    Args:
        columns: values of each column, all of one length: texts, whole numbers, numbers or None.

    Examples:
        >>> csv_text({"size": [10, 20], "name": ["@a", "b"], "value": [0.5, float("nan")]})
        "size,name,value\n10,'@a,0.5\n20,b,\n"
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([harmless_cell(name) for name in columns])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return file.getvalue()


def write_csv(path: PathLike, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a table as `csv_text` does, in UTF-8, atomically.

    Args:
        path: the file.
        columns: values of each column.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(csv_text(columns).encode())


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return harmless_cell(value) if isinstance(value, str) else repr(value)
