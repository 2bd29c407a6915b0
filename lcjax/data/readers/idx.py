"""IDX files, the format of MNIST and Fashion-MNIST."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lcjax.data.examples import Pair
from lcjax.data.readers.files import find_file, read_bytes
from lcjax.files import reading, require_folder
from lcjax.typing import PathLike

__all__ = ["read_idx", "read_idx_folder"]

IMAGES, LABELS = 2051, 2049


def read_idx(path: PathLike, magic: int) -> UInt8[np.ndarray, "..."]:
    """Read an IDX file of unsigned bytes, compressed or not, in the shape that its header gives.

    The header is a big-endian magic number, whose last byte is the number of axes, followed by the length of each axis.
    The values follow in row-major order (LeCun, Cortes and Burges, "The MNIST database").

    Args:
        path: the file; .gz, .bz2 and .xz are decompressed.
        magic: expected magic number: 2051 for images, 2049 for labels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or too long, cannot be decompressed, or has another magic number.

    Examples:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "labels")
        ...     _ = path.write_bytes((2049).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([5, 0, 4]))
        ...     read_idx(path, 2049)
        array([5, 0, 4], dtype=uint8)
    """
    raw = read_bytes(path)
    number = int.from_bytes(raw[:4], "big")
    if len(raw) < 4 or number != magic:
        raise ValueError(f"{path} is not an IDX file of the expected kind: magic number {number}, expected {magic}.")
    axes = magic % 256
    header = 4 + 4 * axes
    if len(raw) < header:
        raise ValueError(f"{path} is truncated: {len(raw)} bytes do not hold the header of {header}.")
    shape = tuple(np.frombuffer(raw, ">u4", axes, offset=4).tolist())
    if len(raw) - header != math.prod(shape):
        problem = "truncated" if len(raw) - header < math.prod(shape) else "longer than its header says"
        raise ValueError(f"{path} is {problem}: {len(raw) - header} bytes for {' x '.join(map(str, shape))} values.")
    with reading(path):  # lengths that NumPy does not allow, beside one that is 0
        return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def read_idx_folder(folder: PathLike) -> dict[str, Pair]:
    """Read the four files of an MNIST-like set: `train-` and `t10k-`, `images-idx3-ubyte` and `labels-idx1-ubyte`.

    Args:
        folder: folder of the files, each with or without ".gz"; `test-` for `t10k-` and `images.idx3` for `images-idx3`
            are read too, and a name before them, as in `emnist-letters-train-...`, if there is one set in the folder.

    Returns:
        "train" and "test": images `(n, rows, columns, 1)` uint8 and labels `(n,)` uint8, in the order of the files.

    Raises:
        FileNotFoundError: the folder or one of the files is missing.
        ValueError: see `read_idx`.

    Examples:
        >>> read_idx_folder("/no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: No folder /no/such/folder.
    """
    folder = require_folder(folder)
    splits = {}
    for split, prefixes in (("train", ("train",)), ("test", ("t10k", "test"))):
        images, labels = (
            read_idx(_find(folder, prefixes, kind), magic)
            for kind, magic in (("images-idx3", IMAGES), ("labels-idx1", LABELS))
        )
        splits[split] = (images[..., None], labels)
    return splits


def _find(folder: Path, prefixes: Sequence[str], kind: str) -> Path:
    """Return a file by its usual name, or the only one whose name ends in it, such as emnist-letters-train-..."""
    names = _names(prefixes, kind)
    ending = [file for name in names for file in sorted(folder.glob(f"*-{name}")) if file.is_file()]
    is_usual = any((folder / name).is_file() for name in names)
    return ending[0] if len(ending) == 1 and not is_usual else find_file(names, [folder])


def _names(prefixes: Sequence[str], kind: str) -> list[str]:
    """Return the names of a file, first the official one; some unpackers write a dot for the second dash."""
    stems = [f"{prefix}-{part}-ubyte" for part in (kind, kind.replace("-", ".")) for prefix in prefixes]
    return [f"{stem}{ending}" for stem in stems for ending in ("", ".gz")]
