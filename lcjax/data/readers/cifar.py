"""CIFAR-10 and CIFAR-100 in their own files, in binary and in Python layout."""

import io
import operator
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int32, UInt8

from lcjax.data.readers.files import find_file, read_bytes
from lcjax.typing import PathLike

__all__ = ["read_cifar10", "read_cifar100"]

SIDE = 32
PIXELS = 3 * SIDE * SIDE
FOLDERS = ("", "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python")

Constructor: TypeAlias = Callable[..., np.ndarray | np.dtype | bytes]
Images: TypeAlias = tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]


def read_cifar10(folder: PathLike) -> dict[str, Images]:
    """Read CIFAR-10 (Krizhevsky, 2009): `data_batch_1` to `data_batch_5` and `test_batch`.

    Each file may have the binary layout (its name ends in ".bin") or the Python layout (no ending); if both exist, the
    binary file is read. A binary record is a label and 3 x 32 x 32 bytes, red, green and blue, row by row. The files in
    Python layout are pickled dictionaries, of which only arrays, lists, numbers and bytes are unpickled.

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
    try:
        batch = _ArraysOnly(io.BytesIO(read_bytes(path)), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a batch of CIFAR: {str(error).rstrip('.')}.") from None
    labels_name = "fine_labels" if classes == 100 else "labels"
    pairs = batch.items() if isinstance(batch, dict) else ()
    entries = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in pairs}
    if not {"data", labels_name} <= set(entries):
        raise ValueError(f"{path} is not a batch of CIFAR-{classes}: it is no dictionary with data and {labels_name}.")
    pixels, labels = entries["data"], np.asarray(entries[labels_name])
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape == (len(pixels), PIXELS)):
        kind = f"{getattr(pixels, 'dtype', type(pixels).__name__)} of shape {np.shape(pixels)}"
        raise ValueError(f"{path} holds data of {kind} instead of uint8 of shape (n, {PIXELS}).")
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu" or not len(pixels):
        raise ValueError(f"{path} holds {len(pixels)} images and labels of {labels.dtype} of shape {labels.shape}.")
    return pixels, labels


def _as_bytes(text: str, encoding: str = "latin1") -> bytes:
    """Decode bytes that Python 3 pickled with the protocol of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes bytes as {encoding!r}")
    return text.encode("latin1")


_first = operator.itemgetter(0)
_CALLABLES: dict[str, Constructor] = {
    "_reconstruct": _first(np.empty(0).__reduce__()),
    "_frombuffer": _first(np.empty(0).__reduce_ex__(5)),
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "encode": _as_bytes,
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickler of arrays and plain containers that calls nothing else."""

    def find_class(self, module: str, name: str) -> Constructor:
        """Return the function behind a name in NumPy's pickles."""
        if module.split(".")[0] in ("numpy", "_codecs") and name in _CALLABLES:
            return _CALLABLES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which does not belong in a batch of CIFAR")
