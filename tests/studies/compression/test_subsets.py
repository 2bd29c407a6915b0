"""Disjoint parts of a data set."""

import dataclasses

import numpy as np
import pytest

import lcjax as lc
from lcjax.studies.compression.subsets import cut, halve_test, mean_image


@pytest.fixture(scope="module")
def numbered(digits):
    """Return the digits with their index in place of each image."""
    parts = {
        name: lc.Examples(np.arange(len(part.targets))[:, None], part.targets)
        for name, part in (("train", digits.train), ("validation", digits.validation), ("test", digits.test))
    }
    return dataclasses.replace(digits, **parts)


def test_halves_of_the_test_set(numbered):
    halves = halve_test(numbered, seed=3)
    both = np.concatenate([halves.validation.inputs, halves.test.inputs]).ravel()
    assert sorted(both.tolist()) == list(range(359))
    for part in (halves.validation, halves.test):
        assert np.all(np.diff(part.inputs.ravel()) > 0)
        np.testing.assert_array_equal(part.targets, numbered.test.targets[part.inputs.ravel()])
    assert not np.array_equal(halve_test(numbered).test.inputs, halves.test.inputs)
    np.testing.assert_array_equal(halves.train.inputs.ravel(), [*range(1198), *range(240)])
    with pytest.raises(ValueError, match="no test set"):
        halve_test(numbered.without_test())


def test_parts_are_drawn_without_repetition(numbered):
    small = cut(numbered, 40)
    assert [len(np.unique(part.inputs)) for part in (small.train, small.validation, small.test)] == [40, 10, 10]
    np.testing.assert_array_equal(small.train.targets, numbered.train.targets[small.train.inputs.ravel()])
    assert not np.array_equal(cut(numbered, 40, seed=1).train.inputs, small.train.inputs)
    assert cut(numbered.without_test(), 4).test is None
    assert len(cut(numbered, 1198).validation.targets) == 240
    for examples in (3, 1199):
        with pytest.raises(ValueError, match=f"got {examples}"):
            cut(numbered, examples)


def test_the_mean_image_is_subtracted(digits):
    data = mean_image(digits)
    inputs = (np.asarray(digits.train.inputs, np.float32) - data.offset) * data.scale
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-5)
    assert inputs.std() == pytest.approx(1, rel=1e-5)
