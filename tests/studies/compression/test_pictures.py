"""Embeddings of outputs."""

import numpy as np

from lcjax.studies.compression.pictures import PER_CLASS, examples_per_class


def test_pictures_have_their_silhouettes(study):
    result = study.result
    assert len(result.picture_classes) == 50
    assert set(result.embedding) == {"H", "S+W1+LCL"}
    for name, points in result.embedding.items():
        assert points.shape == (3, 50, 2)
        assert np.all(np.abs(result.silhouette[name]) <= 1)
        assert result.silhouette[name].shape == (3,)


def test_the_first_examples_of_each_class_are_shown(digits):
    index = examples_per_class(digits)
    labels = digits.test.targets[index]
    assert np.all(np.diff(labels) >= 0)
    for label in range(10):
        expected = np.flatnonzero(digits.test.targets == label)[:PER_CLASS]
        np.testing.assert_array_equal(index[labels == label], expected)
