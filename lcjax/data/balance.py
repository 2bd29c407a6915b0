"""Cautions about targets: rare classes, and quantities in units that do not suit the tolerance."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from lcjax.data.examples import SPLITS, Data

__all__ = [
    "FEW",
    "check_classes",
    "check_targets",
    "check_tolerance",
    "check_variation",
    "class_counts",
    "require_classes",
]

FEW = 3
"""Number of examples of a class below which a split says next to nothing about it."""
_MANY, _AVERAGE = 10, 20  # more classes than 10 with fewer than 20 examples each are worth a caution
_LISTED = 5  # classes named in one caution
_PURPOSE = {
    "train": "the model cannot learn {them}",
    "validation": "an error of 0 there says nothing about {them}, and neither does a forecast or a target size from it",
    "test": "an error of 0 there says nothing about {them}",
}


def check_variation(data: Data) -> None:
    """Raise ValueError if all training examples have the same input; streamed inputs are not read.

    Examples:
        >>> import lcjax as lc
        >>> check_variation(lc.data_from_arrays(np.ones((50, 3)), np.arange(50) % 2, name="ones"))
        Traceback (most recent call last):
        ValueError: ones: the inputs of all 33 training examples are equal.
    """
    inputs = data.train.inputs
    if not isinstance(inputs, np.ndarray) or len(inputs) < 2 or not np.array_equal(inputs[0], inputs[1]):
        return
    if np.all(inputs == inputs[0]):
        raise ValueError(f"{data.name}: the inputs of all {len(inputs)} training examples are equal.")


def class_counts(data: Data) -> dict[str, Int[np.ndarray, " c"]]:
    """Return the number of examples of each class, `(c,)`, by split; empty for regression and sequences.

    A split that is withheld is absent.

    Examples:
        >>> import lcjax as lc
        >>> class_counts(lc.load_data("digits"))["validation"].tolist()
        [24, 24, 24, 24, 24, 25, 24, 24, 23, 24]
    """
    parts = {name: getattr(data, name) for name in SPLITS}
    targets = {name: np.asarray(part.targets) for name, part in parts.items() if part is not None}
    if not data.classes or any(array.ndim != 1 for array in targets.values()):
        return {}
    return {name: np.bincount(array, minlength=data.classes) for name, array in targets.items()}


def check_classes(data: Data, *, names: Sequence[str] | None = None, few: int = FEW) -> list[str]:
    """Return cautions about classes with few examples in a split.

    There is one caution per split for the classes without an example, which its error cannot concern, and one for those
    with fewer than `few`. Such splits are not refused: the error on the other classes is valid.

    Args:
        data: the data set.
        names: names of the classes, in the order of their numbers; by default "class 0" and so on, in ascending order
            of the labels that the data came with.
        few: number of examples from which a class is not rare, at least 1.

    Returns:
        Sentences in plain text; an empty list if no class is rare, for regression and for sequences.

    Raises:
        ValueError: there is not one name per class, or `few` is less than 1.

    Examples:
        >>> import lcjax as lc
        >>> part = lc.Examples(np.zeros((5, 1)), np.array([0, 0, 0, 1, 1]))
        >>> test = lc.Examples(np.zeros((9, 1)), np.zeros(9, int))
        >>> for caution in check_classes(lc.Data(part, part, test, classes=2), names=["well", "ill"])[1:]:
        ...     print(caution)
        The validation split has only 2 examples of ill (of 5): its error on this class is hardly known.
        The test split has no example of ill (2 of 5 in training): an error of 0 there says nothing about this class.
    """
    if few < 1:
        raise ValueError(f"few must be at least 1, got {few}.")
    if names is not None and len(names) != data.classes:
        raise ValueError(f"There are {data.classes} classes and {len(names)} names.")
    counts = class_counts(data)
    labels = [f"class {number}" for number in range(data.classes)] if names is None else list(names)
    cautions = []
    for split, count in counts.items():
        total = int(count.sum())
        absent, rare = np.flatnonzero(count == 0), np.flatnonzero((count > 0) & (count < few))
        if absent.size:
            training = [f"{counts['train'][c]:,} of {counts['train'].sum():,} in training" for c in absent]
            listed = _list([labels[c] for c in absent], training if split != "train" else [""] * absent.size)
            consequence = _PURPOSE[split].format(them=_them(absent.size))
            cautions.append(f"The {_name(split)} has no example of {listed}: {consequence}.")
        if rare.size:
            listed = _list([labels[c] for c in rare], [""] * rare.size)
            numbers = " and ".join(str(number) for number in sorted({int(count[c]) for c in rare}))
            plural = "example" if numbers == "1" else "examples"
            each = "" if rare.size == 1 else " each"
            consequence = (
                f"the model hardly learns {_them(rare.size)}"
                if split == "train"
                else f"its error on {_them(rare.size)} is hardly known"
            )
            cautions.append(
                f"The {_name(split)} has only {numbers} {plural}{each} of {listed} (of {total:,}): {consequence}."
            )
    return cautions


def check_tolerance(data: Data) -> None:
    """Refuse a tolerance of a regression within which the best constant prediction is always correct.

    Raises:
        ValueError: every validation target is closer than the tolerance to the median of the training targets.

    Examples:
        >>> import lcjax as lc
        >>> check_tolerance(lc.data_from_arrays(np.eye(50), np.linspace(0, 0.01, 50), name="set"))
        Traceback (most recent call last):
        ValueError: set: every validation target is within the tolerance, 0.1, of the median in training, so that ...
    """
    if not data.classes and np.asarray(data.train.targets).ndim == 1 and data.chance_error() == 0:
        deviation = float(np.std(np.asarray(data.train.targets), dtype=np.float64))
        raise ValueError(
            f"{data.name}: every validation target is within the tolerance, {data.tolerance:g}, of the median in "
            f"training, so that a constant prediction makes no error. Set a tolerance in the units of the targets, "
            f"whose standard deviation is {deviation:.3g} (--tolerance {deviation / 4:.1g})."
        )


def require_classes(data: Data, *splits: str) -> None:
    """Refuse a target error if a split lacks a class, about which the errors on that split say nothing.

    Raises:
        ValueError: one of the splits has no example of a class; the message gives the class and its number in training.

    Examples:
        >>> import lcjax as lc
        >>> part = lc.Examples(np.zeros((3, 1)), np.array([0, 1, 1]))
        >>> require_classes(lc.Data(part, lc.Examples(np.zeros((1, 1)), np.array([1])), None, classes=2), "validation")
        Traceback (most recent call last):
        ValueError: The size for a target error cannot be estimated: the validation split has no example of class 0 ...
    """
    counts = class_counts(data)
    for split in splits:
        absent = np.flatnonzero(counts[split] == 0) if split in counts else np.zeros(0, int)
        if absent.size:
            training = [f"{counts['train'][c]:,} of {counts['train'].sum():,} in training" for c in absent]
            listed = _list([f"class {c}" for c in absent], training)
            raise ValueError(
                f"The size for a target error cannot be estimated: the {split} split has no example of {listed}. "
                f"Provide examples of {_them(absent.size)} in every split, or leave out the target."
            )


def check_targets(data: Data, *, by_rate: bool = True) -> list[str]:
    """Return cautions about the targets of a data set: those of `check_classes`, and on kind and tolerance.

    A caution says that there are many classes for the number of examples, which may be quantities; that a regression
    has few different whole targets, which may be classes; or that nearly every prediction, or nearly none, can be
    within the tolerance of a regression.

    Args:
        data: the data set.
        by_rate: False if a regression is not measured by its share of wrong predictions, so that the tolerance does not
            matter.

    Returns:
        Sentences in plain text; an empty list if nothing is unusual, and for sequences.

    Examples:
        >>> import lcjax as lc
        >>> prices = np.random.default_rng(0).uniform(1e5, 3e5, 100)
        >>> for caution in check_targets(lc.data_from_arrays(np.eye(100), prices)):
        ...     print(caution)
        A prediction off by more than 0.1 counts as an error, and the targets have a standard deviation of 6.21e+04: ...
    """
    targets = np.asarray(data.train.targets)
    if targets.ndim != 1 or not targets.size:
        return []
    if data.classes:
        average = targets.size / data.classes
        if data.classes <= _MANY or average >= _AVERAGE:
            return check_classes(data)
        taken = (
            f"The targets were taken as {data.classes} classes with {average:.3g} training examples each on average. "
            "If they are quantities, choose regression (--regression)."
        )
        return [taken, *check_classes(data)]
    cautions = []
    values = np.unique(targets)
    if values.size <= min(_MANY, targets.size / 2) and np.array_equal(values, np.round(values)):
        cautions.append(
            f"The targets are floating-point numbers with only {values.size} different values, all whole: they were "
            "taken as quantities. If they are classes, choose classification (--no-regression)."
        )
    if not by_rate:
        return cautions
    deviation, share = float(np.std(targets, dtype=np.float64)), 1 - data.chance_error()
    counts = f"A prediction off by more than {data.tolerance:g} counts as an error, and"
    if deviation > 100 * data.tolerance:
        cautions.append(
            f"{counts} the targets have a standard deviation of {deviation:.3g}: nearly every prediction will be an "
            "error. Set the tolerance in the units of the targets (--tolerance)."
        )
    elif share > 0.9:
        cautions.append(
            f"{counts} the median of the training targets is closer than that to {100 * share:.3g} % of the validation "
            f"targets, whose standard deviation in training is {deviation:.3g}: only a smaller tolerance "
            "(--tolerance) can distinguish models."
        )
    return cautions


def _name(split: str) -> str:
    return "training set" if split == "train" else f"{split} split"


def _them(count: int) -> str:
    return "this class" if count == 1 else "these classes"


def _list(names: list[str], notes: list[str]) -> str:
    """Return the first few names with their notes in parentheses, and the number of the others."""
    texts = [f"{name} ({note})" if note else name for name, note in zip(names, notes, strict=True)]
    count = len(texts) - _LISTED
    others = f" and {count} other class{'es' if count > 1 else ''}" if count > 0 else ""
    return ", ".join(texts[:_LISTED]) + others
