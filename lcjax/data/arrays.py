"""Arrays in memory to `Data`: checked, split, with the normalisation of the training part."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Num

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed, fetched, rows_of
from lcjax.data.subsets import held_out_count, random_order, stratified_order, stratified_split

__all__ = ["Splits", "check_fractions", "data_from_arrays", "limit_training", "split_data"]

Array = jax.Array | np.ndarray
Inputs = np.ndarray | Streamed
Splits = Mapping[str, tuple[Inputs, np.ndarray]]  # "train", "validation", "test" -> inputs and targets

SAMPLED = 4096  # streamed inputs that the normalisation is taken from
_TEST, _VALIDATION, _LIMIT = 0, 1, 2  # streams of random numbers


def data_from_arrays(
    inputs: Num[Array, "n *shape"],
    targets: Num[Array, " n"],
    *,
    validation: tuple[Num[Array, "m *shape"], Num[Array, " m"]] | None = None,
    test: tuple[Num[Array, "k *shape"], Num[Array, " k"]] | None = None,
    seed: int = 0,
    validation_fraction: float = 1 / 6,
    test_fraction: float = 0.2,
    normalise: bool = True,
    name: str = "arrays",
) -> Data:
    """Your own arrays as a task: checked, split, numbered and normalised as `load_data` does.

    Whole-numbered targets are classes and become 0 to c - 1 in ascending order; floating ones make it a regression.
    Where no test split is given, a random `test_fraction` is held out; where no validation split is given, a random
    `validation_fraction` of what is then left. For classes both are stratified: each class keeps its share to within
    one example. The normalisation is by mean and standard deviation of the training part, one pair for each channel
    of an image and for each column of a table; constant columns are centred only.

    Args:
        inputs: one row an example: a table `(n, columns)`, images `(n, height, width, channels)`. Bytes stay bytes,
            other numbers become float32.
        targets: one number an example.
        validation: inputs and targets of the validation split, if there is one.
        test: inputs and targets of the test split, if there is one.
        seed: of every random split.
        validation_fraction: see above, in (0, 1).
        test_fraction: see above, in (0, 1).
        normalise: whether a model sees normalised inputs.
        name: in messages and results.

    Returns:
        `Data` with host arrays.

    Raises:
        ValueError: inputs and targets of different lengths, values that are not finite, one class only, a label that
            training lacks, splits of different shapes, or a fraction outside (0, 1).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> data = data_from_arrays(rng.normal(5, 2, (100, 3)), np.repeat([1, 2], 50))
        >>> data.train.inputs.shape, data.validation.inputs.shape, data.test.inputs.shape, data.classes
        ((67, 3), (13, 3), (20, 3), 2)
    """
    given = {"train": (inputs, targets), "validation": validation, "test": test}
    splits: Splits = {
        split: (np.asarray(pair[0]), np.asarray(pair[1])) for split, pair in given.items() if pair is not None
    }
    return split_data(
        splits,
        name,
        seed=seed,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        normalise=normalise,
    )


def split_data(
    splits: Splits, name: str, *, seed: int, validation_fraction: float, test_fraction: float, normalise: bool
) -> Data:
    """The splits that a source has, completed to a task; see `data_from_arrays`."""
    check_fractions(validation_fraction, test_fraction)
    splits = {split: _checked(f"{name} ({split})", *pair) for split, pair in splits.items()}
    classes, splits = _number_classes(name, splits)
    key = jax.random.key(seed)
    for part, stream, fraction in (("test", _TEST, test_fraction), ("validation", _VALIDATION, validation_fraction)):
        if part not in splits:
            kept, held_out = _split(jax.random.fold_in(key, stream), splits["train"][1], classes, fraction)
            inputs, targets = splits["train"]
            splits = {
                **splits,
                "train": (rows_of(inputs, kept), targets[kept]),
                part: (rows_of(inputs, held_out), targets[held_out]),
            }
    _check_agreement(name, splits, classes)
    offset, scale = _normalisation(splits["train"][0]) if normalise else (0.0, 1.0)
    train, held_back, test = (Examples(*splits[part]) for part in ("train", "validation", "test"))
    return Data(train, held_back, test, offset, scale, classes=classes, name=name)


def limit_training(data: Data, size: int, *, seed: int = 0) -> Data:
    """The task as if only so many training examples were there; validation, test and normalisation stay.

    Args:
        data: the task.
        size: training examples to keep: balanced for classes, at random for regression; in the order of the source.
        seed: which ones; smaller sizes are subsets of larger ones.

    Raises:
        ValueError: the size is not between the number of classes (2 for regression) and the training set's.

    Examples:
        >>> import lcjax as lc
        >>> len(limit_training(lc.load_data("digits"), 300).train.targets)
        300
    """
    targets = np.asarray(data.train.targets)
    smallest = max(data.classes, 2)
    if not smallest <= size <= len(targets):
        raise ValueError(f"The training examples to use must be {smallest} to {len(targets)}, got {size}.")
    key = jax.random.fold_in(jax.random.key(seed), _LIMIT)
    order = stratified_order(key, targets) if data.classes else random_order(key, len(targets))
    index = np.sort(order[:size])
    return dataclasses.replace(data, train=Examples(rows_of(data.train.inputs, index), targets[index]))


def check_fractions(validation_fraction: float, test_fraction: float) -> None:
    """Refuse shares outside (0, 1)."""
    for label, fraction in (("validation", validation_fraction), ("test", test_fraction)):
        if not 0 < fraction < 1:
            raise ValueError(f"{label}_fraction must lie between 0 and 1, got {fraction}.")


def _checked(where: str, inputs: Inputs, targets: np.ndarray) -> tuple[Inputs, np.ndarray]:
    if inputs.ndim < 2 or inputs.dtype.kind not in "biuf":
        raise ValueError(
            f"{where}: inputs must be numbers with one row an example, got {inputs.dtype} of shape {inputs.shape}."
        )
    if targets.ndim != 1 or targets.dtype.kind not in "biuf":
        raise ValueError(
            f"{where}: targets must be one number an example, got {targets.dtype} of shape {targets.shape}; "
            "give classes as whole numbers."
        )
    if len(inputs) != len(targets):
        raise ValueError(f"{where}: {len(inputs)} inputs and {len(targets)} targets.")
    if 0 in inputs.shape:
        raise ValueError(f"{where}: inputs are empty, of shape {inputs.shape}.")
    if isinstance(inputs, Streamed):
        return inputs, targets
    if inputs.dtype != np.uint8:
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            inputs = inputs.astype(np.float32)
    for what, values in (("inputs", inputs), ("targets", targets)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            rows = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            raise ValueError(f"{where}: {rows.size} rows of the {what} are not finite, the first is row {rows[0]}.")
    return inputs, targets


def _number_classes(name: str, splits: Splits) -> tuple[int, Splits]:
    kinds = {split: targets.dtype.kind == "f" for split, (_, targets) in splits.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError(f"{name}: targets are floating in some splits and integers in others.")
    if kinds["train"]:
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


def _split(key: jax.Array, targets: np.ndarray, classes: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    if classes:
        return stratified_split(key, targets, fraction)
    count = held_out_count(targets.size, fraction)
    order = random_order(key, targets.size)
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


def _normalisation(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and reciprocal standard deviation, over all axes but columns (tables) or channels (images).

    Of streamed inputs: of a sample, evenly spaced.
    """
    if isinstance(inputs, Streamed):
        inputs = fetched(inputs, np.unique(np.linspace(0, len(inputs) - 1, SAMPLED).astype(int)))
    if inputs.ndim == 3:
        inputs = inputs[..., None]
    axes = tuple(range(inputs.ndim - 1))
    count = np.prod([inputs.shape[axis] for axis in axes])
    # Two passes in slices: neither a float64 copy of the images nor a difference of large sums.
    slices = [slice(start, start + 4096) for start in range(0, len(inputs), 4096)]
    mean = sum(inputs[s].sum(axis=axes, dtype=np.float64) for s in slices) / count
    variance = sum(np.square(inputs[s] - mean).sum(axis=axes) for s in slices) / count
    constant = variance <= (1e-6 * np.abs(mean)) ** 2
    scale = 1 / np.sqrt(np.where(constant, 1, variance))
    return np.asarray(mean, np.float32), np.asarray(scale, np.float32)
