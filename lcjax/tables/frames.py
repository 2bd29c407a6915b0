"""Tables from data frames of any library, and from Parquet files by the library that is installed."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from lcjax.files import reading
from lcjax.tables.cells import check_name
from lcjax.tables.table import Cells, Table
from lcjax.typing import PathLike

__all__ = ["is_frame", "is_parquet", "read_parquet", "table_from_frame"]

_CELL = 64  # bytes of a cell of text
_MAGIC = b"PAR1"
_INSTALL = "reading Parquet needs pyarrow, polars or pandas: pip install pyarrow, or save it as CSV"


def is_frame(value: object) -> bool:
    """Return True for a data frame of pandas, polars, pyarrow, narwhals or a similar library, and for a mapping.

    Examples:
        >>> is_frame({"size": [10, 20], "error": [0.5, 0.4]}), is_frame("curve.csv")
        (True, False)
    """
    if isinstance(value, Mapping) or hasattr(type(value), "collect_schema"):
        return True
    return hasattr(type(value), "__getitem__") and hasattr(value, "columns")


def table_from_frame(frame: Any, source: str = "data frame") -> Table:
    """Return the columns of a data frame; missing values are empty cells.

    Numbers stay numbers. A named index of pandas is a column.

    Args:
        frame: a data frame of pandas, polars, pyarrow or another library whose columns NumPy can convert, or a mapping
            from names to columns.
        source: name of the frame in messages.

    Raises:
        ValueError: the frame is lazy, two columns have one name, or columns differ in length.

    Examples:
        >>> table = table_from_frame({"size": [10, 20], "model": ["mlp", None]})
        >>> table.heading, table.cells(0), table.cells(1)
        (['size', 'model'], ['10', '20'], ['mlp', ''])
    """
    if hasattr(type(frame), "collect_schema") and hasattr(frame, "collect"):
        raise ValueError(f"The {source} is lazy; pass frame.collect().")
    if hasattr(frame, "reset_index") and any(
        name is not None for name in getattr(getattr(frame, "index", None), "names", ())
    ):
        frame = frame.reset_index()
    labels = list(frame) if isinstance(frame, Mapping) else list(getattr(frame, "column_names", frame.columns))
    heading = [" ".join(map(str, label)) if isinstance(label, tuple) else str(label) for label in labels]
    if len(set(heading)) < len(heading):
        twice = next(name for name in heading if heading.count(name) > 1)
        raise ValueError(f"The {source} has {heading.count(twice)} columns named {twice!r}; rename all but one.")
    columns = [_cells(np.asarray(frame[label])) for label in labels]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise ValueError(f"The columns of the {source} differ in length: {sorted(lengths)}.")
    rows = range(1, min(lengths, default=0) + 1)
    return Table(source, [check_name(name) for name in heading], columns, rows, unit="row")


def is_parquet(path: PathLike) -> bool:
    """Return True if a file begins as Parquet files do."""
    with Path(path).open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_parquet(path: PathLike, check: Callable[[int], None]) -> Table:
    """Read a Parquet file with pyarrow, polars or pandas, whichever is installed.

    Args:
        path: the file.
        check: called with the bytes that the table takes in memory, before it is read; raises ValueError if they are
            too many. Only pyarrow knows them; for the others it is 20 times the size of the file.

    Raises:
        ValueError: the file is damaged or too large, or none of the libraries is installed.
    """
    with reading(path):
        for name, read in (("pyarrow.parquet", _by_pyarrow), ("polars", _by_polars), ("pandas", _by_pandas)):
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            return table_from_frame(read(module, str(path), check), str(path))
        raise ValueError(_INSTALL)


def _by_pyarrow(module: Any, path: str, check: Callable[[int], None]) -> Any:
    with module.ParquetFile(path) as file:
        about = file.metadata
        groups = [about.row_group(i) for i in range(about.num_row_groups)]
        sizes = (group.column(j).total_uncompressed_size for group in groups for j in range(about.num_columns))
        cells = about.num_rows * about.num_columns
        if about.num_rows < 0 or cells < 0:
            raise ValueError("its number of rows is negative")
        check(max(sum(sizes), 0) + _CELL * cells)
        return file.read(use_threads=False)


def _by_polars(module: Any, path: str, check: Callable[[int], None]) -> Any:
    check(20 * Path(path).stat().st_size)
    return module.read_parquet(path, memory_map=False)


def _by_pandas(module: Any, path: str, check: Callable[[int], None]) -> Any:
    check(20 * Path(path).stat().st_size)
    return module.read_parquet(path)


def _cells(column: Shaped[np.ndarray, "..."]) -> Cells:
    if column.ndim != 1:
        raise ValueError(f"a column must have one value in each row, got shape {column.shape}")
    if column.dtype.kind in "biuf":
        return column
    if column.dtype.kind == "O" and (numbers := _to_numbers(column.tolist())) is not None:
        return numbers
    return ["" if _is_absent(value) else _text(value) for value in column.tolist()]


def _to_numbers(values: Sequence[object]) -> Shaped[np.ndarray, " n"] | None:
    """Return a column of numbers and missing values as floats, as nullable columns have them; None for text."""
    present = [value for value in values if not _is_absent(value)]
    if not present or not all(isinstance(value, int | float | np.number) for value in present):
        return None
    return np.array([np.nan if _is_absent(value) else float(value) for value in values])  # type: ignore[arg-type]


def _is_absent(value: object) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return str(value) == "<NA>"


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
