"""Sparse text files of LIBSVM: `label index:value ...`, one example a line."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.data.examples import Source
from lcjax.data.readers.files import ENDINGS, check_size, read_lines
from lcjax.typing import PathLike

__all__ = ["read_libsvm", "read_libsvm_splits"]

_NUMBER = r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?"
_LABEL = re.compile(_NUMBER, re.ASCII)
_CELL = re.compile(rf"\d{{1,15}}:(?:{_NUMBER}|[+-]?(?i:inf|nan))", re.ASCII)
_LINE = re.compile(rf"(?:{_NUMBER})(?:[ \t]++{_CELL.pattern})*+", re.ASCII)
_LARGEST = 2**53  # whole numbers up to here are exact in float64
_WIDE = 4096  # columns up to which all are kept
_ROUNDING = 1e-4  # rounding error of a value, in standard deviations of its column, above which float32 is not enough


def read_libsvm(
    path: PathLike, *, features: int | None = None
) -> tuple[Float[np.ndarray, "n d"], Num[np.ndarray, " n"]]:
    r"""Read one file: `label index:value ...`, indices ascending from 1, absent values 0.

    Files that end in .gz, .bz2 or .xz are decompressed. Blank lines and comments (from "#") are skipped. A line that
    holds a label alone is an example of zeros.

    Args:
        path: the file.
        features: number of columns of the result; the largest index by default.

    Returns:
        Inputs, dense: float32, or float64 if a column has an offset so large that float32 loses its digits; and labels
        as stored: int64 if all are integers, else float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be decompressed, is empty, has an index above `features`, has a malformed line,
            whose number the message gives, or is so wide that it takes more memory than allowed (`check_size`).

    Examples:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a")
        ...     _ = path.write_text("+1 1:0.5 3:2\n-1\n")
        ...     read_libsvm(path)
        (array([[0.5, 0. , 2. ],
               [0. , 0. , 0. ]], dtype=float32), array([ 1, -1]))
    """
    sparse = _parse(Path(path))
    if features is not None and sparse.widest > features:
        line = sparse.line(sparse.index > features)
        raise ValueError(f"{path}, line {line}: index {sparse.widest} exceeds the {features} features.")
    return _densify(sparse, max(sparse.widest if features is None else features, 1)), _labels(sparse)


def read_libsvm_splits(path: PathLike) -> Source:
    r"""Read a set of the LIBSVM site: NAME, and NAME.t beside it, if it exists, as test split of the same width.

    If most columns never occur, as with hashed indices, only those that occur in NAME are kept, in ascending order.

    Args:
        path: the training file, compressed or not; "a9a.gz" finds "a9a.t", "a9a.t.gz", "a9a.t.bz2" or "a9a.t.xz".

    Returns:
        Inputs and labels of "train" and perhaps "test".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `read_libsvm`.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "hashed")
        ...     _ = path.write_text("1 5:1 90000007:2\n2 5:3\n")
        ...     source = read_libsvm_splits(path)
        >>> source.splits["train"][0].tolist()
        [[1.0, 2.0], [3.0, 0.0]]
        >>> print(*source.notes)
        Kept 2 of 90,000,007 columns, those that occur in the training file; the largest index is on line 1 of hashed.
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix in ENDINGS else path
    parts = {"train": _parse(path)}
    tests = (base.with_name(f"{base.name}.t{ending}") for ending in ("", *ENDINGS))
    test = next((file for file in tests if file.is_file()), None)
    if test is not None:
        parts["test"] = _parse(test)
    width = max(max(one.widest for one in parts.values()), 1)
    known = np.unique(parts["train"].index)
    notes: tuple[str, ...] = ()
    if width > _WIDE and known.size < width / 4:
        wide = max(parts.values(), key=lambda one: one.widest)
        place = f"the largest index is on line {wide.line(wide.index == width)} of {wide.path.name}"
        notes = (f"Kept {known.size:,} of {width:,} columns, those that occur in the training file; {place}.",)
        parts = {split: _renumber(one, known) for split, one in parts.items()}
        width = max(known.size, 1)
    dense = {split: _densify(one, width) for split, one in parts.items()}
    return Source({split: (dense[split], _labels(one)) for split, one in parts.items()}, notes)


@dataclasses.dataclass(frozen=True)
class _Sparse:
    """Content of a file: labels, `(n,)`, with their lines, and rows, indices from 1 and values of the cells, `(c,)`."""

    path: Path
    label: Float[np.ndarray, " n"]
    lines: list[int]
    row: Int[np.ndarray, " c"]
    index: Int[np.ndarray, " c"]
    value: Float[np.ndarray, " c"]

    @property
    def widest(self) -> int:
        """The largest index."""
        return int(self.index.max(initial=0))

    def line(self, cells: Bool[np.ndarray, " c"]) -> int:
        """Return the line of the first cell where a mask is True."""
        return self.lines[int(self.row[np.argmax(cells)])] if self.index.size else 1


def _parse(path: Path) -> _Sparse:
    numbers, contents = [], []
    for number, line in enumerate(read_lines(path, encoding="ascii"), start=1):
        content = line.partition("#")[0].strip(" \t")
        if content:
            if not _LINE.fullmatch(content):
                raise ValueError(f"{path}, line {number}: {_fault(content)}")
            numbers.append(number)
            contents.append(content)
    if not contents:
        raise ValueError(f"{path} holds no examples.")
    values = np.fromstring(" ".join(contents).replace(":", " "), sep=" ")
    counts = np.array([content.count(":") for content in contents])
    start = np.cumsum(1 + 2 * counts) - (1 + 2 * counts)
    n, label, cells = len(contents), values[start], np.delete(values, start).reshape(-1, 2)
    row, index = np.repeat(np.arange(n), counts), cells[:, 0].astype(np.int64)
    before = np.where(np.diff(row, prepend=-1) > 0, 0, np.roll(index, 1))
    if not np.all(index > before):
        first = int(np.argmax(index <= before))
        reason = f"it does not follow index {before[first]}" if index[first] else "indices start at 1"
        raise ValueError(f"{path}, line {numbers[row[first]]}: index {index[first]} is out of order: {reason}.")
    return _Sparse(path, label, numbers, row, index, cells[:, 1])


def _renumber(sparse: _Sparse, known: Int[np.ndarray, " d"]) -> _Sparse:
    """Return the cells in known columns, with these numbered from 1."""
    place = np.searchsorted(known, sparse.index)
    kept = (place < known.size) & (known[np.minimum(place, known.size - 1)] == sparse.index)
    return dataclasses.replace(sparse, row=sparse.row[kept], index=place[kept] + 1, value=sparse.value[kept])


def _densify(sparse: _Sparse, d: int) -> Float[np.ndarray, "n d"]:
    """Return dense inputs with d columns."""
    n = len(sparse.label)
    dtype = _dtype(sparse.value, sparse.index, n)
    check_size(
        sparse.path,
        dtype.itemsize * d * n,
        f"line {sparse.line(sparse.index == sparse.widest)}",
        remedy=f"Its index {sparse.widest} makes {n} x {d} dense values; renumber the indices that occur.",
    )
    inputs = np.zeros((n, d), dtype)
    with np.errstate(over="ignore"):  # the caller refuses values beyond float32
        inputs[sparse.row, sparse.index - 1] = sparse.value
    return inputs


def _labels(sparse: _Sparse) -> Num[np.ndarray, " n"]:
    label = sparse.label
    if not np.all(label == np.round(label)):
        with np.errstate(over="ignore"):
            return label.astype(np.float32)
    if np.abs(label).max() > _LARGEST:
        first = int(np.argmax(np.abs(label) > _LARGEST))
        raise ValueError(
            f"{sparse.path}, line {sparse.lines[first]}: the label {label[first]:g} is too large for a class."
        )
    return label.astype(np.int64)


def _dtype(values: Float[np.ndarray, " c"], index: Int[np.ndarray, " c"], n: int) -> np.dtype[np.floating[Any]]:
    """Return float64 if float32 rounds the values of a column by much more than usual for their spread.

    Only columns without absent values can have a large offset and a small spread.
    """
    _, column, count = np.unique(index, return_inverse=True, return_counts=True)
    with np.errstate(over="ignore", invalid="ignore"):
        rounding = np.abs(values - values.astype(np.float32))
        mean = np.bincount(column, values) / count
        variance = np.bincount(column, (values - mean[column]) ** 2) / count
        lost = rounding**2 > _ROUNDING**2 * variance[column]
        varies = variance > (1e-12 * mean) ** 2
    return np.dtype(np.float64 if np.any(lost & (count == n)[column] & varies[column]) else np.float32)


def _fault(content: str) -> str:
    """Describe the first fault of a malformed line."""
    label, *cells = re.split("[ \t]+", content)
    if not _LABEL.fullmatch(label):
        return f"the label {_short(label)} is not a number; the form is `label index:value ...`."
    cell = next((cell for cell in cells if not _CELL.fullmatch(cell)), "")
    return f"{_short(cell)} is not `index:value`."


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
