"""CIFAR-10 and CIFAR-100 in their own files, in binary and in Python layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int32, UInt8

from lcjax.data.readers.files import find_file, read_bytes
from lcjax.data.readers.pickles import parse_pickle, to_array
from lcjax.files import reading
from lcjax.typing import PathLike

__all__ = ["read_cifar10", "read_cifar100"]

SIDE = 32
PIXELS = 3 * SIDE * SIDE
FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python")
_INTEGERS = ("|u1", "<i4", "<i8", ">i4", ">i8")

Images: TypeAlias = tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]


def read_cifar10(folder: PathLike) -> dict[str, Images]:
    """Read CIFAR-10 (Krizhevsky, 2009): `data_batch_1` to `data_batch_5` and `test_batch`.

    Each file may have the binary layout (its name ends in ".bin") or the Python layout (no ending); if both exist, the
    binary file is read. A binary record is a label and 3 x 32 x 32 bytes, red, green and blue, row by row. The files in
    Python layout are pickled dictionaries, of which the two arrays are read without calling anything that they name.

    Args:
        folder: folder of the files, or the folder into which an archive of CIFAR was unpacked.

    Returns:
        "train" and "test": images `(n, 32, 32, 3)` uint8 and labels `(n,)` int32, in stored order.

    Raises:
        FileNotFoundError: a batch is missing.
        ValueError: a file is truncated, has neither layout, or has labels outside 0 to 9.

    Examples:
        >>> read_cifar10("/no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: No file data_batch_1.bin or data_batch_1 in /no/such/folder.
    """
    train = [f"data_batch_{i}" for i in range(1, 6)]
    return {"train": _read_batches(folder, train, 10), "test": _read_batches(folder, ["test_batch"], 10)}


def read_cifar100(folder: PathLike) -> dict[str, Images]:
    """Read CIFAR-100 with its fine labels: `train` and `test`, in either layout; see `read_cifar10`.

    A binary record has the coarse label before the fine one.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is truncated, has neither layout, or has labels outside 0 to 99.
    """
    return {name: _read_batches(folder, [name], 100) for name in ("train", "test")}


def _read_batches(folder: PathLike, names: Sequence[str], classes: int) -> Images:
    places = [Path(folder, place) for place in FOLDERS]
    batches = [_read_batch(find_file([f"{name}.bin", name], places), classes) for name in names]
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])


def _read_batch(path: Path, classes: int) -> Images:
    pixels, labels = (_read_binary if path.suffix == ".bin" else _read_pickle)(path, classes)
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{path} has labels from {labels.min()} to {labels.max()}; they must be 0 to {classes - 1}.")
    return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels.astype(np.int32)


def _read_binary(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    before = 2 if classes == 100 else 1  # labels of a record; the fine one is the last
    raw = np.frombuffer(read_bytes(path), np.uint8)
    if raw.size == 0 or raw.size % (before + PIXELS):
        raise ValueError(
            f"{path} has {raw.size} bytes, which is not a multiple of a record of CIFAR-{classes} ({before + PIXELS} "
            "bytes): the file is truncated or of another kind."
        )
    records = raw.reshape(-1, before + PIXELS)
    return records[:, before:], records[:, before - 1]


def _read_pickle(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    name = "fine_labels" if classes == 100 else "labels"
    with reading(path):
        batch = parse_pickle(read_bytes(path))
        if not isinstance(batch, dict) or not {"data", name} <= set(batch):
            raise ValueError(f"it is not a batch of CIFAR-{classes}, which is a dictionary with data and {name}")
        pixels = to_array(batch["data"], ["|u1"])
        if pixels is None or pixels.ndim != 2 or pixels.shape[1] != PIXELS or not len(pixels):
            kind = "no array" if pixels is None else f"shape {pixels.shape}"
            raise ValueError(f"its data must be uint8 of shape (n, {PIXELS}), got {kind}")
        labels = to_array(batch[name], _INTEGERS)
        if labels is None:
            if not isinstance(batch[name], list) or any(type(label) is not int for label in batch[name]):
                raise ValueError(f"its {name} are not a list of integers")
            labels = np.asarray(batch[name], np.int64)
        if labels.shape != (len(pixels),):
            raise ValueError(f"it holds {len(pixels)} images and {name} of shape {labels.shape}")
    return pixels, labels
