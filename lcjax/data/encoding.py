"""Inputs from the columns of a table, fitted to its training rows: missing values imputed, text one-hot."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from lcjax.tables.cells import is_missing
from lcjax.tables.table import Table

__all__ = ["encode_columns"]

_MOST = 100  # categories of a column that have a column each; the rarer ones share one
_IDENTIFIERS = {"", "id", "index", "row", "uid", "uuid", "unnamed: 0", "rowid", "row_id"}

Rows = Mapping[str, Int[np.ndarray, " n"]]
Block = tuple[Float[np.ndarray, "n d"], str]  # columns of all rows, and a note or ""


def encode_columns(
    table: Table, columns: Sequence[int], rows: Rows
) -> tuple[dict[str, Float[np.ndarray, "n d"]], tuple[str, ...]]:
    """Return the inputs of each split, and notes.

    - Numbers: missing values become the median of the training rows, and a further column marks them, if training rows
      have any.
    - Text: a column of 0 and 1 for each value that training rows have, in alphabetical order, or one column for two
      values. A missing value counts as a value; one that training rows lack has zeros. Beyond 100 values the rarest
      share one column.
    - Columns that are constant in the training rows are left out, and so are those that identify rows: numbers in order
      that are named id or index, and text that differs in most rows.

    Args:
        table: the table.
        columns: its columns of inputs.
        rows: rows of each split, with "train" among them.

    Raises:
        ValueError: no column is left.

    Examples:
        >>> table = Table("a.csv", ["age", "sex"], [["40", "", "60"], ["m", "f", "m"]], [2, 3, 4])
        >>> inputs, notes = encode_columns(table, [0, 1], {"train": np.array([0, 1, 2])})
        >>> inputs["train"].tolist()
        [[40.0, 0.0, 1.0], [50.0, 1.0, 0.0], [60.0, 0.0, 1.0]]
        >>> notes[0]
        "Missing values of 'age' (1) are replaced by the training median and marked in a column."
    """
    train = rows["train"]
    blocks, imputed, encoded, left_out = [], [], [], []
    for column in columns:
        name = table.heading[column]
        if table.is_numeric(column):
            values = table.numbers(column, name)
            table.refuse(np.isinf(values), f"{name} must be finite, got {{!r}}; leave a missing value empty", column)
            block = _encode_numbers(name, values, train)
            if block is not None and (count := int(np.isnan(values).sum())):
                imputed.append(f"{name!r} ({count:,})")
        else:
            block = _encode_text(table.names(column), train)
            if block is not None:
                encoded.append(f"{name!r} ({block.shape[1]})")
        if block is None:
            left_out.append(repr(name))
        else:
            blocks.append(block)
    if not blocks:
        raise ValueError(
            f"{table.source} has no column of inputs: {', '.join(left_out[:10])} are constant or identify rows."
        )
    inputs = np.concatenate(blocks, axis=1)
    notes = []
    if imputed:
        marked = "replaced by the training median and marked in a column"
        notes.append(f"Missing values of {_list(imputed)} are {marked}.")
    if encoded:
        notes.append(f"Text is encoded by columns of 0 and 1: {_list(encoded)}.")
    if left_out:
        notes.append(f"Left out, because they are constant or identify rows: {_list(left_out)}.")
    return {split: inputs[one] for split, one in rows.items()}, tuple(notes)


def _encode_numbers(
    name: str, values: Float[np.ndarray, " n"], train: Int[np.ndarray, " t"]
) -> Float[np.ndarray, "n d"] | None:
    """Return a column of numbers without missing values, and one that marks these; None for constants and numbers."""
    own = values[train]
    present = own[~np.isnan(own)]
    if not present.size or (np.all(present == present[0]) and present.size == own.size):
        return None
    if name.strip().lower() in _IDENTIFIERS and np.all(np.diff(values[np.sort(train)]) > 0):
        return None
    missing = np.isnan(values)
    filled = np.where(missing, np.median(present), values)
    columns = [filled] if np.any(present != present[0]) else []
    if present.size < own.size:
        columns.append(missing.astype(float))
    return np.stack(columns, axis=1)


def _encode_text(names: Sequence[str], train: Int[np.ndarray, " t"]) -> Float[np.ndarray, "n d"] | None:
    """Return columns of 0 and 1; None for text that differs in most rows, or not at all."""
    texts = np.array(["" if is_missing(name) else name for name in names])
    values, count = np.unique(texts[train], return_counts=True)
    if values.size < 2 or values.size > max(len(train) / 2, 2):
        return None
    if values.size == 2 and "" not in values:
        values = values[1:]
    rare = np.zeros(0, values.dtype)
    if values.size > _MOST:
        order = np.argsort(-count, kind="stable")
        values, rare = np.sort(values[order[:_MOST]]), values[order[_MOST:]]
    columns = [texts == value for value in values]
    if rare.size:
        columns.append(np.isin(texts, rare))
    return np.stack(columns, axis=1).astype(float)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} others" if len(names) > 10 else "")
