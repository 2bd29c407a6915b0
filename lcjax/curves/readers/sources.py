"""Sources of tables of curves: files, standard input, Parquet, data frames, and folders of experiment trackers."""

import sys
from pathlib import Path

from lcjax.curves.readers.trackers import read_tracker_folder
from lcjax.files import require_file
from lcjax.memory import host_memory
from lcjax.tables.frames import is_frame, is_parquet, read_parquet, table_from_frame
from lcjax.tables.table import Table
from lcjax.tables.text import parse_table

__all__ = ["STANDARD_INPUT", "open_table", "source_name"]

STANDARD_INPUT = "-"
_COLLECTED = "measurements.csv"  # in the folder of `lcjax collect`
_LARGEST_FILE = 2**28  # bytes, some 15 million rows


def source_name(source: object) -> str:
    """Return the name of a source in messages.

    Examples:
        >>> source_name("-"), source_name({"size": []}), source_name("a.csv")
        ('standard input', 'data frame', 'a.csv')
    """
    if str(source) == STANDARD_INPUT:
        return "standard input"
    return "data frame" if is_frame(source) else str(source)


def open_table(source: object) -> Table:
    """Return the table of a source, as text cells.

    Args:
        source: path of a CSV or Parquet file or of a folder of MLflow, TensorBoard or `lcjax collect`, "-" for standard
            input, or a data frame.

    Raises:
        ValueError: the source is too large or damaged.
        OSError: it cannot be read.

    Examples:
        >>> open_table({"size": [10], "error": [0.5]}).heading
        ['size', 'error']
    """
    if is_frame(source):
        return table_from_frame(source)
    if str(source) == STANDARD_INPUT:
        raw = sys.stdin.buffer.read(_LARGEST_FILE + 1)
        _check_size(len(raw))
        return parse_table(raw, source_name(source))
    path = Path(str(source))
    if (path / _COLLECTED).is_file():
        path = path / _COLLECTED
    if path.is_dir():
        return read_tracker_folder(path)
    _check_size(require_file(path).stat().st_size)
    if is_parquet(path):
        return read_parquet(path, _check_memory)
    return parse_table(path.read_bytes(), str(path))


def _check_size(size: int) -> None:
    if size > _LARGEST_FILE:
        raise ValueError(f"it has {size:,} bytes, more than {_LARGEST_FILE:,}; split it by curve, or average repeats")


def _check_memory(needed: int) -> None:
    limit = min(8 * _LARGEST_FILE, host_memory())
    if needed > limit:
        raise ValueError(
            f"it takes {needed / 2**30:.3g} GiB in memory, more than {limit / 2**30:.3g} GiB; split it by curve"
        )
