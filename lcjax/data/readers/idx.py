"""IDX files: the format of MNIST and its kin."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

__all__ = ["read_idx", "read_idx_folder"]

IMAGES, LABELS = 2051, 2049


def read_idx(path: str | Path, magic: int) -> UInt8[np.ndarray, "..."]:
    """Read one IDX file of unsigned bytes, compressed by gzip or not.

    The header is a big-endian magic number, whose last byte is the number of axes, then the length of each axis; the
    values follow, the last axis running fastest (LeCun, Cortes and Burges, "The MNIST database").

    Args:
        path: the file; one that ends in ".gz" is decompressed.
        magic: what the file must start with: 2051 for images, 2049 for labels.

    Returns:
        The values, uint8, in the shape that the header gives.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or too long, cannot be decompressed, or starts with another magic number.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels")
        ...     _ = path.write_bytes((2049).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([5, 0, 4]))
        ...     read_idx(path, 2049)
        array([5, 0, 4], dtype=uint8)
    """
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is truncated or not a gzip file: {error}.") from None
    found = int.from_bytes(raw[:4], "big")
    if len(raw) < 4 or found != magic:
        raise ValueError(f"{path} is not an IDX file of the expected kind: magic number {found}, expected {magic}.")
    axes = magic % 256
    header = 4 + 4 * axes
    if len(raw) < header:
        raise ValueError(f"{path} is truncated: {len(raw)} bytes do not hold the header of {header}.")
    shape = tuple(np.frombuffer(raw, ">u4", axes, offset=4).tolist())
    if len(raw) - header != math.prod(shape):
        problem = "truncated" if len(raw) - header < math.prod(shape) else "longer than its header says"
        raise ValueError(f"{path} is {problem}: {len(raw) - header} bytes for {' x '.join(map(str, shape))} values.")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def read_idx_folder(folder: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the four files of an MNIST-like set: `train-` and `t10k-`, `images-idx3-ubyte` and `labels-idx1-ubyte`.

    Args:
        folder: where the files lie, each with or without ".gz".

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
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No folder {folder}.")
    splits = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), IMAGES)[..., None]
        splits[split] = (images, read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"), LABELS))
    return splits


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"No file {name} or {name}.gz in {folder}.")
