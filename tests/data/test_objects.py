"""Data sets in memory: bunches, data frames, and objects with the interface of Hugging Face's data sets."""

import numpy as np
import PIL.Image
import pytest
import sklearn.datasets

import lcjax as lc
from lcjax.data.objects import source_from_object


class FakeDataset:
    """The interface of `datasets.Dataset` that is used."""

    def __init__(self, **columns):
        self.columns, self.features, self.column_names = columns, dict.fromkeys(columns), list(columns)

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}


def test_bunches_of_scikit_learn():
    iris, diabetes = lc.load_data(sklearn.datasets.load_iris()), lc.load_data(sklearn.datasets.load_diabetes())
    assert (iris.classes, iris.train.inputs.shape) == (3, (100, 4))
    assert (diabetes.classes, diabetes.train.inputs.shape) == (0, (295, 10))
    assert lc.load_data(sklearn.datasets.load_digits()).fingerprint() == lc.load_data("digits").fingerprint()


def test_data_frames_and_mappings_of_columns():
    rng = np.random.default_rng(0)
    frame = {"x": rng.normal(size=60), "color": ["red", "green", "blue"] * 20, "price": rng.normal(size=60)}
    data = lc.load_data(frame, target_column="price")
    assert (data.classes, data.train.inputs.shape) == (0, (40, 4))
    parts = {"train": frame, "test": {name: column[:9] for name, column in frame.items()}}
    assert len(lc.load_data(parts, target_column="price").test.targets) == 9
    with pytest.raises(ValueError, match="data frame has no column named target"):
        lc.load_data(frame)


def test_data_sets_with_the_interface_of_hugging_face():
    rng = np.random.default_rng(0)
    pictures = [PIL.Image.fromarray(rng.integers(0, 256, (6, 5), np.uint8)) for _ in range(40)]
    train = FakeDataset(image=pictures, label=[0, 1] * 20)
    data = lc.load_data({"train": train, "test": FakeDataset(image=pictures[:8], label=[0, 1] * 4)})
    assert (data.train.inputs.shape, data.classes, len(data.test.targets)) == ((33, 6, 5), 2, 8)
    table = FakeDataset(x=rng.normal(size=60).tolist(), color=["a", "b", "c"] * 20, label=[0, 1] * 30)
    assert lc.load_data(table).train.inputs.shape == (40, 4)
    with pytest.raises(ValueError, match="no column price; pass target_column: x, color, label"):
        lc.load_data(table, target_column="price")
    mixed = FakeDataset(image=[*pictures[:3], pictures[0].resize((2, 2))], label=[0, 1, 0, 1])
    with pytest.raises(ValueError, match="The images have 2 shapes"):
        source_from_object(mixed)


def test_pairs_and_other_objects():
    assert lc.load_data((np.eye(30), np.arange(30) % 2)).classes == 2
    with pytest.raises(ValueError, match=r"must be the name of one, a scikit-learn Bunch, .*; got int"):
        lc.load_data(3)
