"""Data sets in NumPy archives."""

import numpy as np
from jaxtyping import Shaped

from lcjax.data.examples import Pair
from lcjax.data.readers.files import open_archive
from lcjax.typing import PathLike

__all__ = ["read_npz", "read_npz_array"]

_NAMES = {
    "train": (("x_train", "y_train"), ("inputs", "targets")),
    "validation": (("x_validation", "y_validation"), ("x_val", "y_val")),
    "test": (("x_test", "y_test"),),
}


def read_npz(path: PathLike) -> dict[str, Pair]:
    """Read inputs and targets from a NumPy archive.

    The arrays are named `x_train`, `y_train` and, for official splits, `x_test`, `y_test` and `x_validation`,
    `y_validation` (or `x_val`, `y_val`); or `inputs`, `targets` for a set without splits. Nothing is unpickled.

    Returns:
        Inputs and targets of each split in the file; "train" is always present.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is unreadable, lacks arrays, or holds Python objects.

    Examples:
        >>> import numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(folder + "/a.npz", inputs=np.zeros((4, 2)), targets=np.array([0, 1, 0, 1]))
        ...     list(read_npz(folder + "/a.npz"))
        ['train']
    """
    splits = {}
    with open_archive(path) as archive:
        for split, choices in _NAMES.items():
            for inputs, targets in choices:
                if inputs in archive and targets in archive:
                    splits[split] = (archive[inputs], archive[targets])
                    break
                if inputs in archive or targets in archive:
                    raise ValueError(f"of {inputs} and {targets} it holds only one")
        if "train" not in splits:
            raise ValueError(
                f"it holds {', '.join(archive) or 'no arrays'}, not x_train and y_train, or inputs and targets; "
                "np.savez(file, inputs=..., targets=...) writes such a file"
            )
    return splits


def read_npz_array(path: PathLike, name: str) -> Shaped[np.ndarray, "..."]:
    """Read one array of a NumPy archive; nothing is unpickled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is unreadable, or has no array of that name.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(folder + "/a.npz", person=np.array(["ann", "bob"]))
        ...     read_npz_array(folder + "/a.npz", "person").tolist()
        ['ann', 'bob']
    """
    with open_archive(path) as archive:
        if name not in archive:
            raise ValueError(f"it holds {', '.join(archive)}, but no array {name}")
        return np.asarray(archive[name])
