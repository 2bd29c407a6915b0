"""NumPy archives as data sets."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

__all__ = ["read_npz"]

_NAMES = {
    "train": (("x_train", "y_train"), ("inputs", "targets")),
    "validation": (("x_validation", "y_validation"), ("x_val", "y_val")),
    "test": (("x_test", "y_test"),),
}


def read_npz(path: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read a NumPy archive with inputs and targets.

    Arrays are named `x_train`, `y_train`, and if there are official splits `x_test`, `y_test` and `x_validation`,
    `y_validation` (or `x_val`, `y_val`); or `inputs`, `targets` for a set without splits. Nothing is unpickled.

    Args:
        path: the file.

    Returns:
        Inputs and targets of each split that the file has; "train" is always there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is unreadable, lacks arrays, or holds Python objects.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(folder + "/a.npz", inputs=np.zeros((4, 2)), targets=np.array([0, 1, 0, 1]))
        ...     list(read_npz(folder + "/a.npz"))
        ['train']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No file {path}.")
    splits = {}
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not a NumPy archive (.npz), as np.savez writes it")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for split, choices in _NAMES.items():
                for inputs, targets in choices:
                    if inputs in archive and targets in archive:
                        splits[split] = (archive[inputs], archive[targets])
                        break
                    if inputs in archive or targets in archive:
                        raise ValueError(f"of {inputs} and {targets} it holds only one")
            if "train" not in splits:
                raise ValueError(f"it holds {', '.join(archive.files)}, not x_train and y_train, or inputs and targets")
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a data set that can be read: {str(error).rstrip('.')}.") from None
    return splits
