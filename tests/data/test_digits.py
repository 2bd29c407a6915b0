"""The embedded digits are those of scikit-learn's loader."""

import numpy as np
from sklearn.datasets import load_digits

from lcjax.data import sources


def test_digits_are_those_of_scikit_learn(monkeypatch):
    bunch = load_digits()
    inputs, targets = sources._read_digits()["train"]
    np.testing.assert_array_equal(inputs[..., 0], bunch.images)
    np.testing.assert_array_equal(targets, bunch.target)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    other, _ = sources._read_digits()["train"]
    np.testing.assert_array_equal(other, inputs)
    assert other.dtype == inputs.dtype == np.uint8
