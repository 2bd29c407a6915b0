"""NumPy archives: the names of their arrays, and refused files."""

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers.npz import read_npz

X, Y = np.arange(12.0).reshape(6, 2), np.arange(6)


def save(folder, **arrays):
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_splits_by_their_names(tmp_path, validation):
    names = {"train": ("x_train", "y_train"), "validation": (f"x_{validation}", f"y_{validation}")}
    names["test"] = ("x_test", "y_test")
    arrays = {x: X + i for i, (x, _) in enumerate(names.values())}
    arrays |= {y: Y + i for i, (_, y) in enumerate(names.values())}
    splits = read_npz(save(tmp_path, **arrays))
    assert list(splits) == list(names)
    for i, (inputs, targets) in enumerate(splits.values()):
        np.testing.assert_array_equal(inputs, X + i)
        np.testing.assert_array_equal(targets, Y + i)


def test_a_set_without_splits(tmp_path):
    splits = read_npz(save(tmp_path, inputs=X, targets=Y, other=Y))
    assert list(splits) == ["train"]
    np.testing.assert_array_equal(splits["train"][0], X)


@pytest.mark.parametrize("names", ["train_images train_labels", "X_train Y_train", "X y", "data labels", "arr_x class"])
def test_other_names_of_arrays(tmp_path, names):
    if names.startswith("arr"):
        with pytest.raises(ValueError, match="it holds class, but no inputs"):
            read_npz(save(tmp_path, **dict(zip(names.split(), (X, Y), strict=True))))
        return
    splits = read_npz(save(tmp_path, **dict(zip(names.split(), (X, Y), strict=True))))
    np.testing.assert_array_equal(splits["train"][1], Y)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": X, "kinds": Y}, "it holds inputs, but no targets of the train split"),
        ({"x_train": X, "y_train": Y, "y_test": Y}, "it holds y_test, but no inputs of the test split"),
        ({"x": X, "images": X, "y": Y}, "it holds x and images, which may both be inputs"),
        ({"a": X, "b": Y}, "it holds a, b, not x_train and y_train, or inputs and targets"),
        ({"inputs": X.astype(object), "targets": Y}, "it holds Python objects"),
    ],
)
def test_bad_archives_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=rf"set\.npz.* cannot be read: {message}"):
        read_npz(save(tmp_path, **arrays))


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file .*set\.npz"):
        lc.load_data(f"npz:{tmp_path / 'set.npz'}")
    path = save(tmp_path, inputs=X, targets=Y)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"set\.npz cannot be read: it is not a NumPy archive"):
        read_npz(path)
