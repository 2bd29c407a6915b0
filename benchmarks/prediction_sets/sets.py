"""Data sets and networks of the study, read from one folder."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

import lcjax as lc
from lcjax.data import Data
from lcjax.data.readers.files import read_bytes
from lcjax.data.readers.spectrogram import log_spectrogram, normalize_power
from lcjax.files import require_file
from lcjax.studies import Recipe, driving_recipe, lenet_recipe, mlp_recipe, quicknet_recipe
from lcjax.training import Budget

__all__ = [
    "CELLS",
    "CIFAR_TEST",
    "CIFAR_TRAIN",
    "MLP_EPOCHS",
    "SETS",
    "PredictionSet",
    "load_set",
    "make_recipe",
    "read_cifar10",
    "read_fsdd",
]

CIFAR_TRAIN, CIFAR_TEST = 13_500, 4_500
"""Numbers of the first training and test images of CIFAR-10 that the study uses, so that the copy is small."""

CELLS = 20
"""Parts of the duration of a spoken digit, and bands of its frequencies."""

MLP_EPOCHS = 20
"""Least epochs of the perceptrons, because the 3,000 steps of their recipe are less than one epoch of MNIST."""


@dataclasses.dataclass(frozen=True)
class PredictionSet:
    """A pair of data set and network.

    Attributes:
        data: name of the data set, the same for all networks trained on it.
        source: argument of `lc.load_data` with `{folder}` for the folder; empty for a set with a reader of its own.
        title: title of the data set in tables and figures.
        network: title of the network in tables and figures.
        recipe: function that returns the recipe of the network.
    """

    data: str
    source: str
    title: str
    network: str
    recipe: Callable[[Data], Recipe]


def perceptron_recipe(data: Data) -> Recipe:
    """Return the recipe of the perceptron with at least `MLP_EPOCHS` epochs."""
    return mlp_recipe(data).with_budget(epochs=MLP_EPOCHS)


SETS = {
    "digits": PredictionSet("digits", "digits", "digits", "MLP", perceptron_recipe),
    "mnist-lenet": PredictionSet("mnist", "idx:{folder}/mnist", "MNIST", "LeNet", lenet_recipe),
    "mnist-mlp": PredictionSet("mnist", "idx:{folder}/mnist", "MNIST", "MLP", perceptron_recipe),
    "cifar10": PredictionSet("cifar10", "", "CIFAR-10", "quick net", quicknet_recipe),
    "a9a": PredictionSet("a9a", "libsvm:{folder}/a9a/a9a.gz", "a9a", "MLP", perceptron_recipe),
    "w8a": PredictionSet("w8a", "libsvm:{folder}/w8a/w8a.gz", "w8a", "MLP", perceptron_recipe),
    "dna": PredictionSet("dna", "libsvm:{folder}/dna/dna.scale.gz", "dna", "MLP", perceptron_recipe),
    "connect4": PredictionSet(
        "connect4", "libsvm:{folder}/connect4/connect-4.2class.gz", "connect-4", "MLP", perceptron_recipe
    ),
    "fsdd": PredictionSet("fsdd", "", "spoken digits", "MLP", perceptron_recipe),
    "cancer": PredictionSet("cancer", "", "breast cancer", "MLP", perceptron_recipe),
    "driving": PredictionSet("driving", "driving:{folder}/driving", "driving", "driving net", driving_recipe),
}
"""Sets by name, in the order of the tables."""


def load_set(folder: Path, name: str) -> Data:
    """Load the data of a set, under a name that does not depend on the folder, as it is part of the runs' identity."""
    entry = SETS[name]
    if entry.source:
        data = lc.load_data(entry.source.format(folder=folder))
    elif name == "cancer":
        inputs, labels = load_breast_cancer(return_X_y=True)
        data = lc.data_from_arrays(((inputs - inputs.mean(0)) / inputs.std(0)).astype(np.float32), labels)
    else:
        fsdd = name == "fsdd"
        train, test = read_fsdd(folder / "fsdd") if fsdd else read_cifar10(folder / "cifar10", CIFAR_TRAIN, CIFAR_TEST)
        data = lc.data_from_arrays(*train, test=test)
    return dataclasses.replace(data, name=entry.data)


def make_recipe(data: Data, name: str, *, steps: int | None = None) -> Recipe:
    """Return the recipe of a set, or one with few steps for tests."""
    recipe = SETS[name].recipe(data)
    if steps is None:
        return recipe
    return dataclasses.replace(recipe.with_budget(steps=steps, epochs=0), fine_tune=Budget(steps=steps))


def read_cifar10(
    folder: Path, train: int, test: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return images and labels of the first training and test examples, or of all if there are fewer.

    The images are in `data_batch_1_images.npy.xz` to `data_batch_5_images.npy.xz`, of which all but the first may be
    missing, and in `test_batch_images.npy.xz`. A file may contain any number of images; the labels, `train_labels.npy`
    and `test_labels.npy`, are in the same order.

    Raises:
        FileNotFoundError: the first file of images, the test file or one of the files of labels is missing.
        ValueError: there are fewer labels than images.
    """
    batches = [read_images(folder / "data_batch_1_images.npy.xz")]
    for number in range(2, 6):
        path = folder / f"data_batch_{number}_images.npy.xz"
        if sum(map(len, batches)) >= train or not path.exists():
            break
        batches.append(read_images(path))
    images = {"train": np.concatenate(batches)[:train], "test": read_images(folder / "test_batch_images.npy.xz")[:test]}
    splits = []
    for split, values in images.items():
        labels = np.load(require_file(folder / f"{split}_labels.npy"))[: len(values)]
        if len(labels) < len(values):
            raise ValueError(f"{folder} has {len(values)} {split} images and {len(labels)} labels.")
        splits.append((values, labels.astype(np.int32)))
    return splits[0], splits[1]


def read_fsdd(folder: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return spectrograms and digits of the Free Spoken Digits: all takes but the first five, and these for testing.

    A recording is divided into `CELLS` parts of equal duration and its frequencies into as many bands; an input is the
    mean log power of every cell.
    """
    archive = np.load(require_file(folder / "fsdd.npz"), allow_pickle=False)
    audio, offset, rate = archive["audio"], archive["offsets"], int(archive["sample_rate"])
    cells = []
    for i in range(len(offset) - 1):
        power = log_spectrogram(normalize_power(audio[offset[i] : offset[i + 1]]), rate)
        frames = [part.mean(axis=0) for part in np.array_split(power, CELLS) if len(part)]
        rows = np.stack(frames)[np.arange(CELLS) * len(frames) // CELLS]
        cells.append(np.stack([part.mean(axis=1) for part in np.array_split(rows, CELLS, axis=1)], axis=1))
    inputs, digit = np.stack(cells).reshape(len(cells), -1).astype(np.float32), archive["digit"].astype(np.int32)
    test = archive["take"] < 5
    return (inputs[~test], digit[~test]), (inputs[test], digit[test])


def read_images(path: Path) -> np.ndarray:
    """Read a NumPy array compressed by xz."""
    return np.asarray(np.load(io.BytesIO(read_bytes(path)), allow_pickle=False))
