"""Input files: found by name, decompressed by their ending, decoded line by line."""

import bz2
import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lcjax.files import require_file
from lcjax.typing import PathLike

__all__ = ["ENDINGS", "find_file", "open_archive", "read_bytes", "read_lines"]

ENDINGS = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}


def find_file(names: Sequence[str], folders: Sequence[Path]) -> Path:
    """Return the first file that exists, trying all names in a folder before the next folder.

    Raises:
        FileNotFoundError: no folder has a file with one of the names; the message gives the first folder.

    Examples:
        >>> find_file(["labels", "labels.gz"], [Path("/no/such/folder")])
        Traceback (most recent call last):
        FileNotFoundError: No file labels or labels.gz in /no/such/folder.
    """
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise FileNotFoundError(f"No file {' or '.join(names)} in {folders[0]}.")


def read_bytes(path: PathLike) -> bytes:
    """Read a whole file, decompressed if its name ends in .gz, .bz2 or .xz.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not compressed as its ending says, or is truncated.
    """
    path = require_file(path)
    raw = path.read_bytes()
    try:
        return ENDINGS[path.suffix](raw) if path.suffix in ENDINGS else raw
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} is truncated or not compressed as its ending says: {_reason(error)}.") from None


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


@contextlib.contextmanager
def open_archive(path: PathLike) -> Iterator[Mapping[str, np.ndarray]]:
    """Open a NumPy archive (.npz), whose arrays are read on access and never unpickled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an archive or is damaged, an array holds Python objects, or the `with` block raises
            an error, to which the path is added.
    """
    path = require_file(path)
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not a NumPy archive (.npz), as np.savez writes it")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except (ValueError, TypeError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
