"""Data sets from arrays in memory: checked, split, and normalized by the training set."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, Num, Shaped

from lcjax.data.examples import SPLITS, Data, Examples, Splits
from lcjax.data.groups import check_groups, split_by_group
from lcjax.data.streamed import Streamed, fetch_rows, take_rows
from lcjax.data.subsets import HoldOut, held_out_count, random_order, stratified_order, stratified_split
from lcjax.typing import Array, KeyArray

__all__ = ["data_from_arrays", "limit_training", "moments", "split_data"]

NORMALIZATION_SAMPLE = 4096  # streamed inputs that determine the normalization
_TEST, _VALIDATION, _LIMIT = 0, 1, 2  # random streams


def data_from_arrays(
    inputs: Num[Array, "n *shape"],
    targets: Num[Array, " n"],
    *,
    validation: tuple[Num[Array, "m *shape"], Num[Array, " m"]] | None = None,
    test: tuple[Num[Array, "k *shape"], Num[Array, " k"]] | None = None,
    seed: int = 0,
    validation_fraction: float = 1 / 6,
    test_fraction: float = 0.2,
    normalize: bool = True,
    groups: Shaped[Array, " _"] | None = None,
    name: str = "arrays",
) -> Data:
    """Make a data set from arrays: check, split, number and normalize them as `load_data` does.

    Integer targets are classes; floating targets make it a regression.

    Args:
        inputs: one row per example: a table `(n, columns)` or images `(n, height, width, channels)`. Bytes stay bytes,
            other numbers become float32.
        targets: one number per example.
        validation: inputs and targets of the validation split, if there is one.
        test: inputs and targets of the test split, if there is one.
        seed: seed of every random split.
        validation_fraction: see `load_data`, in (0, 1).
        test_fraction: see `load_data`, in (0, 1).
        normalize: normalize the inputs of a model.
        groups: group of each example, such as a person, `(n,)`, numbers or strings; no group is then in two of the
            splits that are made here (`split_by_group`), and their sizes are near the fractions only.
        name: name of the data set in messages and results.

    Returns:
        `Data` with host arrays: inputs `(n, *shape)` uint8 or float32, targets `(n,)` int32 from 0 to c - 1, or float32
        for regression, where `classes` is 0.

    Raises:
        ValueError: inputs are empty or not numbers with one row per example, targets are not one number per example,
            inputs and targets differ in length, values are not finite, there is only one class or one with too few
            examples for every split, a label does not occur in training, splits differ in shape or in the kind of
            numbers, there are fewer groups than splits to make, or a fraction is outside (0, 1).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> data = data_from_arrays(rng.normal(5, 2, (100, 3)), np.repeat([1, 2], 50))
        >>> data.train.inputs.shape, data.validation.inputs.shape, data.test.inputs.shape, data.classes
        ((67, 3), (13, 3), (20, 3), 2)
    """
    hold_out = HoldOut(seed, validation_fraction, test_fraction)
    pairs = {"train": (inputs, targets), "validation": validation, "test": test}
    splits = {split: (np.asarray(pair[0]), np.asarray(pair[1])) for split, pair in pairs.items() if pair is not None}
    return split_data(splits, name, hold_out, normalize=normalize, groups=groups)


def split_data(
    splits: Splits, name: str, hold_out: HoldOut, *, normalize: bool, groups: Shaped[Array, " _"] | None = None
) -> Data:
    """Complete the splits of a source to a data set; see `data_from_arrays`."""
    splits = {split: _check_split(f"{name} ({split})", *pair) for split, pair in splits.items()}
    classes, splits = _number_classes(name, splits)
    key = jax.random.key(hold_out.seed)
    choices = (("test", _TEST, hold_out.test_fraction), ("validation", _VALIDATION, hold_out.validation_fraction))
    missing = [choice for choice in choices if choice[0] not in splits]
    members: dict[str, Int[np.ndarray, " _"]] = {}
    if groups is not None:
        check_groups(np.asarray(groups), len(splits["train"][1]), parts=1 + len(missing), name=name)
        members["train"] = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int32)
    for later, (part, stream, fraction) in zip(reversed(range(len(missing))), missing, strict=True):
        inputs, targets = splits["train"]
        key_part = jax.random.fold_in(key, stream)
        if groups is None:
            rest, held_out = _split(key_part, targets, classes, fraction)
        else:
            labels = targets if classes else None
            member = members["train"]
            rest, held_out = split_by_group(key_part, member, fraction, labels=labels, remain=1 + later)
            members |= {"train": member[rest], part: member[held_out]}
        remainder = take_rows(inputs, rest), targets[rest]
        splits = {**splits, "train": remainder, part: (take_rows(inputs, held_out), targets[held_out])}
    _check_agreement(name, splits, classes)
    offset, scale = _normalization(splits["train"][0]) if normalize else (0.0, 1.0)
    train, validation, test = (Examples(*splits[part], members.get(part)) for part in SPLITS)
    at_random = groups is None and len(missing) == len(choices)
    return Data(train, validation, test, offset, scale, classes=classes, name=name, split_at_random=at_random)


def limit_training(data: Data, size: int, *, seed: int = 0) -> Data:
    """Restrict the training set to some of its examples; validation, test and normalization are unchanged.

    Args:
        data: the data set.
        size: number of training examples: balanced for classes, random for regression; in the order of the source.
        seed: seed of the choice; smaller sizes are subsets of larger ones.

    Raises:
        ValueError: `size` is not between the number of classes (2 for regression) and the size of the training set.

    Examples:
        >>> import lcjax as lc
        >>> len(limit_training(lc.load_data("digits"), 300).train.targets)
        300
    """
    targets = np.asarray(data.train.targets)
    smallest = max(data.classes, 2)
    if not smallest <= size <= len(targets):
        raise ValueError(f"The number of training examples must be {smallest} to {len(targets)}, got {size}.")
    key = jax.random.fold_in(jax.random.key(seed), _LIMIT)
    order = stratified_order(key, targets) if data.classes else random_order(key, len(targets))
    index = np.sort(order[:size])
    groups = None if data.train.groups is None else np.asarray(data.train.groups)[index]
    return dataclasses.replace(data, train=Examples(take_rows(data.train.inputs, index), targets[index], groups))


def moments(
    parts: Sequence[Num[np.ndarray, "_ *shape"]], axes: tuple[int, ...]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return mean and standard deviation over some axes of arrays that belong together; 1 where nothing varies.

    Two passes in parts need neither a float64 copy of all inputs nor a difference of large sums.

    Args:
        parts: arrays that differ in length only.
        axes: axes to average over, the first among them.

    Examples:
        >>> moments([np.array([[1.0, 5.0]]), np.array([[3.0, 5.0]])], (0,))
        (array([2., 5.]), array([1., 1.]))
    """
    count = sum(np.prod([part.shape[axis] for axis in axes]) for part in parts)
    mean = sum(part.sum(axis=axes, dtype=np.float64) for part in parts) / count
    variance = sum(np.square(part - mean).sum(axis=axes) for part in parts) / count
    constant = variance <= (1e-6 * np.abs(mean)) ** 2
    return mean, np.sqrt(np.where(constant, 1, variance))


def _check_split(
    place: str, inputs: np.ndarray | Streamed, targets: np.ndarray
) -> tuple[np.ndarray | Streamed, np.ndarray]:
    if inputs.ndim < 2 or inputs.dtype.kind not in "biuf":
        raise ValueError(
            f"{place}: inputs must be numbers with one row per example, got {inputs.dtype} of shape {inputs.shape}."
        )
    if targets.ndim != 1 or targets.dtype.kind not in "biuf":
        raise ValueError(
            f"{place}: targets must be one number per example, got {targets.dtype} of shape {targets.shape}; "
            "give classes as integers."
        )
    if len(inputs) != len(targets):
        raise ValueError(f"{place}: {len(inputs)} inputs and {len(targets)} targets.")
    if 0 in inputs.shape:
        raise ValueError(f"{place}: inputs are empty, of shape {inputs.shape}.")
    if isinstance(inputs, Streamed):
        return inputs, targets
    if inputs.dtype != np.uint8:
        with np.errstate(over="ignore"):  # values beyond float32 are refused below
            inputs = inputs.astype(np.float32)
    for label, values in (("inputs", inputs), ("targets", targets)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            rows = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            raise ValueError(f"{place}: {rows.size} rows of the {label} are not finite, the first is row {rows[0]}.")
    return inputs, targets


def _number_classes(name: str, splits: Splits) -> tuple[int, Splits]:
    floating = {targets.dtype.kind == "f" for _, targets in splits.values()}
    if len(floating) > 1:
        raise ValueError(f"{name}: targets are floating in some splits and integers in others.")
    if floating == {True}:
        return 0, {split: (inputs, targets.astype(np.float32)) for split, (inputs, targets) in splits.items()}
    labels = np.unique(splits["train"][1])
    if labels.size < 2:
        raise ValueError(f"{name} has one class only: every training label is {labels[0]}.")
    numbered = {}
    for split, (inputs, targets) in splits.items():
        unknown = np.setdiff1d(targets, labels)
        if unknown.size:
            raise ValueError(f"{name}: label {unknown[0]} of the {split} split does not occur in training.")
        numbered[split] = (inputs, np.searchsorted(labels, targets).astype(np.int32))
    return int(labels.size), numbered


def _split(
    key: KeyArray, targets: Num[np.ndarray, " n"], classes: int, fraction: float
) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " held_out"]]:
    if classes:
        return stratified_split(key, targets, fraction)
    count, order = held_out_count(targets.size, fraction), random_order(key, targets.size)
    return np.sort(order[count:]), np.sort(order[:count])


def _check_agreement(name: str, splits: Splits, classes: int) -> None:
    shapes = {split: inputs.shape[1:] for split, (inputs, _) in splits.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{name}: the splits differ in the shape of an input: {shapes}.")
    if len({inputs.dtype for inputs, _ in splits.values()}) > 1:
        raise ValueError(f"{name}: inputs are bytes in some splits and other numbers in others.")
    missing = np.setdiff1d(np.arange(classes), splits["train"][1])
    if missing.size:
        raise ValueError(f"{name}: class {missing[0]} has too few examples to be in every split.")


def _normalization(inputs: np.ndarray | Streamed) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return mean and reciprocal standard deviation over all axes except columns (tables) or channels (images)."""
    if isinstance(inputs, Streamed):  # sampled at even spacing
        inputs = fetch_rows(inputs, np.unique(np.linspace(0, len(inputs) - 1, NORMALIZATION_SAMPLE).astype(int)))
    if inputs.ndim == 3:
        inputs = inputs[..., None]
    slices = [inputs[start : start + 4096] for start in range(0, len(inputs), 4096)]
    mean, deviation = moments(slices, tuple(range(inputs.ndim - 1)))
    return np.asarray(mean, np.float32), np.asarray(1 / deviation, np.float32)
