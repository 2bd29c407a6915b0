"""Data sets: refused arrays, the error of a constant prediction, fingerprints."""

import dataclasses
import hashlib

import numpy as np
import pytest

from lcjax.data.examples import Data, Examples
from lcjax.data.streamed import Streamed


def data_of(train, validation, **fields):
    parts = (Examples(np.zeros((len(targets), 1)), np.asarray(targets)) for targets in (train, validation))
    return Data(*parts, None, **fields)


def test_the_largest_class_is_predicted():
    assert data_of([0, 2, 2, 1], [2, 2, 0, 1, 2], classes=3).chance_error() == 0.4


def test_the_median_target_is_predicted_within_the_tolerance():
    data = data_of([0.0, 1.0, 5.0], [1.0, 1.05, 0.5, 3.0], tolerance=0.5)
    assert data.chance_error() == 0.25
    assert dataclasses.replace(data, tolerance=0.1).chance_error() == 0.5
    assert data_of([0.0], [0.05, 0.2]).chance_error() == 0.5  # the default tolerance is 0.1


def test_the_most_frequent_token_is_predicted_and_padding_does_not_count():
    targets = np.array([[3, 3, 1], [0, -1, -1]])
    assert data_of(targets, targets, classes=4).chance_error() == 0.5


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 1, 3], r"validation targets must be integers in \[0, 2\] for 3 classes, got int64 from 0 to 3"),
        ([-1, 1, 2], "from -1 to 2"),
        ([0.0, 1.0, 2.0], "got float64"),
        ([[0, 3], [1, -1]], "from 0 to 3"),
    ],
)
def test_targets_that_are_not_classes_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        data_of([0, 1, 2], targets, classes=3).check()


def test_sound_data_pass_and_other_lengths_do_not():
    data = data_of([0, 1, 2], [[0, 1], [2, -1]], classes=3)
    data.check()
    data_of([0.5, 7.0], [-2.0]).check()
    data_of([[0, 1]], [[-1, -1]], classes=2).check()
    short = Examples({"a": np.zeros((3, 1)), "b": np.zeros((2, 1))}, np.arange(3))
    with pytest.raises(ValueError, match="test has 2 inputs and 3 targets"):
        dataclasses.replace(data, test=short).check()


def test_the_test_split_is_withheld():
    data = dataclasses.replace(data_of([0], [0]), test=data_of([0], [0]).train)
    assert data.without_test().test is None
    assert data.without_test().train is data.train


def test_a_fingerprint_covers_every_array_and_field():
    data = data_of([0, 1], [1], classes=2, name="a")
    digest = hashlib.sha256(repr((2, 0.1)).encode())
    for path, array in (
        (".train.inputs", np.zeros((2, 1))),
        (".train.targets", np.array([0, 1])),
        (".validation.inputs", np.zeros((1, 1))),
        (".validation.targets", np.array([1])),
        (".offset", np.float64(0)),
        (".scale", np.float64(1)),
    ):
        digest.update(f"{path} {np.asarray(array).dtype.str} {np.atleast_1d(array).shape}".encode() + array.tobytes())
    assert data.fingerprint() == digest.hexdigest()
    changes = {"classes": 3, "tolerance": 0.2, "scale": 2.0, "test": data.train}
    prints = {dataclasses.replace(data, **{field: value}).fingerprint() for field, value in changes.items()}
    assert len(prints | {data.fingerprint()}) == 5
    elsewhere = dataclasses.replace(data, name="/another/path")
    assert elsewhere.fingerprint() == data.fingerprint()  # runs are found wherever the data lie


def test_a_fingerprint_of_streamed_inputs_takes_their_identity():
    def streamed(identity):
        return Streamed(lambda i: np.zeros(1), np.arange(2), (1,), np.dtype(float), identity)

    data = data_of([0, 1], [1])
    prints = [
        dataclasses.replace(data, train=Examples(streamed(name), np.arange(2))).fingerprint()
        for name in ("a", "a", "b")
    ]
    assert prints[0] == prints[1] != prints[2]
