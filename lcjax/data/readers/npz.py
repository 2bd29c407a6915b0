"""Data sets in NumPy archives."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from lcjax.data.examples import Pair
from lcjax.data.readers.files import open_archive
from lcjax.typing import PathLike

__all__ = ["read_npz", "read_npz_array"]

_INPUTS = ("x", "input", "inputs", "data", "image", "images", "feature", "features")
_TARGETS = ("y", "target", "targets", "label", "labels", "class", "classes")
_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("validation", "val", "valid", "dev"), "validation"
)


def read_npz(path: PathLike) -> dict[str, Pair]:
    """Read inputs and targets from a NumPy archive.

    The arrays are named `x_train`, `y_train` and, for official splits, `x_test`, `y_test` and `x_validation`,
    `y_validation` (or `x_val`, `y_val`); or `inputs`, `targets` for a set without splits. Capitals do not matter, the
    split may come first (`train_images`), and `data`, `images` or `features` are inputs, `labels` or `classes`
    targets. Nothing is unpickled.

    Returns:
        Inputs and targets of each split in the file; "train" is always present.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is unreadable, lacks arrays, has two for one role, or holds Python objects.

    Examples:
        >>> import numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(folder + "/a.npz", inputs=np.zeros((4, 2)), targets=np.array([0, 1, 0, 1]))
        ...     list(read_npz(folder + "/a.npz"))
        ['train']
    """
    with open_archive(path) as archive:
        places = _places(list(archive))
        splits = {}
        for split, pair in places.items():
            if len(pair) < 2:
                held = next(iter(pair.values()))
                other = "targets" if "inputs" in pair else "inputs"
                raise ValueError(f"it holds {held}, but no {other} of the {split} split")
            splits[split] = (archive[pair["inputs"]], archive[pair["targets"]])
        if "train" not in splits:
            raise ValueError(
                f"it holds {', '.join(archive) or 'no arrays'}, not x_train and y_train, or inputs and targets; "
                "np.savez(file, inputs=..., targets=...) writes such a file"
            )
    return splits


def _places(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the names of inputs and targets by split; those without a split are "train" if none has one."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
        parts = [_PARTS[word] for word in words if word in _PARTS]
        role = " ".join(word for word in words if word not in _PARTS)
        kind = "inputs" if role in _INPUTS else "targets" if role in _TARGETS else None
        if kind is None or len(parts) > 1:
            continue
        pair = found.setdefault(parts[0] if parts else "", {})
        if kind in pair:
            raise ValueError(f"it holds {pair[kind]} and {name}, which may both be {kind}; remove or rename one")
        pair[kind] = name
    whole = found.pop("", {})
    if "train" not in found and whole:
        found = {"train": whole, **found}
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


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
