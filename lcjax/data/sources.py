"""Data sets by name."""

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from lcjax.data.arrays import split_data
from lcjax.data.examples import TOLERANCE, Data, Source, Splits
from lcjax.data.objects import object_name, source_from_object
from lcjax.data.readers.cifar import read_cifar10, read_cifar100
from lcjax.data.readers.driving import read_driving_folder
from lcjax.data.readers.files import read_lines
from lcjax.data.readers.idx import read_idx_folder
from lcjax.data.readers.images import read_image_folder
from lcjax.data.readers.libsvm import read_libsvm_splits
from lcjax.data.readers.npz import read_npz, read_npz_array
from lcjax.data.readers.tables import read_table_source, split_options
from lcjax.data.readers.tfds import read_tfds
from lcjax.data.subsets import HoldOut
from lcjax.files import reading
from lcjax.typing import PathLike

__all__ = ["load_data"]

_READERS: dict[str, tuple[str, Callable[[str], Splits | Source]]] = {  # scheme -> kind of argument, reader
    "idx": ("DIR", read_idx_folder),
    "cifar10": ("DIR", read_cifar10),
    "cifar100": ("DIR", read_cifar100),
    "csv": ("FILE", read_table_source),
    "parquet": ("FILE", read_table_source),
    "images": ("DIR", read_image_folder),
    "npz": ("FILE", read_npz),
    "libsvm": ("FILE", read_libsvm_splits),
    "tfds": ("NAME", read_tfds),
}
_TABLES = ("csv", "parquet")
_LABELED = ("idx", "cifar10", "cifar100")  # formats whose integers are classes, however many


def load_data(
    name: Any,
    *,
    seed: int = 0,
    validation_fraction: float = 1 / 6,
    test_fraction: float = 0.2,
    groups: str | None = None,
    regression: bool | None = None,
    tolerance: float = TOLERANCE,
    target_column: str | None = None,
) -> Data:
    """Load a data set by name, or from an object, split and with its normalization.

    - `digits`: the 1,797 images of 8x8 in scikit-learn, values 0 to 16, 10 classes.
    - `idx:DIR`: an MNIST-like folder (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...` or `test-...`,
      each with or without .gz).
    - `cifar10:DIR`, `cifar100:DIR`: CIFAR's own files, in binary or Python layout; CIFAR-100 has its fine labels.
    - `csv:FILE?target=NAME`, `parquet:FILE?target=NAME`: a table with a header row, or a folder with `train`, `test`
      and `validation` tables. Encoding and imputation are fitted to the training rows and described in `notes`
      (`lcjax.data.readers.tables`, `lcjax.data.encoding`).
    - `images:DIR`, `images:DIR?size=64`: images in a folder for each class (`lcjax.data.readers.images`).
    - `npz:FILE`: a NumPy archive with `x_train`, `y_train` and perhaps `x_test`, `y_test`, `x_validation`,
      `y_validation`, or with `inputs`, `targets`. Floating targets make it a regression.
    - `libsvm:FILE`: a sparse text file of LIBSVM, compressed or not; FILE.t beside it is the test split. Whole labels
      (-1 and 1, or 1 to K) are classes, unless `regression` is True. Values are not normalized, because such sets are
      distributed scaled. Of hashed indices only the columns that occur are kept.
    - `tfds:NAME`: a set of TensorFlow Datasets, or a folder with a prepared one (see `lcjax.data.readers.tfds`).
    - `driving:DIR`: a recorded drive; `lcjax.data.readers.driving` describes our split and balancing.

    A split that the set comes with is kept. Without a test split, a random `test_fraction` is held out; without a
    validation split, a random `validation_fraction` of the remainder: 1,198 / 240 / 359 digits,
    50,000 / 10,000 / 10,000 MNIST images. For classes both are stratified: each class keeps its share to within one
    example. Examples stay in the order of the source.

    Labels become 0 to c - 1 in ascending order. Integers other than bytes and all floating inputs become float32.
    Normalization (ours; the paper does not describe it): mean and standard deviation of the training set, one pair for
    each channel of an image and for each column of a table; constant columns are only centered.

    Args:
        name: "scheme" or "scheme:argument" as above; or a scikit-learn Bunch, a Hugging Face Dataset or a
            dictionary of them by split, a data frame, or a pair of inputs and targets.
        seed: seed of every random split.
        validation_fraction: see above, in (0, 1).
        test_fraction: see above, in (0, 1).
        groups: name of an array of an `npz:FILE`, or of a column of a table, with the group of each training example,
            such as a person or a site; no group is then in two of the random splits, whose sizes are near the
            fractions only.
        regression: True to predict whole numbers as quantities, False to take whole floating targets as classes; by
            default integers and text are classes, and floating targets make it a regression.
        tolerance: regression only: a prediction further than this from its target counts as an error; in the units of
            the targets.
        target_column: column of the targets of a table or a data set of Hugging Face, as `?target=NAME`.

    Returns:
        `Data` with host arrays: inputs `(n, ...)` uint8 or float32, targets `(n,)` int32 classes or float32 values.

    Raises:
        ValueError: the name is unknown, a file is unreadable or inconsistent, inputs and targets differ in length,
            values are not finite, there is only one class, whole numbers are hardly classes, a file takes more memory
            than allowed (`lcjax.data.readers.files.memory_limit`), or there are no groups of that name or too few.
        OSError: a file or folder is missing, or a TFDS set is neither on disk nor reachable by network.

    Examples:
        >>> data = load_data("digits")
        >>> data.train.inputs.shape, data.validation.inputs.shape, data.test.inputs.shape, data.classes
        ((1198, 8, 8, 1), (240, 8, 8, 1), (359, 8, 8, 1), 10)
    """
    hold_out = HoldOut(seed, validation_fraction, test_fraction)
    if isinstance(name, str):
        source, label = _source_of_name(name, hold_out, target_column, groups), name
    else:
        source, label = source_from_object(name, target_column, groups), object_name(name)
    scheme = label.partition(":")[0]
    if regression is None and (label == "digits" or scheme in _LABELED):
        regression = False
    settings: dict[str, Any] = {"regression": regression, "tolerance": tolerance, "notes": source.notes}
    settings |= {"normalize": scheme != "libsvm", "groups": source.members, "encode": source.encode}
    return split_data(source.splits, label, hold_out, **settings)


def _source_of_name(name: str, hold_out: HoldOut, target_column: str | None, groups: str | None) -> Source:
    """Return the source of a name, with the groups of its training examples."""
    scheme, _, argument = name.partition(":")
    if ((scheme not in _READERS and scheme != "driving") or not argument) and name != "digits":
        known = ", ".join(f"{scheme}:{kind}" for scheme, (kind, _) in _READERS.items())
        raise ValueError(f"Unknown data set {name!r}; known are digits, {known}, driving:DIR.")
    if scheme in _TABLES:
        return _read_table(argument, target_column, groups)
    if target_column is not None:
        raise ValueError(f"target_column is for tables (csv:FILE, parquet:FILE); {name!r} has no columns by name.")
    source = read_source(scheme, argument, hold_out)
    if groups is None:
        return source
    if scheme != "npz":
        raise ValueError(
            f"Groups are an array of a NumPy archive (npz:FILE) or a column of a table (csv:FILE); {name!r} has none "
            f"named {groups!r}."
        )
    return dataclasses.replace(source, members=read_npz_array(argument, groups))


def _read_table(argument: str, target_column: str | None, groups: str | None) -> Source:
    path, given = split_options(argument)
    if target_column is not None:
        if given.get("target", target_column) != target_column:
            raise ValueError(
                f"{path}: target_column={target_column!r}, but ?target={given['target']}; give one of them."
            )
        argument = f"{path}?{urlencode({**given, 'target': target_column})}"
    return read_table_source(argument, groups)


def read_source(scheme: str, argument: str, hold_out: HoldOut) -> Source:
    """Return the splits that a source comes with; see `load_data`.

    Raises:
        ValueError: the source is unreadable.
        OSError: a file or folder is missing.
    """
    if scheme == "digits":
        return Source(_read_digits_file(argument) if argument else _read_digits())
    splits = read_driving_folder(argument, hold_out) if scheme == "driving" else _READERS[scheme][1](argument)
    return splits if isinstance(splits, Source) else Source(splits)


def _read_digits() -> Splits:
    """Read scikit-learn's digits from its file, because importing its data sets takes a second."""
    package = importlib.util.find_spec("sklearn")
    folders = [] if package is None else package.submodule_search_locations or []
    files = [file for folder in folders if (file := Path(folder, "datasets", "data", "digits.csv.gz")).exists()]
    if files:
        return _read_digits_file(files[0])
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return {"train": (bunch.images[..., None].astype(np.uint8), bunch.target)}


def _read_digits_file(path: PathLike) -> Splits:
    with reading(path):
        table = np.loadtxt(read_lines(path, encoding="ascii"), delimiter=",", dtype=np.uint8, ndmin=2)
        if table.shape[1] != 65:
            raise ValueError(f"it has {table.shape[1]} columns, not 64 pixels and a label")
        return {"train": (table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1].astype(int))}
