"""Sparse text files of LIBSVM: `label index:value ...`, one example a line."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Num

from lcjax.data.examples import Pair
from lcjax.data.readers.files import ENDINGS, read_lines
from lcjax.typing import PathLike

__all__ = ["read_libsvm", "read_libsvm_splits"]


def read_libsvm(
    path: PathLike, *, features: int | None = None
) -> tuple[Float32[np.ndarray, "n d"], Num[np.ndarray, " n"]]:
    r"""Read one file: `label index:value ...`, indices ascending from 1, absent values 0.

    Files that end in .gz, .bz2 or .xz are decompressed. Blank lines and comments (from "#") are skipped. A line that
    holds a label alone is an example of zeros.

    Args:
        path: the file.
        features: number of columns of the result; the largest index by default.

    Returns:
        Inputs, float32, dense; and labels as stored: int64 if all are integers, else float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be decompressed, is empty, has an index above `features`, or has a malformed line,
            whose number the message gives.

    Examples:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a")
        ...     _ = path.write_text("+1 1:0.5 3:2\n-1\n")
        ...     read_libsvm(path)
        (array([[0.5, 0. , 2. ],
               [0. , 0. , 0. ]], dtype=float32), array([ 1, -1]))
    """
    lines = read_lines(path, encoding="ascii")
    rows = [(number, parts) for number, line in enumerate(lines, start=1) if (parts := line.partition("#")[0].split())]
    if not rows:
        raise ValueError(f"{path} holds no examples.")
    numbers, cells = [number for number, _ in rows], [cell for _, parts in rows for cell in parts[1:]]
    try:
        label = np.array([parts[0] for _, parts in rows], float)
        pairs = np.array(" ".join(cells).replace(":", " ").split(), float).reshape(len(cells), 2)
        index = pairs[:, 0].astype(np.int64)
        row = np.repeat(np.arange(len(rows)), [len(parts) - 1 for _, parts in rows])
        rising = (np.diff(index) > 0) | (np.diff(row) > 0)
        # Every cell must have one colon: otherwise "1 2:3:4" would pass for two pairs.
        valid = np.isfinite(label).all() and np.all(index == pairs[:, 0]) and rising.all() and np.all(index >= 1)
        if not valid or sum(cell.count(":") == 1 for cell in cells) != len(cells):
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"{path}{_first_fault(lines, numbers)}") from None
    d = int(index.max(initial=0)) if features is None else features
    if index.size and index.max() > d:
        line_number = numbers[int(row[np.argmax(index > d)])]
        raise ValueError(f"{path}, line {line_number}: index {index.max()} exceeds the {d} features.")
    inputs = np.zeros((len(rows), max(d, 1)), np.float32)
    with np.errstate(over="ignore"):  # the caller refuses values beyond float32
        inputs[row, index - 1] = pairs[:, 1]
    return inputs, label.astype(np.int64) if np.all(label == np.round(label)) else label.astype(np.float32)


def read_libsvm_splits(path: PathLike) -> dict[str, Pair]:
    """Read a set of the LIBSVM site: NAME, and NAME.t beside it, if it exists, as test split of the same width.

    Args:
        path: the training file, compressed or not; "a9a.gz" finds "a9a.t", "a9a.t.gz", "a9a.t.bz2" or "a9a.t.xz".

    Returns:
        Inputs and labels of "train" and perhaps "test".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `read_libsvm`.
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix in ENDINGS else path
    splits = {"train": read_libsvm(path)}
    tests = (base.with_name(f"{base.name}.t{ending}") for ending in ("", *ENDINGS))
    test = next((file for file in tests if file.is_file()), None)
    if test is not None:
        splits["test"] = read_libsvm(test)
    width = max(inputs.shape[1] for inputs, _ in splits.values())
    return {
        split: (np.pad(inputs, ((0, 0), (0, width - inputs.shape[1]))), labels)
        for split, (inputs, labels) in splits.items()
    }


def _first_fault(lines: list[str], numbers: list[int]) -> str:
    """Describe the first malformed line."""
    for number in numbers:
        label, *cells = lines[number - 1].partition("#")[0].split()
        place = f", line {number}:"
        if not np.isfinite(_to_float(label)):
            return f"{place} the label {label!r} is not a number; the form is `label index:value ...`."
        before = 0
        for cell in cells:
            index, colon, value = cell.partition(":")
            if not colon or not index.isdecimal() or (np.isnan(_to_float(value)) and value.lower() != "nan"):
                return f"{place} {cell!r} is not `index:value`."
            if int(index) <= before:
                reason = "indices start at 1" if int(index) == 0 else f"it does not follow index {before}"
                return f"{place} index {index} is out of order: {reason}."
            before = int(index)
    return " cannot be read."


def _to_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
