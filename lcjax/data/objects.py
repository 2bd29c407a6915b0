"""Data sets in memory: scikit-learn Bunches, Hugging Face Datasets and data frames; no library is imported."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from lcjax.data.examples import Source
from lcjax.data.readers.tables import TableOptions, table_source
from lcjax.tables.frames import is_frame, table_from_frame

__all__ = ["object_name", "source_from_object"]

_PARTS = {"train": "train", "test": "test"} | dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
_LABELS = ("label", "labels", "target", "fine_label", "class", "y")
_KINDS = "a scikit-learn Bunch, a Hugging Face Dataset, a data frame, or a pair of inputs and targets"


def object_name(value: object) -> str:
    """Return the name of the type of an object, for messages.

    Examples:
        >>> object_name({"x": [1]})
        'dict'
    """
    return type(value).__name__


def source_from_object(value: Any, target_column: str | None = None, groups: str | None = None) -> Source:
    """Return the source in an object.

    Args:
        value: a scikit-learn Bunch (`data` and `target`), a Hugging Face Dataset or a dictionary of them by
            split, a data frame or a dictionary of them, or a pair of arrays.
        target_column: column of the targets of a data frame or a data set.
        groups: column with the group of each row.

    Raises:
        ValueError: the object is none of these, or its columns are not numbers, text or images.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> inputs, targets = source_from_object(load_iris()).splits["train"]
        >>> inputs.shape, targets.shape
        ((150, 4), (150,))
    """
    if isinstance(value, Mapping) and value and {_PARTS.get(str(name)) for name in value} <= set(_PARTS.values()):
        parts = {_PARTS[str(name)]: part for name, part in value.items()}
        if "train" in parts and all(_is_dataset(part) or is_frame(part) for part in parts.values()):
            return _from_parts(parts, target_column, groups)
    if _is_dataset(value):
        return _from_parts({"train": value}, target_column, groups)
    if isinstance(value, Mapping) and {"data", "target"} <= set(value):
        return _from_bunch(value, groups)
    if is_frame(value):
        return _from_parts({"train": value}, target_column, groups)
    if isinstance(value, tuple) and len(value) == 2:
        return Source({"train": (np.asarray(value[0]), np.asarray(value[1]))})
    raise ValueError(f"A data set must be the name of one, {_KINDS}; got {object_name(value)}.")


def _is_dataset(value: object) -> bool:
    """Return True for a data set of Hugging Face."""
    return hasattr(value, "features") and hasattr(value, "column_names") and hasattr(value, "__getitem__")


def _from_bunch(bunch: Mapping[str, Any], groups: str | None) -> Source:
    if groups is not None:
        raise ValueError("A Bunch has no column of groups; pass its arrays and groups to data_from_arrays.")
    inputs, target = bunch["data"], np.asarray(bunch["target"])
    if hasattr(inputs, "toarray"):
        inputs = inputs.toarray()
    if is_frame(inputs):
        columns = table_from_frame(inputs)
        frame = dict(zip(columns.heading, columns.columns, strict=True))
        return table_source({"train": {**frame, "target": target}}, TableOptions("target"))
    images = bunch.get("images")
    if images is not None and np.ndim(images) in (3, 4) and len(images) == len(target):
        array = np.asarray(images)
        whole = array.min(initial=0) >= 0 and array.max(initial=0) < 256 and bool(np.all(array % 1 == 0))
        inputs = array.astype(np.uint8) if whole else array
        inputs = inputs[..., None] if inputs.ndim == 3 else inputs
    return Source({"train": (np.asarray(inputs), target)})


def _from_parts(parts: Mapping[str, Any], target_column: str | None, groups: str | None) -> Source:
    if not all(_is_dataset(part) for part in parts.values()):
        return table_source(parts, TableOptions(target_column, groups=groups))
    train = parts["train"]
    names = list(train.column_names)
    label = target_column or next((name for name in _LABELS if name in names), None)
    if label is None or label not in names:
        raise ValueError(f"The data set has no column {label or 'label'}; pass target_column: {', '.join(names)}.")
    first = train[0]
    pictures = [name for name in names if name != label and _is_array(first[name])]
    if pictures:
        if len(pictures) > 1:
            raise ValueError(f"The data set has several columns of arrays, {', '.join(pictures)}; select one of them.")
        splits = {split: (_stack(part[pictures[0]]), np.asarray(part[label])) for split, part in parts.items()}
        return Source(splits, (f"The column {pictures[0]!r} is used as input, {label!r} as target.",))
    frames = {split: {name: part[name][:] for name in names} for split, part in parts.items()}
    return table_source(frames, TableOptions(label, groups=groups))


def _is_array(value: object) -> bool:
    """Return True for an image of Pillow, an array, or a nested list of numbers."""
    if isinstance(value, str | bytes) or value is None:
        return False
    return np.ndim(value) >= 1 if not hasattr(value, "getbands") else True  # type: ignore[arg-type]


def _stack(images: Sequence[Any]) -> Shaped[np.ndarray, "n ..."]:
    arrays = [np.asarray(image.convert("RGB") if _is_odd(image) else image) for image in images]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        first, second = sorted(map(str, shapes))[:2]
        raise ValueError(f"The images have {len(shapes)} shapes, such as {first} and {second}; resize them first.")
    return np.stack(arrays)


def _is_odd(image: Any) -> bool:
    """Return True for an image of Pillow with a palette or transparency."""
    return hasattr(image, "mode") and image.mode not in ("L", "RGB")
