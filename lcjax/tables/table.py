"""A table of text cells whose messages name the line."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Shaped

from lcjax.tables.cells import check_name, is_missing, parse_value

__all__ = ["Cells", "Table"]

T = TypeVar("T")
Cells = list[str] | Shaped[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of cells, with the line of each row in the source.

    Attributes:
        source: name of the source in messages, such as its path.
        heading: name of each column.
        columns: cells of each column, as text or, where the source has types, as numbers.
        lines: line, or number, of each row in the source.
        comma: True if commas separate the cells, so that a comma in a cell was quoted.
        notes: what was inferred about the source, one sentence each.
        unit: "line" or "row", for messages.

    Examples:
        >>> table = Table("a.csv", ["size", "error"], [["10", "20"], ["0.5", "-"]], [2, 3])
        >>> table.numbers(1, "error").tolist(), len(table)
        ([0.5, nan], 2)
    """

    source: str
    heading: list[str]
    columns: Sequence[Cells]
    lines: Sequence[int]
    comma: bool = False
    notes: tuple[str, ...] = ()
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def cells(self, column: int) -> list[str]:
        """Return the cells of a column as text, "" for missing numbers."""
        cells = self.columns[column]
        if isinstance(cells, list):
            return cells
        if cells.dtype.kind == "f":
            return [
                "" if value != value else f"{int(value)}" if value % 1 == 0 else repr(value) for value in cells.tolist()
            ]
        return [str(value) for value in cells.tolist()]

    def is_numeric(self, column: int) -> bool:
        """Return True if a column has a number, and nothing but numbers and marks of missing values."""
        cells = self.columns[column]
        if not isinstance(cells, list):
            return cells.dtype.kind in "biuf"
        seen = False
        for text in dict.fromkeys(cells):
            if is_missing(stripped := text.strip()):
                continue
            try:
                parse_value(stripped)
            except ValueError:
                return False
            seen = True
        return seen

    def names(self, column: int) -> list[str]:
        """Return the names in a column, with single spaces.

        Raises:
            ValueError: a name contains a control character.
        """
        return self._convert(column, check_name)

    def numbers(self, column: int, name: str, parse: Callable[..., float] = parse_value) -> Float[np.ndarray, " n"]:
        """Return the numbers in a column, nan for missing ones.

        Args:
            column: the column.
            name: name of the value in messages.
            parse: `parse_value`, or `parse_count` for sizes.

        Raises:
            ValueError: a cell is not a number.
        """
        cells = self.columns[column]
        if not isinstance(cells, list) and cells.dtype.kind in "biuf":
            return cells.astype(float)
        cells = self.cells(column)
        text = "".join(cells)
        # Of such characters alone, `float` accepts what `parse` does, except that a dot may separate thousands.
        if text.isascii() and not text.encode().translate(None, b"0123456789eE+-" + b"." * (parse is parse_value)):
            with contextlib.suppress(ValueError):
                return np.array(list(map(float, cells)))
        return np.array(self._convert(column, partial(parse, name=name, comma=self.comma)), float)

    def refuse(self, wrong: Bool[np.ndarray, " n"], reason: str, column: int) -> None:
        """Raise ValueError for the first row that is wrong, with its cell in place of {} or {!r} in the reason."""
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"{self.place(row)}: {reason.format(self.cells(column)[row].strip())}.")

    def place(self, row: int) -> str:
        """Return the source and line of a row."""
        return f"{self.source}, {self.unit} {self.lines[row]}"

    def take(self, rows: Bool[np.ndarray, " n"]) -> "Table":
        """Return a table of the rows where a mask is True."""
        kept = np.flatnonzero(rows).tolist()
        columns = [[cells[i] for i in kept] if isinstance(cells, list) else cells[kept] for cells in self.columns]
        return dataclasses.replace(self, columns=columns, lines=[self.lines[i] for i in kept])

    def _convert(self, column: int, convert: Callable[[str], T]) -> list[T]:
        """Convert the cells of a column, each distinct text once."""
        known: dict[str, T] = {}
        cells = self.cells(column)
        for text in dict.fromkeys(cells):
            try:
                known[text] = convert(text.strip())
            except ValueError as error:
                raise ValueError(f"{self.place(cells.index(text))}: {error}") from None
        return [known[text] for text in cells]
