"""Input files: found by name, decompressed by their ending within a memory limit, decoded line by line."""

import bz2
import contextlib
import gzip
import lzma
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lcjax.files import reading, require_file
from lcjax.memory import host_memory
from lcjax.typing import PathLike

__all__ = [
    "ENDINGS",
    "Readable",
    "check_size",
    "find_file",
    "memory_limit",
    "open_archive",
    "parse_number",
    "read_array",
    "read_bytes",
    "read_lines",
    "read_stream",
]

ENDINGS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_EXPANSION = 20
_FLOOR = 2**28
_CHUNK = 2**20
_LINE = 64  # bytes of a short line in a list of strings
_NUMBER = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@runtime_checkable
class Readable(Protocol):
    """An open binary file, perhaps decompressed on the fly."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


def memory_limit(path: PathLike) -> int:
    """Return the number of bytes that the content of a file or folder may take in memory.

    It is 256 MiB or 20 times the size on disk, whichever is larger, but not more than the memory that is available.
    If the environment variable `LCJAX_MEMORY_LIMIT` is set, it is that number of GiB.

    Raises:
        ValueError: `LCJAX_MEMORY_LIMIT` is not a positive number.
    """
    setting = os.environ.get("LCJAX_MEMORY_LIMIT")
    if setting:
        value = parse_number(setting)
        if not 0 < value < math.inf:
            raise ValueError(f"LCJAX_MEMORY_LIMIT must be a positive number of GiB, got {setting!r}.")
        return round(value * 2**30)
    path = Path(path)
    size = sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
    return min(max(_FLOOR, _EXPANSION * size), host_memory())


def check_size(path: PathLike, needed: int, place: str = "", *, remedy: str = "") -> None:
    """Refuse a file whose content would take more memory than `memory_limit` allows.

    Readers call this with the sizes in a file's header, before they allocate anything.

    Args:
        path: the file or folder.
        needed: bytes that its content, or the part that is read next, takes in memory.
        place: where in the file, such as "array inputs".
        remedy: a sentence with the reader's own advice.

    Raises:
        ValueError: `needed` exceeds the limit; the message gives both numbers.

    Examples:
        >>> check_size(__file__, 10**12, "array inputs")
        Traceback (most recent call last):
        ValueError: ...files.py, array inputs needs at least 931.3 GiB of memory, more than the limit of 0.25 GiB ...
    """
    limit = memory_limit(path)
    if needed > limit:
        subject = f"{path}, {place}" if place else str(path)
        raise ValueError(
            f"{subject} needs at least {min(needed, 2**1000) / 2**30:.4g} GiB of memory, more than the limit of "
            f"{limit / 2**30:.4g} GiB for this file. {remedy + ' ' if remedy else ''}If you trust the file, set the "
            "environment variable LCJAX_MEMORY_LIMIT to a larger number of GiB."
        )


def parse_number(text: str) -> float:
    """Return the value of a decimal number in ASCII, as C and other languages read it.

    Python's `float` also reads "1_0" as 10 and the digits of all scripts, which in a data file are damage.

    Raises:
        ValueError: the text is not a number.

    Examples:
        >>> parse_number("-2.5e3")
        -2500.0
        >>> parse_number("1_0")
        Traceback (most recent call last):
        ValueError: '1_0' is not a number
    """
    if not _NUMBER.fullmatch(text.strip(" \t")):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def find_file(names: Sequence[str], folders: Sequence[Path]) -> Path:
    """Return the first file that exists, trying all names in a folder before the next folder.

    Raises:
        FileNotFoundError: no folder has a file with one of the names; the message gives the first folder and what it
            holds.

    Examples:
        >>> find_file(["labels", "labels.gz"], [Path("/no/such/folder")])
        Traceback (most recent call last):
        FileNotFoundError: No file labels or labels.gz in /no/such/folder.
    """
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    present = sorted(file.name for file in folders[0].iterdir()) if folders[0].is_dir() else []
    listed = ", ".join(present[:8]) + (f" and {len(present) - 8} others" if len(present) > 8 else "")
    holds = f", which holds {listed}" if present else ""
    raise FileNotFoundError(f"No file {' or '.join(names)} in {folders[0]}{holds}.")


def read_bytes(path: PathLike) -> bytearray:
    """Read a whole file, decompressed if its name ends in .gz, .bz2 or .xz.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not compressed as its ending says, is truncated, or takes more memory than allowed.
    """
    path = require_file(path)
    if path.suffix not in ENDINGS:
        with path.open("rb") as file:
            return read_stream(file, path)
    with reading(path, f"compressed as {path.suffix},"), ENDINGS[path.suffix](path, "rb") as file:
        return read_stream(file, path)


def read_stream(file: Readable, path: PathLike, place: str = "", *, most: int | None = None) -> bytearray:
    """Read a stream to its end, or to `most` bytes, and stop as soon as it takes more memory than allowed.

    Args:
        file: an open file, perhaps decompressed on the way.
        path: the file in messages; its size on disk determines the limit.
        place: see `check_size`.
        most: number of bytes after which to stop.

    Raises:
        ValueError: see `check_size`; the number in the message is what was read so far.
    """
    limit = memory_limit(path)
    content = bytearray()
    while chunk := file.read(_CHUNK if most is None else min(_CHUNK, most - len(content))):
        content += chunk
        if len(content) > limit:
            check_size(path, len(content), place)
    return content


def read_lines(path: PathLike, *, encoding: str = "utf-8") -> list[str]:
    r"""Read the lines of a text file without their line ends, decompressed as by `read_bytes`.

    Only "\n" and "\r\n" end a line, so that line i of two parallel files stays line i. A byte order mark is dropped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, holds no text, or cannot be decoded; the message gives line, byte and offset.

    Examples:
        >>> read_lines("/no/such/file")
        Traceback (most recent call last):
        FileNotFoundError: No file /no/such/file.
    """
    raw = read_bytes(path)
    check_size(path, len(raw) + _LINE * raw.count(b"\n"))
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} at offset {error.start} is not {encoding.upper()} "
            f"({error.reason}); convert the file first."
        ) from None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\n").split("\n")
    if not any(line.strip() for line in lines):
        raise ValueError(f"{path} holds no text.")
    return lines


def read_array(path: PathLike) -> np.ndarray:
    """Read one array in NumPy's format (.npy), decompressed as by `read_bytes`; nothing is unpickled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, takes more memory than allowed, or holds Python objects.
    """
    path = require_file(path)
    with reading(path), ENDINGS.get(path.suffix, open)(path, "rb") as file:
        return _parse_array(file, path)


class _Archive(Mapping[str, np.ndarray]):
    """Arrays of an archive, read on access; together they stay within the memory limit."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path, self._read = archive, path, 0
        self._members = {name.removesuffix(".npy"): name for name in archive.namelist()}

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._members:
            raise ValueError(f"{name} is not a file in the archive")
        place = f"array {name}"
        with reading(self._path, place), self._archive.open(self._members[name]) as file:
            array = _parse_array(file, self._path, place, before=self._read)
        self._read += array.nbytes
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


@contextlib.contextmanager
def open_archive(path: PathLike) -> Iterator[Mapping[str, np.ndarray]]:
    """Open a NumPy archive (.npz), whose arrays are read on access and never unpickled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an archive or is damaged, an array holds Python objects or takes more memory than
            allowed, or the `with` block raises an error, to which the path is added.
    """
    path = require_file(path)
    with reading(path):
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not a NumPy archive (.npz), as np.savez writes it")
        with zipfile.ZipFile(path) as archive:
            yield _Archive(archive, path)


def _parse_array(file: Readable, path: Path, place: str = "", *, before: int = 0) -> np.ndarray:
    """Read an array whose header is checked before its content; see `np.lib.format`."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its NumPy format {version[0]}.{version[1]} is unknown or for named fields")
    with warnings.catch_warnings(action="ignore"):  # of headers from Python 2
        try:
            shape, by_column, dtype = _HEADERS[version](file)
        except Exception:  # NumPy's parser raises errors of many kinds
            raise ValueError("its header is damaged") from None
    if dtype.hasobject or dtype.fields is not None or dtype.itemsize == 0:
        raise ValueError(f"it holds {'Python objects' if dtype.hasobject else dtype}, not numbers or text")
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape {shape} is negative")
    needed = math.prod(shape) * dtype.itemsize
    check_size(path, before + needed, place)
    content = read_stream(file, path, place, most=needed + 1)
    if len(content) != needed:
        excess = "more" if len(content) > needed else len(content)
        raise ValueError(f"its header asks for {needed} bytes, {dtype} of shape {shape}, but there are {excess}")
    return np.ndarray(shape, dtype, content, order="F" if by_column else "C")
