"""Text files of LIBSVM: `label index:value ...`, one example a line."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num

__all__ = ["read_libsvm", "read_libsvm_splits"]

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_libsvm(
    path: str | Path, *, features: int | None = None
) -> tuple[Float[np.ndarray, "n d"], Num[np.ndarray, " n"]]:
    r"""Read one file: `label index:value ...`, indices from 1 and ascending, absent values 0.

    Files that end in .gz, .bz2 or .xz are decompressed. Blank lines are skipped, and what follows a "#". A line of a
    label alone is an example of zeros.

    Args:
        path: the file.
        features: width of the result; the largest index by default.

    Returns:
        Inputs, float32, dense; and labels as they are: int64 where all are whole numbers, else float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be decompressed, is empty, has an index above `features`, or has a line that is
            broken, whose number the message gives.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a").write_text("+1 1:0.5 3:2\n-1\n")
        ...     read_libsvm(Path(folder, "a"))
        (array([[0.5, 0. , 2. ],
               [0. , 0. , 0. ]], dtype=float32), array([ 1, -1]))
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No file {path}.")
    try:
        with _OPENERS.get(path.suffix, open)(path, "rt", encoding="ascii") as file:
            lines = file.read().split("\n")
    except (EOFError, zlib.error, lzma.LZMAError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is truncated, not text or not compressed as its name says: {error}.") from None
    labels: list[str] = []
    cells: list[str] = []
    ends: list[int] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, start=1):
        parts = line.partition("#")[0].split()
        if parts:
            labels.append(parts[0])
            cells += parts[1:]
            ends.append(len(cells))
            numbers.append(number)
    if not labels:
        raise ValueError(f"{path} holds no examples.")
    try:
        label = np.array(labels, float)
        pairs = np.array(" ".join(cells).replace(":", " ").split(), float).reshape(len(cells), 2)
        index = pairs[:, 0].astype(np.int64)
        row = np.repeat(np.arange(len(ends)), np.diff([0, *ends]))
        rising = (np.diff(index) > 0) | (np.diff(row) > 0)
        # Every cell has one colon: otherwise "1 2:3:4" would pass for two pairs.
        good = np.isfinite(label).all() and np.all(index == pairs[:, 0]) and rising.all() and np.all(index >= 1)
        if not good or sum(cell.count(":") == 1 for cell in cells) != len(cells):
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(_broken(path, lines, numbers)) from None
    d = int(index.max(initial=0)) if features is None else features
    if index.size and index.max() > d:
        line_number = numbers[int(row[np.argmax(index > d)])]
        raise ValueError(f"{path}, line {line_number}: index {index.max()} exceeds the {d} features.")
    inputs = np.zeros((len(labels), max(d, 1)), np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold is for the caller to refuse
        inputs[row, index - 1] = pairs[:, 1]
    return inputs, label.astype(np.int64) if np.all(label == np.round(label)) else label.astype(np.float32)


def read_libsvm_splits(path: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read a set of the LIBSVM site: NAME, and NAME.t beside it as test split where it is there, equally wide.

    Args:
        path: the training file, compressed or not; "a9a.gz" finds "a9a.t", "a9a.t.gz", "a9a.t.bz2" or "a9a.t.xz".

    Returns:
        Inputs and labels, by "train" and perhaps "test".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `read_libsvm`.

    Examples:
        >>> read_libsvm_splits("/no/such/file")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/file.
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix in _OPENERS else path
    splits = {"train": read_libsvm(path)}
    for suffix in ("", *_OPENERS):
        test = base.with_name(f"{base.name}.t{suffix}")
        if test.is_file():
            splits["test"] = read_libsvm(test)
            break
    width = max(inputs.shape[1] for inputs, _ in splits.values())
    return {
        split: (np.pad(inputs, ((0, 0), (0, width - inputs.shape[1]))), labels)
        for split, (inputs, labels) in splits.items()
    }


def _broken(path: Path, lines: list[str], numbers: list[int]) -> str:
    """Which line is broken, and how."""
    for number in numbers:
        label, *cells = lines[number - 1].partition("#")[0].split()
        where = f"{path}, line {number}:"
        if not np.isfinite(_number(label)):
            return f"{where} the label {label!r} is not a number; the form is `label index:value ...`."
        before = 0
        for cell in cells:
            index, colon, value = cell.partition(":")
            if not colon or not index.isdecimal() or (np.isnan(_number(value)) and value.lower() != "nan"):
                return f"{where} {cell!r} is not `index:value`."
            if int(index) <= before:
                why = "indices start at 1" if int(index) == 0 else f"it does not follow index {before}"
                return f"{where} index {index} is out of order: {why}."
            before = int(index)
    return f"{path} cannot be read."


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
