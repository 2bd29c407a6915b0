"""Data sets from arrays in memory: checked, split, and normalized by the training set."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, Num, Shaped

from lcjax.data.examples import SPLITS, TOLERANCE, Data, Examples, Splits
from lcjax.data.groups import check_groups, split_by_group
from lcjax.data.streamed import Streamed, fetch_rows, take_rows
from lcjax.data.subsets import HoldOut, held_out_count, random_order, stratified_order, stratified_split
from lcjax.data.targets import flatten_targets, number_classes
from lcjax.typing import Array, KeyArray

__all__ = ["data_from_arrays", "limit_training", "moments", "split_data"]

_RESOLUTION = 1e-3  # largest rounding error of an input, in standard deviations
NORMALIZATION_SAMPLE = 4096  # streamed inputs that determine the normalization
_TEST, _VALIDATION, _LIMIT = 0, 1, 2  # random streams


def data_from_arrays(
    inputs: Num[Array, "n *shape"],
    targets: Shaped[Array, "n *_"],
    *,
    validation: tuple[Num[Array, "m *shape"], Shaped[Array, "m *_"]] | None = None,
    test: tuple[Num[Array, "k *shape"], Shaped[Array, "k *_"]] | None = None,
    seed: int = 0,
    validation_fraction: float = 1 / 6,
    test_fraction: float = 0.2,
    normalize: bool = True,
    groups: Shaped[Array, " _"] | None = None,
    name: str = "arrays",
    regression: bool | None = None,
    tolerance: float = TOLERANCE,
) -> Data:
    """Make a data set from arrays: check, split, number and normalize them as `load_data` does.

    Integers, text and one-hot rows are classes; floating targets make it a regression, unless `regression` decides.

    Args:
        inputs: one row per example: a table `(n, columns)` or images `(n, height, width, channels)`. Bytes stay bytes,
            other numbers become float32; from a column that varies too little about its mean for float32, such as
            seconds since 1970, the mean is subtracted first.
        targets: one number or text per example, `(n,)` or `(n, 1)`, or one-hot rows `(n, c)`.
        validation: inputs and targets of the validation split, if there is one.
        test: inputs and targets of the test split, if there is one.
        seed: seed of every random split.
        validation_fraction: see `load_data`, in (0, 1).
        test_fraction: see `load_data`, in (0, 1).
        normalize: normalize the inputs of a model.
        groups: group of each example, such as a person, `(n,)`, numbers or strings; no group is then in two of the
            splits that are made here (`split_by_group`), and their sizes are near the fractions only.
        name: name of the data set in messages and results.
        regression: True for a regression on integers, False for classes given as whole floating numbers.
        tolerance: regression only: a prediction further than this from its target counts as an error.

    Returns:
        `Data` with host arrays: inputs `(n, *shape)` uint8 or float32, targets `(n,)` int32 from 0 to c - 1, or float32
        for regression, where `classes` is 0 and `target_offset` and `target_scale` are mean and standard deviation of
        the training targets.

    Raises:
        ValueError: inputs are empty or not numbers with one row per example, targets are not one number per example,
            inputs and targets differ in length, values are not finite,
            integers have so many values that they are hardly classes, there is only one class or one with too few
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
    return split_data(
        splits, name, hold_out, normalize=normalize, groups=groups, regression=regression, tolerance=tolerance
    )


def split_data(
    splits: Splits,
    name: str,
    hold_out: HoldOut,
    *,
    normalize: bool,
    groups: Shaped[Array, " _"] | None = None,
    regression: bool | None = None,
    tolerance: float = TOLERANCE,
    notes: tuple[str, ...] = (),
    encode: Callable[[Splits], tuple[Splits, tuple[str, ...]]] | None = None,
) -> Data:
    """Complete the splits of a source to a data set; see `data_from_arrays` and `Source`."""
    if not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance must be a positive number in the units of the targets, got {tolerance}.")
    splits = {split: _check_split(f"{name} ({split})", *pair) for split, pair in splits.items()}
    if encode is None:
        splits = _to_float32(name, splits, normalize=normalize)
    classes, splits = number_classes(name, splits, regression)
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
    if encode is not None:
        encoded, more = encode(splits)
        splits, notes = _to_float32(name, encoded, normalize=normalize), (*notes, *more)
    _check_agreement(name, splits, classes)
    offset, scale = _normalization(splits["train"][0]) if normalize else (0.0, 1.0)
    train, validation, test = (Examples(*splits[part], members.get(part)) for part in SPLITS)
    target_offset, target_scale = (0.0, 1.0) if classes else _standardization(np.asarray(train.targets))
    at_random = groups is None and len(missing) == len(choices)
    return Data(
        train,
        validation,
        test,
        offset,
        scale,
        classes=classes,
        tolerance=tolerance,
        target_offset=target_offset,
        target_scale=target_scale,
        name=name,
        split_at_random=at_random,
        notes=notes,
    )


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
    parts: Sequence[Num[np.ndarray, "_ *shape"]], axes: tuple[int, ...], *, resolution: float = 1e-6
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return mean and standard deviation over some axes of arrays that belong together; 1 where nothing varies.

    Two passes in parts need neither a float64 copy of all inputs nor a difference of large sums.

    Args:
        parts: arrays that differ in length only.
        axes: axes to average over, the first among them.
        resolution: deviation relative to the mean up to which values count as constant.

    Examples:
        >>> moments([np.array([[1.0, 5.0]]), np.array([[3.0, 5.0]])], (0,))
        (array([2., 5.]), array([1., 1.]))
    """
    count = sum(np.prod([part.shape[axis] for axis in axes]) for part in parts)
    mean = sum(part.sum(axis=axes, dtype=np.float64) for part in parts) / count
    variance = sum(np.square(part - mean).sum(axis=axes) for part in parts) / count
    constant = variance <= (resolution * np.abs(mean)) ** 2
    return mean, np.sqrt(np.where(constant, 1, variance))


def _check_split(
    place: str, inputs: np.ndarray | Streamed, targets: np.ndarray
) -> tuple[np.ndarray | Streamed, np.ndarray]:
    if inputs.ndim < 2 or inputs.dtype.kind not in "biuf":
        raise ValueError(
            f"{place}: inputs must be numbers with one row per example, got {inputs.dtype} of shape {inputs.shape}."
        )
    if inputs.ndim == 4 and inputs.shape[1] in (1, 3) and min(inputs.shape[2:]) > 4:
        raise ValueError(
            f"{place}: inputs of shape {inputs.shape} have their channels first; images are (n, height, width, "
            "channels): use np.moveaxis(inputs, 1, -1)."
        )
    targets = flatten_targets(place, targets)
    if len(inputs) != len(targets):
        raise ValueError(f"{place}: {len(inputs)} inputs and {len(targets)} targets.")
    if 0 in inputs.shape:
        raise ValueError(f"{place}: inputs are empty, of shape {inputs.shape}.")
    for label, values in (("inputs", inputs), ("targets", targets)):
        if isinstance(values, Streamed) or values.dtype.kind != "f":
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # values beyond float32 are refused
            finite = np.isfinite(values.astype(np.float32, copy=False)).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            rows = np.flatnonzero(~finite)
            raise ValueError(f"{place}: {rows.size} rows of the {label} are not finite, the first is row {rows[0]}.")
    return inputs, targets


def _to_float32(name: str, splits: Splits, *, normalize: bool) -> Splits:
    """Cast inputs other than bytes to float32, after subtracting the mean of columns whose digits would be lost."""
    train = splits["train"][0]
    offset = np.zeros(())
    if not isinstance(train, Streamed) and train.dtype.itemsize > 2 and train.dtype != np.float32:
        rows = _by_column(train).astype(np.float64, copy=False)
        slices = [rows[start : start + 2**16] for start in range(0, len(rows), 2**16)]
        mean, deviation = moments(slices, (0,), resolution=1e-12)
        rounding = np.max([np.abs(part - part.astype(np.float32)).max(axis=0) for part in slices], axis=0)
        lost = (rounding > _RESOLUTION * deviation) & (np.abs(mean) > deviation)
        if lost.any() and not normalize:
            column = int(np.argmax(lost))
            raise ValueError(
                f"{name}: column {column} of the inputs varies by {deviation[column]:.3g} about {mean[column]:.6g}, "
                "which float32 does not resolve; subtract its mean."
            )
        offset = np.where(lost, mean, 0)
    return {
        split: (inputs if isinstance(inputs, Streamed) or inputs.dtype == np.uint8 else _shift(inputs, offset), targets)
        for split, (inputs, targets) in splits.items()
    }


def _shift(inputs: np.ndarray, offset: np.ndarray) -> np.ndarray:
    if not np.any(offset) or offset.size not in (1, inputs.shape[-1]):  # the splits' shapes are compared later
        return inputs.astype(np.float32)
    return np.asarray(inputs - offset, np.float32)


def _by_column(inputs: np.ndarray) -> np.ndarray:
    """Return a table of columns, for images of channels."""
    return inputs.reshape(-1, inputs.shape[-1] if inputs.ndim != 3 else 1)


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


def _standardization(targets: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return mean and standard deviation of targets."""
    mean, deviation = moments([targets[:, None]], (0,))
    return float(mean[0]), float(deviation[0])


def _normalization(inputs: np.ndarray | Streamed) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return mean and reciprocal standard deviation over all axes except columns (tables) or channels (images)."""
    if isinstance(inputs, Streamed):  # sampled at even spacing
        inputs = fetch_rows(inputs, np.unique(np.linspace(0, len(inputs) - 1, NORMALIZATION_SAMPLE).astype(int)))
    if inputs.ndim == 3:
        inputs = inputs[..., None]
    slices = [inputs[start : start + 4096] for start in range(0, len(inputs), 4096)]
    mean, deviation = moments(slices, tuple(range(inputs.ndim - 1)))
    return np.asarray(mean, np.float32), np.asarray(1 / deviation, np.float32)
