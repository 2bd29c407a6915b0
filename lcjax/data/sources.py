"""Named data sets to `Data`: checked, split, with the normalisation of the training part."""

from collections.abc import Callable

import jax
import numpy as np

from lcjax.data.driving import read_driving_folder
from lcjax.data.examples import Data, Examples
from lcjax.data.idx import read_idx_folder
from lcjax.data.libsvm import read_libsvm_splits
from lcjax.data.npz import read_npz
from lcjax.data.subsets import held_out_count, random_order, stratified_split
from lcjax.data.tfds import read_tfds

__all__ = ["load_data"]

Splits = dict[str, tuple[np.ndarray, np.ndarray]]

_KNOWN = "digits, idx:DIR, npz:FILE, libsvm:FILE, tfds:NAME, driving:DIR"
_TEST, _VALIDATION = 0, 1


def load_data(name: str, *, seed: int = 0, validation_fraction: float = 1 / 6, test_fraction: float = 0.2) -> Data:
    """Load a data set by name, split and with its normalisation.

    - `digits`: the 1,797 images of 8x8 that come with scikit-learn, values 0 to 16, 10 classes.
    - `idx:DIR`: an MNIST-like folder (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, each with or
      without .gz).
    - `npz:FILE`: a NumPy archive with `x_train`, `y_train` and perhaps `x_test`, `y_test`, `x_validation`,
      `y_validation`, or with `inputs`, `targets`. Floating targets make it a regression.
    - `libsvm:FILE`: a sparse text file of LIBSVM, compressed or not; FILE.t beside it is the test split. Whole labels
      (-1 and 1, or 1 to K) are classes. Values are taken as they are, not normalised: such sets are distributed scaled.
    - `tfds:NAME`: a set of TensorFlow Datasets, or a folder that holds a prepared one (see `lcjax.data.tfds`).
    - `driving:DIR`: a recorded drive; its split and balancing are ours and told in `lcjax.data.driving`.

    A split that the set itself comes with is kept. Where it has no test split, a random `test_fraction` is held out;
    where it has no validation split, a random `validation_fraction` of what is then left: 1,198 / 240 / 359 digits,
    50,000 / 10,000 / 10,000 MNIST images. For classes both are stratified: each class keeps its share to within one
    example. Examples stay in the order of the source.

    Labels become 0 to c - 1 in ascending order. Integers other than bytes and all floating inputs become float32.
    Normalisation (ours; the paper does not say): mean and standard deviation of the training part, one pair for each
    channel of an image and for each column of a table; constant columns are centred only.

    Args:
        name: "scheme" or "scheme:argument" as above.
        seed: of every random split.
        validation_fraction: see above, in (0, 1).
        test_fraction: see above, in (0, 1).

    Returns:
        `Data` with host arrays: inputs `(n, ...)` uint8 or float32, targets `(n,)` int32 classes or float32 values,
        `tolerance` 0.1 in the units of the targets.

    Raises:
        ValueError: unknown name, unreadable or inconsistent file, inputs and targets of different lengths, values
            that are not finite, or one class only.
        OSError: a file or folder is missing, or a TFDS set can be had neither from disk nor from the network.

    Examples:
        >>> data = load_data("digits")
        >>> data.train.inputs.shape, data.validation.inputs.shape, data.test.inputs.shape, data.classes
        ((1198, 8, 8, 1), (240, 8, 8, 1), (359, 8, 8, 1), 10)
    """
    for label, fraction in (("validation", validation_fraction), ("test", test_fraction)):
        if not 0 < fraction < 1:
            raise ValueError(f"{label}_fraction must lie between 0 and 1, got {fraction}.")
    scheme, _, argument = name.partition(":")
    if scheme == "driving" and argument:
        splits = read_driving_folder(
            argument, seed=seed, validation_fraction=validation_fraction, test_fraction=test_fraction
        )
    elif scheme in _READERS and argument:
        splits = _READERS[scheme](argument)
    elif name == "digits":
        splits = _read_digits()
    else:
        raise ValueError(f"Unknown data set {name!r}; known are {_KNOWN}.")

    splits = {split: _checked(f"{name} ({split})", *pair) for split, pair in splits.items()}
    classes, splits = _number_classes(name, splits)
    key = jax.random.key(seed)
    for part, stream, fraction in (("test", _TEST, test_fraction), ("validation", _VALIDATION, validation_fraction)):
        if part not in splits:
            kept, held_out = _split(jax.random.fold_in(key, stream), splits["train"][1], classes, fraction)
            inputs, targets = splits["train"]
            splits |= {"train": (inputs[kept], targets[kept]), part: (inputs[held_out], targets[held_out])}
    _check_agreement(name, splits, classes)
    offset, scale = (0.0, 1.0) if scheme == "libsvm" else _normalisation(splits["train"][0])
    train, validation, test = (Examples(*splits[part]) for part in ("train", "validation", "test"))
    return Data(train, validation, test, offset, scale, classes=classes, name=name)


def _read_digits() -> Splits:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return {"train": (bunch.images[..., None].astype(np.uint8), bunch.target)}


_READERS: dict[str, Callable[[str], Splits]] = {
    "idx": read_idx_folder,
    "npz": read_npz,
    "libsvm": read_libsvm_splits,
    "tfds": read_tfds,
}


def _checked(where: str, inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if inputs.ndim < 2 or inputs.dtype.kind not in "biuf":
        raise ValueError(
            f"{where}: inputs must be numbers with one row an example, got {inputs.dtype} of shape {inputs.shape}."
        )
    if targets.ndim != 1 or targets.dtype.kind not in "biuf":
        raise ValueError(
            f"{where}: targets must be one number an example, got {targets.dtype} of shape {targets.shape}."
        )
    if len(inputs) != len(targets):
        raise ValueError(f"{where}: {len(inputs)} inputs and {len(targets)} targets.")
    if 0 in inputs.shape:
        raise ValueError(f"{where}: inputs are empty, of shape {inputs.shape}.")
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


def _normalisation(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and reciprocal standard deviation, over all axes but columns (tables) or channels (images)."""
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
