"""CIFAR-10 and CIFAR-100 in their own files, of the binary and of the Python layout."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

__all__ = ["read_cifar10", "read_cifar100"]

SIDE = 32
PIXELS = 3 * SIDE * SIDE
FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python")

Part = tuple[UInt8[np.ndarray, "n 32 32 3"], Int[np.ndarray, " n"]]


def read_cifar10(folder: str | Path) -> dict[str, Part]:
    """Read CIFAR-10 (Krizhevsky, 2009): `data_batch_1` to `data_batch_5` and `test_batch`.

    Each file may be of the binary layout (ends in ".bin") or of the Python one (no ending); of a file that is there
    twice, the binary one is read. A record of the former is a label and 3 x 32 x 32 bytes, red, green, blue, row by
    row; the latter are pickled dictionaries, of which nothing but arrays, lists, numbers and bytes is unpickled.

    Args:
        folder: where they lie, or the folder that an archive of CIFAR was unpacked into.

    Returns:
        "train" and "test": images `(n, 32, 32, 3)` uint8 and labels `(n,)`, in stored order.

    Raises:
        FileNotFoundError: a batch is missing.
        ValueError: a file is truncated, is not of either layout, or has labels that are not 0 to 9.

    Examples:
        >>> read_cifar10("/no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: No file data_batch_1.bin or data_batch_1 in /no/such/folder.
    """
    train = [f"data_batch_{i}" for i in range(1, 6)]
    return {"train": _read(folder, train, 10), "test": _read(folder, ["test_batch"], 10)}


def read_cifar100(folder: str | Path) -> dict[str, Part]:
    """Read CIFAR-100 with its fine labels: `train` and `test`, of either layout; see `read_cifar10`.

    A binary record has the coarse label before the fine one.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is truncated, is not of either layout, or has labels that are not 0 to 99.
    """
    return {name: _read(folder, [name], 100) for name in ("train", "test")}


def _read(folder: str | Path, names: Sequence[str], classes: int) -> Part:
    parts = [_read_file(_find(Path(folder), name), classes) for name in names]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def _find(folder: Path, name: str) -> Path:
    for place in FOLDERS:
        for file in (folder / place / f"{name}.bin", folder / place / name):
            if file.is_file():
                return file
    raise FileNotFoundError(f"No file {name}.bin or {name} in {folder}.")


def _read_file(path: Path, classes: int) -> Part:
    pixels, labels = (_read_binary if path.suffix == ".bin" else _read_pickle)(path, classes)
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{path} has labels from {labels.min()} to {labels.max()}; CIFAR-{classes}'s are below that.")
    return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels.astype(np.int32)


def _read_binary(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    before = 2 if classes == 100 else 1  # labels of a record; the fine one is the last
    raw = np.fromfile(path, np.uint8)
    if raw.size == 0 or raw.size % (before + PIXELS):
        raise ValueError(
            f"{path} has {raw.size} bytes, which is no multiple of a record of CIFAR-{classes} ({before + PIXELS} "
            "bytes): the file is truncated or another one."
        )
    records = raw.reshape(-1, before + PIXELS)
    return records[:, before:], records[:, before - 1]


def _read_pickle(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        with path.open("rb") as file:
            found = _ArraysOnly(file, encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a batch of CIFAR: {str(error).rstrip('.')}.") from None
    name = "fine_labels" if classes == 100 else "labels"
    values: dict[str, Any] = {}
    for key in ("data", name):
        values[key] = found.get(key.encode(), found.get(key)) if isinstance(found, dict) else None
        if values[key] is None:
            raise ValueError(f"{path} is no batch of CIFAR-{classes}: it is no dictionary with data and {name}.")
    pixels, labels = values["data"], np.asarray(values[name])
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape == (len(pixels), PIXELS)):
        told = f"{getattr(pixels, 'dtype', type(pixels).__name__)} of shape {np.shape(pixels)}"
        raise ValueError(f"{path} holds data of {told} instead of uint8 of shape (n, {PIXELS}).")
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu" or not len(pixels):
        raise ValueError(f"{path} holds {len(pixels)} images and labels of {labels.dtype} of shape {labels.shape}.")
    return pixels, labels


def _as_bytes(text: str, encoding: str = "latin1") -> bytes:
    """What Python 3 writes for bytes in the protocol of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes bytes as {encoding!r}")
    return text.encode("latin1")


_KNOWN: dict[str, Any] = {
    "_reconstruct": np.empty(0).__reduce__()[0],
    "_frombuffer": np.empty(0).__reduce_ex__(5)[0],
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "encode": _as_bytes,
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that makes arrays and what needs no class, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The function behind a name of NumPy's pickles."""
        if module.split(".")[0] in ("numpy", "_codecs") and name in _KNOWN:
            return _KNOWN[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of CIFAR holds")
