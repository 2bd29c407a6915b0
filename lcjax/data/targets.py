"""Targets of a data set: classes from integers, text and one-hot rows, or quantities."""

import numpy as np
from jaxtyping import Shaped

from lcjax.data.examples import Splits

__all__ = ["flatten_targets", "number_classes"]

_MANY, _RARE = 10, 4  # more classes than 10 with fewer than 4 examples each are probably quantities


def flatten_targets(place: str, targets: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, " n"]:
    """Return one number or text per example, from a column, one-hot rows or byte strings too.

    Args:
        place: data set and split, for messages.
        targets: `(n,)`, `(n, 1)` or one-hot `(n, c)`.

    Raises:
        ValueError: the targets are none of these.

    Examples:
        >>> flatten_targets("set", np.eye(3)[[2, 0]]), flatten_targets("set", np.array([[b"cat"], [b"dog"]]))
        (array([2, 0]), array(['cat', 'dog'], dtype='<U3'))
    """
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 2 and targets.dtype.kind in "biuf":
        if not (np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()):
            raise ValueError(
                f"{place}: targets must be one number per example or one-hot, got {targets.dtype} of shape "
                f"{targets.shape} whose rows are not a single 1 among zeros."
            )
        return np.asarray(targets.argmax(axis=1))
    if targets.ndim != 1 or targets.dtype.kind not in "biufUS":
        raise ValueError(
            f"{place}: targets must be one number per example, got {targets.dtype} of shape {targets.shape}; "
            "give classes as integers or text."
        )
    return np.char.decode(targets, errors="backslashreplace") if targets.dtype.kind == "S" else targets


def number_classes(name: str, splits: Splits, regression: bool | None) -> tuple[int, Splits]:
    """Return the number of classes, 0 for a regression, and the splits with classes numbered in ascending order.

    Args:
        name: data set, for messages.
        splits: inputs and targets `(n,)` by split.
        regression: True for a regression, False for classes; by default floating targets make it a regression.

    Raises:
        ValueError: the splits differ in the kind of targets, or these do not make classes: there is only one, one of
            them is not in training, the targets are not whole, or are whole numbers that are hardly classes.

    Examples:
        >>> number_classes("set", {"train": (np.zeros((3, 1)), np.array(["b", "a", "b"]))}, None)[1]["train"][1]
        array([1, 0, 1], dtype=int32)
    """
    kinds = {
        "numbers" if t.dtype.kind == "f" else "text" if t.dtype.kind == "U" else "integers" for _, t in splits.values()
    }
    if len(kinds) > 1 and (not regression or "text" in kinds):
        first, second = sorted(kinds)
        raise ValueError(f"{name}: targets are {first} in some splits and {second} in others.")
    kind = min(kinds)
    if regression if regression is not None else kind == "numbers":
        if kind == "text":
            raise ValueError(f"{name}: targets are text, which a regression cannot predict: leave out --regression.")
        return 0, {split: (inputs, targets.astype(np.float32)) for split, (inputs, targets) in splits.items()}
    if kind == "numbers":
        fraction = next((t[t != np.round(t)][0] for _, t in splits.values() if np.any(t != np.round(t))), None)
        if fraction is not None:
            raise ValueError(f"{name}: the target {fraction:g} is not a whole number, so it is not a class.")
    labels = np.unique(splits["train"][1])
    examples = len(splits["train"][1])
    if regression is None and kind == "integers" and labels.size > _MANY and examples < _RARE * labels.size:
        raise ValueError(
            f"{name}: the {examples} training targets are whole numbers with {labels.size} different values, too many "
            "for classes. If they are quantities, pass regression=True (--regression); if they are classes, "
            "regression=False (--no-regression)."
        )
    if labels.size < 2:
        raise ValueError(f"{name} has only one class: every training label is {labels[0]}.")
    numbered = {}
    for split, (inputs, targets) in splits.items():
        unknown = np.setdiff1d(targets, labels)
        if unknown.size:
            raise ValueError(f"{name}: label {unknown[0]} of the {split} split does not occur in the training split.")
        numbered[split] = (inputs, np.searchsorted(labels, targets).astype(np.int32))
    return int(labels.size), numbered
