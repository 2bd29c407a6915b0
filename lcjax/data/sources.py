"""Named data sets to `Data`: checked, split, with the normalisation of the training part."""

from collections.abc import Callable

import numpy as np

from lcjax.data.arrays import Splits, check_fractions, split_data
from lcjax.data.examples import Data
from lcjax.data.readers.cifar import read_cifar10, read_cifar100
from lcjax.data.readers.driving import read_driving_folder
from lcjax.data.readers.idx import read_idx_folder
from lcjax.data.readers.libsvm import read_libsvm_splits
from lcjax.data.readers.npz import read_npz
from lcjax.data.readers.tfds import read_tfds

__all__ = ["load_data"]

_KNOWN = "digits, idx:DIR, cifar10:DIR, cifar100:DIR, npz:FILE, libsvm:FILE, tfds:NAME, driving:DIR"


def load_data(name: str, *, seed: int = 0, validation_fraction: float = 1 / 6, test_fraction: float = 0.2) -> Data:
    """Load a data set by name, split and with its normalisation.

    - `digits`: the 1,797 images of 8x8 that come with scikit-learn, values 0 to 16, 10 classes.
    - `idx:DIR`: an MNIST-like folder (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, each with or
      without .gz).
    - `cifar10:DIR`, `cifar100:DIR`: CIFAR's own files, of the binary or the Python layout; CIFAR-100's fine labels.
    - `npz:FILE`: a NumPy archive with `x_train`, `y_train` and perhaps `x_test`, `y_test`, `x_validation`,
      `y_validation`, or with `inputs`, `targets`. Floating targets make it a regression.
    - `libsvm:FILE`: a sparse text file of LIBSVM, compressed or not; FILE.t beside it is the test split. Whole labels
      (-1 and 1, or 1 to K) are classes. Values are taken as they are, not normalised: such sets are distributed scaled.
    - `tfds:NAME`: a set of TensorFlow Datasets, or a folder that holds a prepared one (see `lcjax.data.readers.tfds`).
    - `driving:DIR`: a recorded drive; its split and balancing are ours and told in `lcjax.data.readers.driving`.

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
    check_fractions(validation_fraction, test_fraction)
    scheme, _, argument = name.partition(":")
    splits: Splits
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

    return split_data(
        splits,
        name,
        seed=seed,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        normalise=scheme != "libsvm",
    )


def _read_digits() -> Splits:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return {"train": (bunch.images[..., None].astype(np.uint8), bunch.target)}


_READERS: dict[str, Callable[[str], Splits]] = {
    "idx": read_idx_folder,
    "cifar10": read_cifar10,
    "cifar100": read_cifar100,
    "npz": read_npz,
    "libsvm": read_libsvm_splits,
    "tfds": read_tfds,
}
