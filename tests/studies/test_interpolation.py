"""Interpolation of images: errors and norms of dense solves, and the choice of a bandwidth."""

import dataclasses

import jax
import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

import lcjax as lc
from lcjax.complexity.filters import random_filter_gram, random_filters
from lcjax.studies.interpolation import Features, interpolate_images

KEY = jax.random.key(0)


def balanced(data, rows):
    order = np.asarray(lc.data.stratified_order(KEY, data.train.targets))[:rows]
    return np.asarray(data.train.inputs)[order] / np.float32(16), np.asarray(data.train.targets)[order]


@pytest.mark.parametrize("iterative", [False, True])
def test_pixels_match_a_dense_solve(digits, iterative):
    found = interpolate_images(
        KEY, digits, rows=200, features=[Features("pixels", 0.3)], ridges=(1e-3, 1.0), block=64, iterative=iterative
    )
    images, labels = balanced(digits, 200)
    tests = np.asarray(digits.test.inputs) / 16
    flat, queries = (part.reshape(len(part), -1).astype(float) for part in (images, tests))
    matrix, targets = rbf_kernel(flat, gamma=0.3), np.eye(10)[labels]
    for row, ridge in zip(found.rows, (1e-3, 1.0), strict=True):
        alpha = np.linalg.solve(matrix + ridge * np.eye(200), targets)
        wrong = np.argmax(rbf_kernel(queries, flat, gamma=0.3) @ alpha, axis=1) != digits.test.targets
        assert row.test_error == pytest.approx(wrong.mean(), abs=1.5 / len(wrong))
        assert row.norm == pytest.approx(np.sqrt(np.trace(alpha.T @ matrix @ alpha)), rel=1e-2)
        assert (row.rows, row.ridge, bool(row.iterations)) == (200, ridge, iterative)


def test_random_filters_match_a_dense_solve(digits):
    found = interpolate_images(KEY, digits, rows=150, features=[Features("filters", filters=40)], ridges=(1e-3,))
    images, labels = balanced(digits, 150)
    filters = random_filters(KEY, images, 40)
    gram, across = (np.asarray(random_filter_gram(filters, part, images), float)
                    for part in (images, np.asarray(digits.test.inputs) / np.float32(16)))  # fmt: skip
    alpha = np.linalg.solve(gram + 1e-3 * np.eye(150), np.eye(10)[labels])
    wrong = np.argmax(across @ alpha, axis=1) != digits.test.targets
    assert found.rows[0].test_error == pytest.approx(wrong.mean(), abs=2.5 / len(wrong))
    assert found.rows[0].test_error < 0.2


@pytest.mark.slow
def test_a_bandwidth_is_chosen_on_validation_images_and_validation_images_fill_up_the_rows(digits):
    found = interpolate_images(KEY, digits, rows=1300, features=[Features("gabor")], ridges=(1e-4,))
    (row,) = found.rows
    tried = row.validation_error
    assert len(tried) > 4
    assert tried[f"{row.bandwidth:.4g}"] == min(tried.values())
    assert row.rows == 1300  # of 1,198 training and 240 validation images
    assert row.test_error < 0.03
    assert "compare norms of one kernel only" in found.caveat()


def test_the_caveat_names_the_solutions(digits):
    features = [Features("pixels", 0.3), Features("pixels", 30.0)]
    found = interpolate_images(KEY, digits, rows=60, features=features, ridges=(1e-2,))
    narrow = max(found.rows, key=lambda row: row.test_error)
    small = dataclasses.replace(narrow, norm=1e-3)
    other = min(found.rows, key=lambda row: row.test_error)
    assert small.test_error > other.test_error
    text = dataclasses.replace(found, rows=(small, other)).caveat()
    assert f"{small.test_error / other.test_error:.1f} times the error" in text
    for row in (small, other):
        assert f"pixels (bandwidth {row.bandwidth:.3g}, ridge 0.01)" in text


@pytest.mark.parametrize("text", ["", "edges", "pixels:", "pixels:0", "gabor:-1", "pixels:nan", "filters", "filters:0"])
def test_unknown_features_are_refused(text):
    with pytest.raises(ValueError, match=f"Features '{text}' are not pixels"):
        Features.parse(text)


def test_bad_input(digits):
    flat = dataclasses.replace(digits, train=lc.Examples(digits.train.inputs[..., 0], digits.train.targets))
    with pytest.raises(ValueError, match=r"got inputs of shape \(1198, 8, 8\)"):
        interpolate_images(KEY, flat, rows=10)
    for rows in (0, 1439):
        with pytest.raises(ValueError, match=rf"rows must lie in \[1, 1438\].*got {rows}"):
            interpolate_images(KEY, digits, rows=rows)
    with pytest.raises(ValueError, match="needs classes and a test set"):
        interpolate_images(KEY, dataclasses.replace(digits, test=None), rows=10)
    with pytest.raises(ValueError, match="300 points is singular in float32"):
        interpolate_images(KEY, digits, rows=300, features=[Features("pixels", 1e-9)])
